//! The checks after the faults have stopped and all work has ended.

use std::collections::HashMap;
use std::sync::Arc;

use brrr_protocol::client::Client;
use brrr_protocol::listing::Listing;
use brrr_protocol::model::{JobId, Topic};
use brrr_protocol::ports::{Backend, Key, Kind as RecordKind};
use brrr_protocol::records::JobRecord;
use brrr_protocol::wire::PendingReturns;
use futures_util::{StreamExt as _, stream};

use crate::backend_servers::{Kind, Ports};
use crate::clients::{Accepted, digest};
use crate::shapes::TOPIC;

/// How many reads run at once.
const AT_ONCE: usize = 16;

pub struct Rest {
    pub backend: Arc<dyn Backend>,
    pub ports: Ports,
}

impl Rest {
    /// The ids of all records of a kind.
    async fn all(&self, kind: &RecordKind) -> Vec<String> {
        let (mut listing, mut ids) = (Listing::of(self.backend.store(), kind.clone()), Vec::new());
        while let Some(page) = listing.next().await.expect("a page") {
            ids.extend(page);
        }
        ids
    }

    /// The jobs that are not over, and the number of all jobs.
    pub async fn jobs(&self) -> (Vec<JobId>, usize) {
        let ids = self.all(&RecordKind::Job).await;
        let (mut open, all) = (Vec::new(), ids.len());
        for page in ids.chunks(100) {
            let keys: Vec<Key> = page.iter().map(|id| Key::new(id, RecordKind::Job)).collect();
            let records = self.backend.store().get_many(&keys).await.expect("jobs");
            for (id, record) in page.iter().zip(records) {
                let job = JobRecord::decode(&record.expect("a job that was listed")).expect("a job record");
                if !job.is_over() {
                    open.push(JobId::from(id.clone()));
                }
            }
        }
        (open, all)
    }

    /// The number of messages that wait or are leased.
    pub async fn depth(&self) -> u64 {
        self.backend.queue().depth(&Topic::from(TOPIC)).await.expect("a depth")
    }

    pub async fn dead_letters(&self) -> Vec<String> {
        let dead_letters = self.backend.queue().dead_letters(&Topic::from(TOPIC), 100).await.expect("dead letters");
        dead_letters
            .into_iter()
            .map(|dead_letter| format!("dead letter {}: {}", dead_letter.body, dead_letter.reason))
            .collect()
    }

    /// The accepted jobs whose outcome has changed or is missing.
    pub async fn replaced(&self, accepted: &HashMap<JobId, Accepted>) -> Vec<String> {
        let client = Client::new(self.backend.clone());
        let looks = stream::iter(accepted).map(|(job_id, job)| {
            let client = &client;
            async move {
                let found = client.outcome(job_id, &job.call).await.expect("an outcome can be read");
                (found.as_ref().map(digest) != Some(job.digest))
                    .then(|| format!("job {job_id} ({}): its outcome is another one now: {found:?}", job.shape))
            }
        });
        looks.buffer_unordered(AT_ONCE).filter_map(async |complaint| complaint).collect().await
    }

    /// Parents that are registered with calls: those of live jobs, and the number of those whose jobs are over.
    pub async fn registrations(&self) -> (Vec<String>, usize) {
        let client = Client::new(self.backend.clone());
        let (mut live, mut over) = (Vec::new(), 0);
        for id in self.all(&RecordKind::PendingReturns).await {
            let key = Key::new(&id, RecordKind::PendingReturns);
            let Some(bytes) = self.backend.store().get(&key).await.expect("registrations") else { continue };
            for entry in PendingReturns::decode(&bytes).expect("registrations").returns {
                let job = client.job(&entry.job_id).await.expect("a job");
                if job.is_some_and(|job| job.is_over()) {
                    over += 1;
                } else {
                    live.push(format!("{entry:?} waits for {id}"));
                }
            }
        }
        (live, over)
    }

    /// The messages that are left in the backend's own tables or keys: name and number. Each number must be 0.
    pub fn remains(&self) -> Vec<(String, u64)> {
        let remains = match self.ports.kind {
            Kind::Sqlite => self.in_tables(),
            Kind::Redis => self.in_keys(),
            // SQS shows nothing more than `depth`.
            Kind::AwsLocal => Vec::new(),
        };
        remains.into_iter().filter(|(_, left)| *left > 0).collect()
    }

    fn in_tables(&self) -> Vec<(String, u64)> {
        let file = rusqlite::Connection::open(self.ports.file()).expect("the file");
        let count = |table: &str| {
            let sql = format!("SELECT count(*) FROM {table}");
            file.query_row(&sql, [], |row| row.get::<_, i64>(0)).expect("a count").cast_unsigned()
        };
        ["ready", "delayed", "leased", "dead_letter"].map(|table| (table.to_owned(), count(table))).to_vec()
    }

    fn in_keys(&self) -> Vec<(String, u64)> {
        // These are the names without a namespace, because the test uses none.
        let script = format!(
            "return {{redis.call('LLEN', '{TOPIC}'), redis.call('ZCARD', 'brrr:leases'), \
             redis.call('ZCARD', 'brrr:delayed:{TOPIC}'), redis.call('HLEN', 'brrr:receives:{TOPIC}'), \
             redis.call('ZCARD', 'brrr:dlq:{TOPIC}'), #redis.call('KEYS', 'brrr:held:*')}}"
        );
        let names = ["ready", "leases", "delayed", "receives", "dead letters", "held"];
        let numbers = crate::ask::numbers(self.ports.ports[0], &["EVAL", &script, "0"]);
        names.map(str::to_owned).into_iter().zip(numbers).collect()
    }
}
