//! A job file, read and checked: what is here can be run.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::fields::{Fields, Refused, shown};
use crate::order::{self, Cycle};

/// A job whose tasks depend on each other without a cycle.
#[derive(Debug, PartialEq)]
pub struct Job {
    pub name: String,
    /// What the job starts with.
    pub context: Map<String, Value>,
    /// In topological order: a task's dependencies are before it; otherwise as in the file.
    pub tasks: Vec<Task>,
}

#[derive(Debug, PartialEq)]
pub struct Task {
    pub name: String,
    /// The task that is called.
    pub handler: String,
    pub topic: Option<String>,
    /// Places in [`Job::tasks`], in ascending order, each once.
    pub depends_on: Vec<usize>,
    pub timeout: Option<Duration>,
    pub max_retries: Option<u32>,
    pub continue_on_failure: bool,
    /// Named arguments that are taken from the context: their names, and the keys there. `None`: the context itself is
    /// an argument.
    pub inputs: Option<Vec<(String, String)>>,
    /// Named arguments of its own.
    pub arguments: Map<String, Value>,
}

impl Job {
    /// Reads a job file.
    ///
    /// # Errors
    /// The first thing wrong with it.
    pub fn read(file: Value) -> Result<Self, Refused> {
        let kind = shown(&file);
        let mut fields = Fields::new("the job", file)
            .ok_or_else(|| Refused(format!("a job file is a JSON object with a name and tasks, and not {kind}")))?;
        // For editors, which look there for the schema.
        fields.name("$schema")?;
        let name = fields.name("name")?.ok_or_else(|| fields.refuse("it has no \"name\"; give it one"))?;
        fields.of = format!("job {name:?}");
        let context = fields.map("context")?.unwrap_or_default();
        let tasks = fields.take("tasks", "a list", |value| value.as_array().cloned())?.unwrap_or_default();
        if tasks.is_empty() {
            return Err(fields.refuse("it has no tasks; list one at least under \"tasks\""));
        }
        fields.end()?;
        let tasks = tasks.into_iter().zip(1..).map(|(task, number)| read_task(task, number));
        let (tasks, names): (Vec<_>, Vec<_>) = tasks.collect::<Result<_, _>>()?;
        Ok(Self { name, context, tasks: connect(tasks, &names)? })
    }
}

/// A task, and the names that it depends on. `number` counts from 1.
fn read_task(task: Value, number: usize) -> Result<(Task, Vec<String>), Refused> {
    let kind = shown(&task);
    let mut fields = Fields::new(format!("task number {number}"), task)
        .ok_or_else(|| Refused(format!("task number {number}: a task is an object with a name, and not {kind}")))?;
    let name = fields.name("name")?.ok_or_else(|| fields.refuse("it has no \"name\"; give it one"))?;
    fields.of = format!("task {name:?}");
    let handler = fields.name("handler")?.unwrap_or_else(|| name.clone());
    let topic = fields.name("topic")?;
    let depends_on = fields.take("depends_on", "a list of names of tasks", names)?.unwrap_or_default();
    let timeout = fields.take("timeout", "a time like \"10s\", \"500ms\", \"5m\" or \"1h\", or seconds", duration)?;
    let max_retries = fields.take("max_retries", "a whole number from 0", |value| value.as_u64()?.try_into().ok())?;
    let continue_on_failure = fields.take("continue_on_failure", "true or false", Value::as_bool)?.unwrap_or(false);
    let inputs = fields.take("inputs", "an object of arguments' names, each with a key of the context", inputs)?;
    let arguments = fields.map("arguments")?.unwrap_or_default();
    fields.end()?;
    let task = Task {
        name,
        handler,
        topic,
        depends_on: Vec::new(),
        timeout,
        max_retries,
        continue_on_failure,
        inputs,
        arguments,
    };
    Ok((task, depends_on))
}

