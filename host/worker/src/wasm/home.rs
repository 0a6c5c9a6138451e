//! A component that is called by its digest (`TASK@sha256:…`). Its calls of its own tasks go to the same component, whatever code
//! the topic has.

use std::collections::HashSet;

use brrr_protocol::codec::{python, typescript};
use brrr_protocol::digest::Digest;
use brrr_protocol::model::CallHash;
use brrr_protocol::shipping::task_at;

use super::bindings::brrr::worker::types;

/// The component, and the tasks that it has.
#[derive(Debug)]
pub struct Home {
    component: Digest,
    tasks: HashSet<String>,
}

impl Home {
    /// The component with these tasks.
    pub fn new(component: Digest, tasks: impl IntoIterator<Item = String>) -> Self {
        Self { component, tasks: tasks.into_iter().collect() }
    }

    /// The name by which the host knows a task of the component.
    pub fn name(&self, task: &str) -> String {
        task_at(task, &self.component)
    }

    /// Makes a call of the component's own task one of this component. A hash that was derived from the task and the payload is
    /// derived anew, and another one is bound to the component.
    pub fn claim(&self, call: &mut types::Invocation) {
        if call.topic.is_some() || !self.tasks.contains(&call.task) {
            return;
        }
        let (old, new) = (call.task.clone(), self.name(&call.task));
        call.task = new;
        let Some(hash) = &mut call.call_hash else { return };
        let payload = &call.payload;
        *hash = if CallHash::derive(&old, payload).as_str() == hash {
            CallHash::derive(&call.task, payload).to_string()
        } else if python::call_hash_of_payload(&old, payload) == *hash {
            python::call_hash_of_payload(&call.task, payload)
        } else if typescript::call_hash_of_payload(&old, payload) == *hash {
            typescript::call_hash_of_payload(&call.task, payload)
        } else {
            task_at(hash, &self.component)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_tasks_are_of_the_component_and_others_are_not() {
        let digest = Digest::of(b"x");
        let home = Home::new(digest, ["fib".to_owned()]);
        let claimed = |task: &str, topic: Option<&str>, hash: Option<String>| {
            let (task, payload, topic) = (task.to_owned(), b"[1]".to_vec(), topic.map(str::to_owned));
            let mut call = types::Invocation { task, payload, topic, call_hash: hash, options: Vec::new() };
            home.claim(&mut call);
            (call.task, call.call_hash)
        };
        let there = task_at("fib", &digest);
        assert_eq!(claimed("fib", None, None), (there.clone(), None));
        assert_eq!(claimed("other", None, None), ("other".to_owned(), None));
        assert_eq!(claimed("fib", Some("elsewhere"), None), ("fib".to_owned(), None));
        let derived = CallHash::derive("fib", b"[1]").to_string();
        assert_eq!(claimed("fib", None, Some(derived)).1, Some(CallHash::derive(&there, b"[1]").to_string()));
        assert_eq!(claimed("fib", None, Some("mine".into())).1, Some(format!("mine@sha256:{digest}")));
    }
}
