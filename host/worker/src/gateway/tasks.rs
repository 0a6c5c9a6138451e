//! What the workers of the gateway's topics have announced of their tasks. It is read at most once a second for each topic.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use brrr_protocol::Result;
use brrr_protocol::model::Topic;
use brrr_protocol::options::Scope;
use brrr_protocol::ports::{Backend, Key};
use brrr_protocol::records::{TaskInfo, TaskInfos, decode_task_infos, decode_tasks, encode_task_infos, encode_tasks};
use bytes::Bytes;
use jsonschema::Validator;
use serde_json::Value;

use super::v1::problem::InputError;

/// How long an answer of the backend is used.
pub const FRESH: Duration = Duration::from_secs(1);

/// The most errors of an input that are reported.
const MOST_ERRORS: usize = 20;

/// The announced tasks, by topic.
#[derive(Default)]
pub struct AnnouncedTasks {
    topics: Mutex<HashMap<Topic, Known>>,
}

struct Known {
    read: Instant,
    records: [Option<Bytes>; 2],
    tasks: Arc<TopicTasks>,
}

/// The tasks of a topic.
#[derive(Default)]
pub struct TopicTasks {
    /// The names of the tasks. `None`: nothing was announced, or it can't be read.
    pub names: Option<BTreeSet<String>>,
    /// What is known of them.
    pub infos: BTreeMap<String, TaskInfo>,
    validators: BTreeMap<String, Validator>,
}

impl AnnouncedTasks {
    /// The tasks of a topic, as they were read not longer than `age` ago.
    ///
    /// # Errors
    /// When the backend can't be read.
    pub async fn of(&self, backend: &dyn Backend, topic: &Topic, age: Duration) -> Result<Arc<TopicTasks>> {
        if let Some(known) = self.topics.lock().unwrap_or_else(PoisonError::into_inner).get(topic)
            && known.read.elapsed() < age
            // Once a worker announces its tasks, other tasks are refused at once.
            && known.tasks.names.is_some()
        {
            return Ok(known.tasks.clone());
        }
        let read = Instant::now();
        let records = backend.store().get_many(&[Key::tasks(topic), Key::task_info(topic)]).await?;
        let records = <[_; 2]>::try_from(records).unwrap_or_default();
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let same = topics.get(topic).filter(|known| known.records == records).map(|known| known.tasks.clone());
        // Compiling a schema takes long.
        let tasks = same.unwrap_or_else(|| Arc::new(TopicTasks::of(&records)));
        topics.insert(topic.clone(), Known { read, records, tasks: tasks.clone() });
        Ok(tasks)
    }
}

impl TopicTasks {
    fn of([tasks, infos]: &[Option<Bytes>; 2]) -> Self {
        // A record that this version can't read counts as none.
        let names = tasks.as_ref().and_then(|bytes| decode_tasks(bytes).ok());
        let infos = infos.as_ref().and_then(|bytes| decode_task_infos(bytes).ok()).unwrap_or_default();
        let validator = |(name, info): (&String, &TaskInfo)| {
            let compiled = jsonschema::validator_for(info.input_schema.as_ref()?);
            compiled.inspect_err(|error| tracing::warn!("the input schema of {name} is no schema: {error}")).ok()
        };
        let validators = infos.iter().filter_map(|entry| Some((entry.0.clone(), validator(entry)?))).collect();
        Self { names, infos, validators }
    }

    /// One task with what is known of it.
    pub fn of_one(name: String, info: TaskInfo) -> Self {
        let names = BTreeSet::from([name.clone()]);
        let infos = TaskInfos::from([(name, info)]);
        Self::of(&[Some(encode_tasks(&names)), Some(encode_task_infos(&infos))])
    }

    /// Who shares the outcomes of the task's calls. `None`: its workers have not said it.
    pub fn scope_of(&self, task: &str) -> Option<Scope> {
        Scope::parse(self.infos.get(task)?.scope.as_deref()?).ok()
    }

    /// Has the task an input schema?
    pub fn has_schema(&self, task: &str) -> bool {
        self.validators.contains_key(task)
    }

    /// What in the input breaks the schema of the task. Empty: it fits, or the task has no schema.
    pub fn errors_in(&self, task: &str, input: &Value) -> Vec<InputError> {
        let Some(validator) = self.validators.get(task) else { return Vec::new() };
        let errors = validator.iter_errors(input).take(MOST_ERRORS);
        errors.map(|e| InputError { pointer: e.instance_path().to_string(), message: e.to_string() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_input_is_compared_with_the_schema_of_its_task() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
        let info = |input_schema| TaskInfo { input_schema, ..TaskInfo::default() };
        let infos = TaskInfos::from([("fib".to_owned(), info(Some(schema))), ("odd".to_owned(), info(Some(json!(7))))]);
        let names = infos.keys().cloned().collect();
        let tasks = TopicTasks::of(&[Some(encode_tasks(&names)), Some(encode_task_infos(&infos))]);
        let pointers = |task: &str, input| {
            let errors = tasks.errors_in(task, &input);
            errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>()
        };
        assert_eq!(pointers("fib", json!({"n": 3})), [""; 0]);
        assert_eq!(pointers("fib", json!({"n": "x"})), ["/n"]);
        assert_eq!(pointers("fib", json!({})), [""]);
        // A task without a schema, and one whose schema is none.
        assert_eq!(pointers("other", json!({})), [""; 0]);
        assert_eq!(pointers("odd", json!({})), [""; 0]);
        assert_eq!(tasks.names.as_ref().map(BTreeSet::len), Some(2));
    }
}
