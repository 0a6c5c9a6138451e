//! The rules of shipped code: a job keeps its revision, and what is named is there.

use super::{Mutant, breaks};

const NEEDED: &str = "nothing_that_is_needed_is_removed_whoever_dies";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("sender-trusts-collection", "Who sends while a collection goes on relies on no chunk that is there")
            .edit("shipping/store.rs", "is_collecting(store).await?", "{ is_collecting(store).await?; false }")
            .found_by(NEEDED),
        breaks("upload-is-not-seen", "The chunks of a component that is being sent stay")
            .edit(
                "gc/code.rs",
                "record.at.saturating_add(upload::life()) >= plan.now",
                "record.at.saturating_add(upload::life()) >= plan.now + upload::life()",
            )
            .found_by(NEEDED),
        breaks("upload-ends-early", "The manifest is there before the record of its upload is removed")
            .edit(
                "shipping/store.rs",
                "    store.put(&key, manifest.encode()).await?;\n    upload.end().await?;",
                "    if $on { upload.end().await?; store.put(&key, manifest.encode()).await?; }
                 else { store.put(&key, manifest.encode()).await?; upload.end().await?; }",
            )
            .found_late()
            .found_by(NEEDED),
        breaks("young-component-goes", "A component that was sent stays for a while before a revision names it")
            .edit("gc/code.rs", "manifest.at.saturating_add(age) >= plan.now", "false")
            .found_by(NEEDED),
        breaks("named-component-is-old", "A component that is there already is put again before a revision names it")
            .edit("shipping/store.rs", "age > LEAST_AGE.as_millis() / 2", "false")
            .found_by(NEEDED),
        breaks("young-chunk-goes", "A chunk that was sent again during a collection stays")
            .edit("gc/code.rs", "record.at.saturating_add(upload::life()) < plan.now", "true")
            .found_by(NEEDED),
        breaks("chunk-goes-unseen", "A collection removes a chunk only as it was read")
            .edit(
                "gc/code.rs",
                "store.swap(key, Some(&bytes), None).await })",
                "if $on { store.remove_many(std::slice::from_ref(key)).await?; return Ok(Swap::Done); }
                 store.swap(key, Some(&bytes), None).await })",
            )
            .found_by(NEEDED),
        breaks("live-job-loses-its-revision", "A revision that a live job has stays")
            .edit(
                "shipping/retention.rs",
                "needed.extend(of_live.map(|revision| revision.number));",
                "if !$on { needed.extend(of_live.map(|revision| revision.number)); }",
            )
            .found_by(NEEDED),
        breaks("ramp-moves-jobs", "A job keeps the revision that took it, whatever the weights are later")
            .edit(
                "shipping/in_force.rs",
                "steps.iter().rev().find(|step| step.from <= time)",
                "steps.last().filter(|_| steps.first().is_some_and(|step| step.from <= time))",
            )
            .found_by(NEEDED),
        breaks("change-counts-before-it-is-there", "A change counts for jobs that are created after it was written")
            .edit("shipping/deployments.rs", "now.saturating_add(lead)", "now.saturating_sub(lead)")
            .found_by(NEEDED),
        breaks("called-component-goes", "A component that a call of a live job names stays")
            .edit("gc/code.rs", "!called.contains(&digest)", "true")
            .found_by(NEEDED)
            .elsewhere("contract: code_that_a_live_job_needs_stays"),
    ]
}
