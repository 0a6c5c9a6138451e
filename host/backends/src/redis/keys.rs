//! The keys and their contents.
//!
//! | key | type | contents |
//! |---|---|---|
//! | `<topic>` | list | bodies of messages, in the format of the peers |
//! | `brrr_count/<job_id>` | integer | number of messages sent for a job, shared with peers |
//! | `brrr:call:<hash>` | hash | the records of a call, by kind |
//! | `brrr:job:<job_id>`, `brrr:topic:<topic>` | hash | the records of a job and of a topic |
//! | `brrr:component:<digest>`, `brrr:chunk:<digest>` | hash | the records of a component, and a chunk of a component |
//! | `brrr:jobs` | sorted set | jobs that have a record, by the time of acceptance (µs of the server, unique for each job) |
//! | `brrr:jobs:alive`, `brrr:jobs:<state>` | sorted set | the jobs in this state, with the same scores. Completed jobs have none |
//! | `brrr:jobs:topic:<topic>`, `brrr:jobs:task:<task>`, `brrr:jobs:label:<label>` | sorted set | the jobs with this topic, task or label, with the same scores |
//! | `brrr:ids:<kind>` | sorted set | the ids that have a record of this kind, in the order of their bytes: see `Kind::LISTED` |
//! | `brrr:parents:<hash>` | sorted set | the parents that wait for a call, if there are many: see `lua/lib.lua` |
//! | `brrr:arrived:<topic>` | list | bodies that woke a waiting worker, until this worker or another one takes them |
//! | `brrr:held:<worker>` | hash | number of a delivery → `receives:length:topic` and body of a message that this worker works on |
//! | `brrr:leases` | sorted set | `<worker>/<number>`, by the end of the lease (Unix ms of the server) |
//! | `brrr:delayed:<topic>` | sorted set | `unique:receives:body`, by the time when it is due |
//! | `brrr:receives:<topic>` | hash | body → number of deliveries without result |
//! | `brrr:dlq:<topic>` | sorted set | `at:length:reason` and body of each dead letter, by its id |
//! | `brrr:events` | stream | recent events, in the field `e` |
//! | `brrr:deliveries`, `brrr:dead-letters` | integer | the last number of a delivery, of a dead letter |
//!
//! If there is a namespace, each key begins with it and a colon.

use brrr_protocol::model::Topic;
use brrr_protocol::ports::{IndexedState, JobFacts, JobFilter, Key, Kind};
use brrr_protocol::records::JobState;

pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub fn new(namespace: &str) -> Self {
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}:") };
        Self { prefix }
    }

    /// The prefix of every key.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn topic(&self, topic: &Topic) -> String {
        format!("{}{topic}", self.prefix)
    }

    pub fn counter(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The hash that contains a record. The field is the kind's name.
    pub fn record(&self, key: &Key) -> String {
        format!("{}{}", self.records(&key.kind), key.id)
    }

    /// The prefix of the keys of all records of this kind.
    pub fn records(&self, kind: &Kind) -> String {
        let class = match kind {
            Kind::Job => "job",
            Kind::Tasks | Kind::TaskInfo | Kind::Schedules | Kind::Workers | Kind::Deployments => "topic",
            Kind::Manifest | Kind::Upload => "component",
            Kind::Chunk => "chunk",
            _ => "call",
        };
        format!("{}brrr:{class}:", self.prefix)
    }

    /// The ids that have a record of this kind. Only kinds of which there are few have such a set.
    pub fn ids(&self, kind: &Kind) -> Option<String> {
        kind.is_listed().then(|| format!("{}brrr:ids:{}", self.prefix, kind.name()))
    }

    /// The channel on which the ends of jobs are published.
    pub fn over(&self) -> String {
        format!("{}brrr:over", self.prefix)
    }

    /// The jobs in the order of acceptance.
    pub fn jobs(&self) -> String {
        format!("{}brrr:jobs", self.prefix)
    }

    /// The jobs in a state. `None`: there is no such set, because most jobs would be in it.
    pub fn jobs_in(&self, state: IndexedState) -> Option<String> {
        let has_set = state != IndexedState::Over(JobState::Completed);
        has_set.then(|| format!("{}:{}", self.jobs(), state.as_str()))
    }

    /// All sets of jobs in a state.
    pub fn jobs_in_states(&self) -> impl Iterator<Item = String> {
        IndexedState::ALL.into_iter().filter_map(|state| self.jobs_in(state))
    }

    /// The sets of jobs that a job is in whatever its state is, beside the set of all.
    pub fn jobs_like(&self, facts: &JobFacts) -> Vec<String> {
        let label = facts.label.as_ref();
        self.jobs_of(Some(&facts.topic), Some(&facts.task), label)
    }

    /// The sets of jobs that a job is in that matches the filter, beside the set of all.
    pub fn jobs_that_match(&self, filter: &JobFilter) -> Vec<String> {
        let state = filter.state.and_then(|state| self.jobs_in(state));
        let others = self.jobs_of(filter.topic.as_ref(), filter.task.as_ref(), filter.label.as_ref());
        others.into_iter().chain(state).collect()
    }

    fn jobs_of(&self, topic: Option<&String>, task: Option<&String>, label: Option<&String>) -> Vec<String> {
        let of = |(kind, text): (&str, Option<&String>)| Some(format!("{}:{kind}:{}", self.jobs(), text?));
        [("topic", topic), ("task", task), ("label", label)].into_iter().filter_map(of).collect()
    }

    /// The parents of a call, if there are many.
    pub fn parents(&self, call: &str) -> String {
        format!("{}brrr:parents:{call}", self.prefix)
    }

    /// Messages of a topic that woke a worker, and that no worker has taken yet.
    pub fn arrived(&self, topic: &Topic) -> String {
        format!("{}brrr:arrived:{topic}", self.prefix)
    }

    pub fn held(&self, worker: &str) -> String {
        format!("{}brrr:held:{worker}", self.prefix)
    }

    pub fn leases(&self) -> String {
        format!("{}brrr:leases", self.prefix)
    }

    pub fn delayed(&self, topic: &str) -> String {
        format!("{}brrr:delayed:{topic}", self.prefix)
    }

    pub fn receives(&self, topic: &str) -> String {
        format!("{}brrr:receives:{topic}", self.prefix)
    }

    pub fn dlq(&self, topic: &Topic) -> String {
        format!("{}brrr:dlq:{topic}", self.prefix)
    }

    pub fn events(&self) -> String {
        format!("{}brrr:events", self.prefix)
    }

    pub fn deliveries(&self) -> String {
        format!("{}brrr:deliveries", self.prefix)
    }

    pub fn last_dead_letter(&self) -> String {
        format!("{}brrr:dead-letters", self.prefix)
    }
}