/// The tasks in topological order, with their dependencies, which `names` has by name.
fn connect(tasks: Vec<Task>, names: &[Vec<String>]) -> Result<Vec<Task>, Refused> {
    let mut places = HashMap::new();
    for (place, task) in tasks.iter().enumerate() {
        if places.insert(task.name.as_str(), place).is_some() {
            return Err(Refused(format!("task {:?}: two tasks have this name; rename one of them", task.name)));
        }
    }
    let mut depends_on = Vec::with_capacity(tasks.len());
    for (task, names) in tasks.iter().zip(names) {
        let find = |name: &String| {
            places.get(name.as_str()).copied().ok_or_else(|| {
                Refused(format!(
                    "task {:?}: it depends on {name:?}, which is not in the job; add that task, or take it out of \
                     \"depends_on\"",
                    task.name
                ))
            })
        };
        depends_on.push(names.iter().map(find).collect::<Result<Vec<_>, _>>()?);
    }
    let order = order::topological(&depends_on).map_err(|Cycle(cycle)| {
        let names: Vec<_> = cycle.iter().map(|place| tasks[*place].name.as_str()).collect();
        Refused(format!(
            "task {:?}: it depends on itself, {} (each needs the next one first); take out one of these dependencies",
            names[0],
            names.join(" -> ")
        ))
    })?;

    let mut rank = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        rank[*old] = new;
    }
    let mut tasks: Vec<_> = tasks.into_iter().map(Some).collect();
    let ordered = order.iter().map(|old| {
        let mut task = tasks[*old].take().expect("each place is in the order once");
        task.depends_on = depends_on[*old].iter().map(|dependency| rank[*dependency]).collect();
        task.depends_on.sort_unstable();
        task.depends_on.dedup();
        task
    });
    Ok(ordered.collect())
}

