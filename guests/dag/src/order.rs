//! The topological order of a graph, or a cycle in it.

use std::collections::BTreeSet;

/// Places that each depend on the next one; the last is the first again.
#[derive(Debug, PartialEq, Eq)]
pub struct Cycle(pub Vec<usize>);

/// All places, each after those that it depends on, and otherwise in ascending order: of those that could come next it
/// is always the first. `depends_on` has the dependencies of each place.
///
/// # Errors
/// A cycle, where there is one.
pub fn topological(depends_on: &[Vec<usize>]) -> Result<Vec<usize>, Cycle> {
    let mut dependents = vec![Vec::new(); depends_on.len()];
    for (place, dependencies) in depends_on.iter().enumerate() {
        for dependency in dependencies {
            dependents[*dependency].push(place);
        }
    }
    let mut missing: Vec<usize> = depends_on.iter().map(Vec::len).collect();
    let mut ready: BTreeSet<usize> = (0..missing.len()).filter(|place| missing[*place] == 0).collect();
    let mut order = Vec::with_capacity(missing.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for dependent in &dependents[next] {
            missing[*dependent] -= 1;
            if missing[*dependent] == 0 {
                ready.insert(*dependent);
            }
        }
    }
    if order.len() == depends_on.len() { Ok(order) } else { Err(cycle(depends_on, &missing)) }
}

/// A cycle among the places that still miss something: each of them depends on another such place, so going on from one
/// to the next ends in a circle.
fn cycle(depends_on: &[Vec<usize>], missing: &[usize]) -> Cycle {
    let stuck = |place: &usize| missing[*place] > 0;
    let mut path: Vec<usize> = (0..missing.len()).find(stuck).into_iter().collect();
    while let Some(next) = path.last().and_then(|last| depends_on[*last].iter().copied().find(stuck)) {
        let seen = path.iter().position(|place| *place == next);
        path.push(next);
        if let Some(start) = seen {
            return Cycle(path.split_off(start));
        }
    }
    Cycle(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(depends_on: &[&[usize]]) -> Result<Vec<usize>, Cycle> {
        topological(&depends_on.iter().map(|list| list.to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn dependencies_come_first_and_else_the_order_stays() {
        assert_eq!(order(&[]), Ok(vec![]));
        assert_eq!(order(&[&[], &[], &[]]), Ok(vec![0, 1, 2]));
        assert_eq!(order(&[&[2], &[], &[], &[0]]), Ok(vec![1, 2, 0, 3]));
        assert_eq!(order(&[&[1, 1], &[]]), Ok(vec![1, 0]));
        assert_eq!(order(&[&[1], &[2], &[]]), Ok(vec![2, 1, 0]));
    }

    #[test]
    fn a_cycle_is_named_without_what_leads_to_it() {
        assert_eq!(order(&[&[0]]), Err(Cycle(vec![0, 0])));
        assert_eq!(order(&[&[1], &[0]]), Err(Cycle(vec![0, 1, 0])));
        // 0 leads into the circle of 1, 2 and 3; 4 is fine; 5 waits for it.
        assert_eq!(order(&[&[1], &[4, 2], &[3], &[1], &[], &[3]]), Err(Cycle(vec![1, 2, 3, 1])));
    }
}
