//! The topic on which a call is run. No record of the call says it: only the caller knew it. But workers announce the tasks
//! that they handle.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Topic;

/// The tasks that the workers of each topic announced.
#[derive(Default)]
pub(super) struct Homes(pub BTreeMap<Topic, BTreeSet<String>>);

impl Homes {
    /// The topic of a call of this task, whose parents are on the topics `parents`. `None`: it can't be known.
    pub fn of(&self, task: &str, parents: &BTreeSet<Topic>) -> Option<Topic> {
        let handles = |topic: &&Topic| self.0.get(*topic).is_some_and(|tasks| tasks.contains(task));
        // A topic without an announcement has only workers of peers, which do not announce tasks.
        let unknown = |topic: &&Topic| !self.0.contains_key(*topic);
        let parents_own = parents.iter().find(handles);
        let other = || self.0.keys().find(handles);
        parents_own.or_else(other).or_else(|| parents.iter().find(unknown)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_of_a_call_is_where_its_task_is_handled() {
        let tasks = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let homes = Homes(BTreeMap::from([("a".into(), tasks(&["x", "y"])), ("b".into(), tasks(&["y", "z"]))]));
        let home = |task, parents: &[&str]| homes.of(task, &parents.iter().map(|topic| Topic::from(*topic)).collect());
        assert_eq!(home("y", &["b"]), Some("b".into()), "where its parent is, if it can be");
        assert_eq!(home("z", &["a"]), Some("b".into()));
        assert_eq!(home("q", &["a"]), None, "the workers there don't know it");
        assert_eq!(home("q", &["a", "peers"]), Some("peers".into()), "no worker has announced these tasks");
    }
}
