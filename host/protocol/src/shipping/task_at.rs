//! Names of tasks that say in which component the task is: `TASK@sha256:DIGEST`. Such a name is part of the identity of a call,
//! so calls of different code never share a value.

use crate::digest::Digest;

const AT: &str = "@sha256:";

/// The name of this task in this component.
#[must_use]
pub fn task_at(task: &str, component: &Digest) -> String {
    format!("{task}{AT}{component}")
}

/// The task and the component that a name of `task_at` stands for. `None`: it is the name of a task of a topic's own code.
#[must_use]
pub fn named_component(task: &str) -> Option<(&str, Digest)> {
    let (task, digest) = task.rsplit_once(AT)?;
    Some((task, Digest::parse(digest)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_name_its_component() {
        let digest = Digest::of(b"x");
        let name = task_at("a@sha256:b", &digest);
        assert_eq!(name, format!("a@sha256:b@sha256:{digest}"));
        assert_eq!(named_component(&name), Some(("a@sha256:b", digest)));
        for other in ["a", "a@b", "a@sha256:", "a@sha256:12", &name.to_uppercase()] {
            assert_eq!(named_component(other), None, "{other}");
        }
    }
}
