//! The backends on AWS services, here on local servers that speak their protocols, and the guarantees that they do not give.

use std::sync::Arc;
use std::time::Duration;

use brrr_backends::dynamodb::{self, DynamoDb};
use brrr_backends::sqs::{self, Sqs};
use brrr_backends::{Combined, Memory, aws};
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Backend, Counters, EventLog, Queue, Store};

use super::{Kind, servers};

/// The table of this program's tests. Each test has its own namespace in it.
const TABLE: &str = "brrr-tests";

impl Kind {
    /// The size in bytes of the largest value that fits.
    pub fn largest_value(self) -> usize {
        // An item of DynamoDB has 400 KB, including the names of its attributes and its key.
        if self.is_on_dynamodb() { 390 << 10 } else { 1 << 20 }
    }

    /// Is every text a valid record id? DynamoDB allows 1 to 2,048 bytes.
    pub fn takes_any_id(self) -> bool {
        !self.is_on_dynamodb()
    }

    /// Can it store events?
    pub fn keeps_events(self) -> bool {
        !matches!(self, Self::DynamoDbSqs)
    }

    pub fn is_on_dynamodb(self) -> bool {
        matches!(self, Self::DynamoDb | Self::DynamoDbSqs | Self::RedisDynamoDb)
    }

    fn is_on_sqs(self) -> bool {
        self == Self::DynamoDbSqs
    }

    /// Are messages delivered in the order in which they were sent, and as many at once as there are? A standard queue of SQS is
    /// spread over many machines. It answers with messages from some of them, ten at a time.
    pub fn is_in_order(self) -> bool {
        !self.is_on_sqs()
    }

    /// Is every text a valid topic and a valid body? SQS needs names of letters, digits, `-` and `_`, and text that is valid in
    /// XML.
    pub fn takes_any_text(self) -> bool {
        !self.is_on_sqs()
    }

    /// The unit of leases and delays. The unit of SQS is a second.
    pub fn tick(self) -> Duration {
        if self.is_on_sqs() { Duration::from_secs(1) } else { Duration::from_millis(1) }
    }

    /// A lease that is short enough for a test to wait for its end.
    pub fn short_lease(self) -> Duration {
        Duration::from_millis(120).max(self.tick())
    }
}

/// The configuration for a server on this machine. Credentials and region are set here, and not taken from the environment of the
/// test.
pub async fn config(port: u16) -> aws_config::SdkConfig {
    use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
    let profile = "[default]\nregion=us-east-1\naws_access_key_id=test\naws_secret_access_key=test\n";
    let files = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Credentials, profile).build();
    aws::loader()
        .region("us-east-1")
        .profile_files(files)
        .profile_name("default")
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .load()
        .await
}

pub async fn table(name: &str, namespace: &str) -> DynamoDb {
    let server = servers::dynamodb::shared().expect("a server, see `is_there`");
    let options = dynamodb::DynamoDbOptions { table: name.to_owned(), namespace: namespace.to_owned() };
    let table = DynamoDb::new(options, &config(server.port).await).unwrap();
    table.create().await.unwrap();
    table
}

/// A table that no other test uses. A scan reads the records of all namespaces, so tests with large records would slow down all
/// others.
async fn own_table(namespace: &str) -> DynamoDb {
    table(&format!("{TABLE}-{namespace}"), namespace).await
}

/// All tests share the servers.
pub fn namespace() -> String {
    format!("{:016x}", fastrand::u64(..))
}

pub async fn dynamodb_in_memory(lease: Duration) -> Arc<dyn Backend> {
    dynamodb_with(Memory::with_lease(lease)).await
}

/// Records in DynamoDB, everything else in `other`.
pub async fn dynamodb_with<T>(other: T) -> Arc<dyn Backend>
where
    T: Backend + Queue + Counters + EventLog + 'static,
{
    let (store, other) = (own_table(&namespace()).await, Arc::new(other));
    let name = format!("{} + {}", other.name(), store.name());
    Arc::new(Combined {
        name,
        store: Arc::new(store),
        queue: other.clone(),
        counters: other.clone(),
        events: Some(other),
    })
}

/// The topics that the suites use.
const TOPICS: [&str; 6] = ["t", "u", "a", "b", "c", super::tree::TOPIC];

pub async fn dynamodb_sqs(lease: Duration) -> Arc<dyn Backend> {
    let namespace = namespace();
    let store = Arc::new(own_table(&namespace).await);
    let queue = queues(&namespace, lease, store.clone()).await;
    queue.create(&TOPICS.map(Topic::from)).await.unwrap();
    let name = format!("{} + {}", queue.name(), store.name());
    Arc::new(Combined { name, store: store.clone(), queue: Arc::new(queue), counters: store, events: None })
}

pub async fn queues(namespace: &str, lease: Duration, dead_letters: Arc<dyn Store>) -> Sqs {
    let server = servers::elasticmq::shared().expect("a server, see `is_there`");
    let options = sqs::SqsOptions { prefix: "brrr-".to_owned(), namespace: namespace.to_owned(), lease };
    Sqs::new(options, &config(server.port).await, dead_letters).unwrap()
}