fn names(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

fn inputs(value: &Value) -> Option<Vec<(String, String)>> {
    value.as_object()?.iter().map(|(name, key)| Some((name.clone(), key.as_str()?.to_owned()))).collect()
}

/// `"10s"` (a whole number of `ms`, `s`, `m` or `h`) or a number of seconds; a millisecond at least.
fn duration(value: &Value) -> Option<Duration> {
    let duration = match value {
        Value::Number(seconds) => Duration::try_from_secs_f64(seconds.as_f64()?).ok()?,
        Value::String(text) => {
            let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let factor = match &text[number.len()..] {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                _ => return None,
            };
            Duration::from_millis(number.trim().parse::<u64>().ok()?.checked_mul(factor)?)
        }
        _ => return None,
    };
    (duration >= Duration::from_millis(1)).then_some(duration)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(file: Value) -> String {
        Job::read(file).unwrap_err().to_string()
    }

    fn refused_task(task: Value) -> String {
        refused(json!({"name": "j", "tasks": [task]}))
    }

    #[test]
    fn all_keys() {
        let job = Job::read(json!({
            "$schema": "job.schema.json",
            "name": "j",
            "context": {"n": 1},
            "tasks": [
                {"name": "b", "depends_on": ["a", "a"], "handler": "work", "topic": "t", "timeout": "10s",
                 "max_retries": 3, "continue_on_failure": true, "arguments": {"x": null}, "inputs": {"y": "n"}},
                {"name": "a"},
            ],
        }))
        .unwrap();
        let plain = Task {
            name: "a".into(),
            handler: "a".into(),
            topic: None,
            depends_on: vec![],
            timeout: None,
            max_retries: None,
            continue_on_failure: false,
            inputs: None,
            arguments: Map::new(),
        };
        let full = Task {
            name: "b".into(),
            handler: "work".into(),
            topic: Some("t".into()),
            depends_on: vec![0],
            timeout: Some(Duration::from_secs(10)),
            max_retries: Some(3),
            continue_on_failure: true,
            inputs: Some(vec![("y".into(), "n".into())]),
            arguments: json!({"x": null}).as_object().unwrap().clone(),
        };
        assert_eq!(job.context, *json!({"n": 1}).as_object().unwrap());
        assert_eq!((job.name.as_str(), job.tasks), ("j", vec![plain, full]));
    }

    #[test]
    fn times() {
        let read = |value: Value| duration(&value).map(|time| time.as_millis());
        assert_eq!(read(json!("250ms")), Some(250));
        assert_eq!(read(json!("5m")), Some(300_000));
        assert_eq!(read(json!("2 h")), Some(7_200_000));
        assert_eq!(read(json!(10)), Some(10_000));
        assert_eq!(read(json!(0.5)), Some(500));
        for wrong in
            [json!("10"), json!("s"), json!("1.5s"), json!("-1s"), json!(0), json!(-1), json!(1e300), json!(null)]
        {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
        assert_eq!(read(json!(format!("{}h", u64::MAX))), None);
    }

    #[test]
    fn a_job_without_tasks_or_name() {
        assert_eq!(refused(json!([1])), "a job file is a JSON object with a name and tasks, and not [1]");
        assert_eq!(refused(json!({})), "the job: it has no \"name\"; give it one");
        for file in [json!({"name": "j"}), json!({"name": "j", "tasks": []})] {
            assert_eq!(refused(file), "job \"j\": it has no tasks; list one at least under \"tasks\"");
        }
        assert_eq!(refused(json!({"name": "j", "tasks": {}})), "job \"j\": \"tasks\" must be a list, and is {}");
        assert_eq!(
            refused(json!({"name": "j", "tasks": [{"name": "a"}], "timeout": "1s"})),
            "job \"j\": there is no key \"timeout\"; the keys are $schema, name, context, tasks"
        );
    }

    #[test]
    fn names_are_there_and_differ() {
        assert_eq!(refused_task(json!("a")), "task number 1: a task is an object with a name, and not \"a\"");
        assert_eq!(refused_task(json!({})), "task number 1: it has no \"name\"; give it one");
        assert_eq!(
            refused_task(json!({"name": " "})),
            "task number 1: \"name\" must be text that is not empty, and is \" \""
        );
        assert_eq!(
            refused(json!({"name": "j", "tasks": [{"name": "a"}, {"name": "a"}]})),
            "task \"a\": two tasks have this name; rename one of them"
        );
    }

    #[test]
    fn values_that_do_not_fit_name_task_and_key() {
        assert_eq!(
            refused_task(json!({"name": "a", "depends_on": "b"})),
            "task \"a\": \"depends_on\" must be a list of names of tasks, and is \"b\""
        );
        assert!(
            refused_task(json!({"name": "a", "timeout": "soon"})).contains("\"timeout\" must be a time like \"10s\"")
        );
        assert!(refused_task(json!({"name": "a", "max_retries": -1})).contains("a whole number from 0, and is -1"));
        assert!(refused_task(json!({"name": "a", "inputs": {"x": 1}})).contains("a key of the context"));
        assert!(refused_task(json!({"name": "a", "arguments": vec![7; 99]})).ends_with("7,7,7…"));
        assert!(refused_task(json!({"name": "a", "dependsOn": []})).contains(
            "there is no key \"dependsOn\"; the keys are name, handler, topic, depends_on, timeout, max_retries, \
             continue_on_failure, inputs, arguments"
        ));
    }

    #[test]
    fn dependencies_exist_and_make_no_cycle() {
        assert_eq!(
            refused_task(json!({"name": "a", "depends_on": ["b"]})),
            "task \"a\": it depends on \"b\", which is not in the job; add that task, or take it out of \"depends_on\""
        );
        let cycle = json!([
            {"name": "start", "depends_on": ["a"]},
            {"name": "a", "depends_on": ["b"]},
            {"name": "b", "depends_on": ["fine", "a"]},
            {"name": "fine"},
        ]);
        assert_eq!(
            refused(json!({"name": "j", "tasks": cycle})),
            "task \"a\": it depends on itself, a -> b -> a (each needs the next one first); \
             take out one of these dependencies"
        );
        assert!(refused_task(json!({"name": "a", "depends_on": ["a"]})).contains("itself, a -> a ("));
    }
}
