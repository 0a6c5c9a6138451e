use super::*;
use crate::digest::Digest;

fn component(name: &str) -> DeployedComponent {
    DeployedComponent { digest: Digest::of(name.as_bytes()), name: name.to_owned() }
}

fn new(name: &str, percent: u8) -> NewRevision {
    NewRevision { components: vec![component(name)], percent, note: "n".into(), by: "b".into() }
}

fn to(changed: Result<Changed, Refusal>) -> DeploymentsRecord {
    match changed.unwrap() {
        Changed::To(record) => *record,
        Changed::Same => panic!("nothing was changed"),
    }
}

/// What takes jobs: number, first component, weight, time.
fn told(record: &DeploymentsRecord) -> Vec<(u64, &str, u8, Millis)> {
    let tell = |r| {
        let revision: &Revision = r;
        (revision.number, &*revision.components[0].name, revision.weight(), revision.steps.last().unwrap().from)
    };
    record.revisions.iter().map(tell).collect()
}

#[test]
fn revisions_are_pushed_rolled_back_ramped_and_removed() {
    let one = to(push(&DeploymentsRecord::default(), &new("a", 100), 1_000));
    assert_eq!(told(&one), [(1, "a", 100, 2_000)]);
    assert_eq!(to_roll_back_to(&one), Err(Refusal::NothingBefore));
    // The clock may stand still or go back.
    let two = to(push(&one, &new("b", 20), 500));
    assert_eq!(told(&two), [(1, "a", 100, 2_000), (2, "b", 20, 2_001)]);
    let ramped = to(ramp(&two, 2, 50, 1_002));
    assert_eq!(told(&ramped)[1], (2, "b", 50, 2_002));
    assert_eq!(ramped.revisions[1].from(), 2_001);
    assert_eq!(ramp(&ramped, 2, 50, 2_000), Ok(Changed::Same));

    let to_one = to_roll_back_to(&ramped).unwrap();
    let back = to(rollback(&ramped, to_one, "oops", "me", 2_000));
    assert_eq!(told(&back), [(1, "a", 100, 2_000), (2, "b", 50, 2_002), (3, "a", 100, 3_000)]);
    assert_eq!((back.revisions[2].restores, &*back.revisions[2].note), (1, "oops"));
    assert_eq!(rollback(&back, 1, "", "", 3_000), Ok(Changed::Same));
    assert_eq!(to_roll_back_to(&back), Ok(2));

    let removed = to(remove(&back, 3, 3_000));
    assert_eq!((told(&removed).len(), removed.changed), (2, 4_000));
    assert_eq!(remove(&removed, 3, 3_000), Ok(Changed::Same));
    // No number is used again.
    assert_eq!(to(push(&removed, &new("c", 100), 3_000)).revisions[2].number, 4);
}

#[test]
fn a_push_of_what_is_there_changes_nothing() {
    let record = to(push(&DeploymentsRecord::default(), &new("a", 100), 1_000));
    let again = NewRevision { note: "again".into(), ..new("a", 100) };
    assert_eq!(push(&record, &again, 2_000), Ok(Changed::Same));
    assert_eq!(to(push(&record, &new("a", 50), 2_000)).revisions.len(), 2);
    let two = to(push(&record, &new("b", 100), 2_000));
    assert_eq!(to(push(&two, &new("a", 100), 3_000)).revisions.len(), 3);
}

#[test]
fn what_is_not_possible_is_refused_with_a_sentence() {
    let record = to(push(&DeploymentsRecord::default(), &new("a", 100), 1_000));
    let with = |components| NewRevision { components, ..new("a", 100) };
    let many = (0..=MOST_COMPONENTS).map(|n| component(&n.to_string())).collect();
    let renamed = DeployedComponent { name: "other".into(), ..component("a") };
    let mut ramped = record.clone();
    let steps = (0..MOST_STEPS as u64).map(|n| Step { from: n, weight: (n % 2) as u8 });
    ramped.revisions[0].steps = steps.collect();
    for (refused, why) in [
        (push(&record, &new("b", 101), 0), "not 101"),
        (push(&record, &with(Vec::new()), 0), "not 0"),
        (push(&record, &with(many), 0), "not 33"),
        (push(&record, &with(vec![component("a"), component("a")]), 0), "\"a\" is named twice"),
        (push(&record, &with(vec![component("a"), renamed]), 0), "\"other\" is named twice"),
        (push(&record, &with(vec![component(&"x".repeat(LONGEST_NAME + 1))]), 0), "name of a component has 201 bytes"),
        (push(&record, &NewRevision { note: "x".repeat(LONGEST_NOTE + 1), ..new("b", 100) }, 0), "note has 1025 bytes"),
        (push(&record, &NewRevision { by: "x".repeat(LONGEST_NAME + 1), ..new("b", 100) }, 0), "who pushes has 201"),
        (rollback(&record, 2, "", "", 0), "no revision 2"),
        (rollback(&record, 1, &"x".repeat(LONGEST_NOTE + 1), "", 0), "note has"),
        (ramp(&record, 2, 50, 0), "no revision 2"),
        (ramp(&record, 1, 101, 0), "not 101"),
        (ramp(&ramped, 1, 50, 0), "revision 1 takes was changed 64 times"),
        (remove(&record, 2, 0), "no revision 2"),
    ] {
        let refusal = refused.unwrap_err().to_string();
        assert!(refusal.contains(why), "{refusal}");
    }
}

#[test]
fn a_record_has_a_largest_size() {
    let mut record = DeploymentsRecord::default();
    for n in 0..MOST_REVISIONS {
        record = to(push(&record, &new(&n.to_string(), 100), 1_000));
    }
    check_size(&record).unwrap();
    let more = to(push(&record, &new("more", 100), 1_000));
    assert_eq!(check_size(&more), Err(Refusal::TooManyRevisions));
    for revision in &mut record.revisions {
        revision.note = "x".repeat(LONGEST_NOTE);
        revision.by = "x".repeat(LONGEST_NAME);
        revision.components = (0..8).map(|n| component(&format!("{n}{}", "x".repeat(50)))).collect();
    }
    check_size(&record).unwrap();
    for revision in &mut record.revisions {
        revision.components = (0..32).map(|n| component(&format!("{n}{}", "x".repeat(150)))).collect();
    }
    assert!(matches!(check_size(&record), Err(Refusal::TooLarge(size)) if size > MOST_DEPLOYMENTS_BYTES));
}

#[test]
fn what_was_removed_is_not_remembered_for_ever() {
    let mut record = DeploymentsRecord::default();
    for n in 0..1_000 {
        record = to(push(&record, &new(&n.to_string(), 100), 1_000 * n));
        // The first one stays, as if a live job needed it.
        let old: Vec<u64> =
            record.revisions.iter().map(|r| r.number).filter(|r| *r > 1 && r + 10 < record.last).collect();
        record = crate::shipping::retention::let_go(&record, &old);
        assert!(
            record.revisions.len() <= 12 && record.gone.len() <= 2,
            "{} {}",
            record.revisions.len(),
            record.gone.len()
        );
    }
    record = crate::shipping::retention::let_go(&record, &[1]);
    assert_eq!(record.gone, []);
}
