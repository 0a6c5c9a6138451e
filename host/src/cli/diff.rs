//! `deploy diff`: what changes from one revision to another, as far as callers and workers can see it.

use std::collections::{BTreeMap, BTreeSet};

use brrr_worker::wasm::{Guest, Task};
use serde::Serialize;
use serde_json::Value;

use super::output::{line, print};

/// What can be seen of the components of a revision from outside.
#[derive(Default)]
pub struct Outside {
    tasks: BTreeMap<String, BTreeMap<&'static str, Value>>,
    imports: BTreeSet<String>,
}

impl Outside {
    /// Adds a component.
    pub fn add(&mut self, guest: &Guest) {
        self.imports.extend(guest.imports.iter().cloned());
        self.tasks.extend(guest.tasks.iter().map(|task| (task.name.clone(), properties(task))));
    }
}

/// The properties of a task, by their names.
fn properties(task: &Task) -> BTreeMap<&'static str, Value> {
    let mut all: BTreeMap<_, _> =
        task.options.pairs().into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    let schema = |schema: &Option<Value>| schema.clone().unwrap_or_default();
    all.insert("leaf", task.leaf.into());
    all.insert("description", task.description.clone().into());
    all.insert("input schema", schema(&task.input_schema));
    all.insert("output schema", schema(&task.output_schema));
    all.retain(|_, value| !value.is_null());
    all
}

/// What is different.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Differences {
    tasks_added: Vec<String>,
    tasks_removed: Vec<String>,
    changed: Vec<Change>,
    imports_added: Vec<String>,
    imports_removed: Vec<String>,
}

/// A property of a task that is different. `null`: it is not there.
#[derive(Debug, PartialEq, Serialize)]
struct Change {
    task: String,
    property: &'static str,
    old: Option<Value>,
    new: Option<Value>,
}

impl Differences {
    /// What changes from `old` to `new`.
    pub fn between(old: &Outside, new: &Outside) -> Self {
        let names = |all: &Outside, other: &Outside| {
            all.tasks.keys().filter(|name| !other.tasks.contains_key(*name)).cloned().collect()
        };
        let mut changed = Vec::new();
        for (task, before) in &old.tasks {
            let Some(after) = new.tasks.get(task) else { continue };
            for property in before.keys().chain(after.keys()).copied().collect::<BTreeSet<_>>() {
                let (old, new) = (before.get(property), after.get(property));
                if old != new {
                    changed.push(Change { task: task.clone(), property, old: old.cloned(), new: new.cloned() });
                }
            }
        }
        Self {
            tasks_added: names(new, old),
            tasks_removed: names(old, new),
            changed,
            imports_added: new.imports.difference(&old.imports).cloned().collect(),
            imports_removed: old.imports.difference(&new.imports).cloned().collect(),
        }
    }

    /// Prints them, a line each: `+` is new, `-` is gone, `~` is different.
    ///
    /// # Errors
    /// When nobody reads the output.
    pub fn print(&self) -> anyhow::Result<()> {
        let value = |value: &Option<Value>| match value {
            Some(Value::String(text)) => line(text),
            Some(other) => line(&other.to_string()),
            None => "none".to_owned(),
        };
        for (sign, what, names) in [
            ("+", "task", &self.tasks_added),
            ("-", "task", &self.tasks_removed),
            ("+", "import", &self.imports_added),
            ("-", "import", &self.imports_removed),
        ] {
            for name in names {
                print(format_args!("{sign} {what} {}", line(name)))?;
            }
        }
        for Change { task, property, old, new } in &self.changed {
            print(format_args!("~ task {}: {property}: {} → {}", line(task), value(old), value(new)))?;
        }
        if *self == Self::default() {
            print("no task, option, schema or import is different")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use brrr_protocol::options::Options;
    use serde_json::json;

    use super::*;

    fn outside(tasks: &[(&str, Option<u32>, Option<Value>)], imports: &[&str]) -> Outside {
        let task = |(name, max_retries, input_schema): &(&str, Option<u32>, Option<Value>)| {
            let task = Task {
                name: (*name).to_owned(),
                options: Options { max_retries: *max_retries, ..Options::default() },
                leaf: false,
                description: None,
                input_schema: input_schema.clone(),
                output_schema: None,
                extra: Vec::new(),
            };
            ((*name).to_owned(), properties(&task))
        };
        Outside {
            tasks: tasks.iter().map(task).collect(),
            imports: imports.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn what_callers_see_is_compared() {
        let schema = Some(json!({"type": "object"}));
        let old = outside(&[("a", Some(1), None), ("b", None, schema.clone())], &["x"]);
        let new = outside(&[("a", Some(2), None), ("c", None, schema)], &["x", "y"]);
        let found = Differences::between(&old, &new);
        assert_eq!((&found.tasks_added[..], &found.tasks_removed[..]), (&["c".into()][..], &["b".into()][..]));
        assert_eq!((&found.imports_added[..], found.imports_removed.len()), (&["y".into()][..], 0));
        let [Change { task, property, old, new }] = &found.changed[..] else { panic!("{found:?}") };
        assert_eq!((task.as_str(), *property), ("a", "max-retries"));
        assert_eq!((old, new), (&Some(json!("1")), &Some(json!("2"))));
        assert_eq!(Differences::between(&outside(&[], &[]), &outside(&[], &[])), Differences::default());
    }
}
