//! The backends on AWS's services, here on local servers that speak their protocols; and what they do not promise.

use std::sync::Arc;
use std::time::Duration;

use brrr_backends::dynamodb::{self, DynamoDb};
use brrr_backends::sqs::{self, Sqs};
use brrr_backends::{Combined, Memory, aws};
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Backend, Counters, EventLog, Queue, Store};

use super::{Kind, servers};

/// The table of this program's tests; each has a namespace in it.
const TABLE: &str = "brrr-tests";

impl Kind {
    /// Bytes of the largest value that fits.
    pub fn largest_value(self) -> usize {
        // An item of DynamoDB has 400 KB, with the names of its attributes and its key.
        if self.is_on_dynamodb() { 390 << 10 } else { 1 << 20 }
    }

    /// Can every text be the id of a record? DynamoDB takes 1 to 2,048 bytes.
    pub fn takes_any_id(self) -> bool {
        !self.is_on_dynamodb()
    }

    /// Has it a place for events?
    pub fn keeps_events(self) -> bool {
        !matches!(self, Self::DynamoDbSqs)
    }

    fn is_on_dynamodb(self) -> bool {
        matches!(self, Self::DynamoDb | Self::DynamoDbSqs | Self::RedisDynamoDb)
    }

    fn is_on_sqs(self) -> bool {
        self == Self::DynamoDbSqs
    }

    /// Do messages come in the order of sending, and as many at once as there are? A standard queue of SQS is many machines,
    /// and answers with what some of them have at hand, ten at a time.
    pub fn is_in_order(self) -> bool {
        !self.is_on_sqs()
    }

    /// Is every text a topic and a body? SQS wants names of letters, digits, `-` and `_`, and text that XML can hold.
    pub fn takes_any_text(self) -> bool {
        !self.is_on_sqs()
    }

    /// The unit of time for leases and delays. That of SQS is a second.
    pub fn tick(self) -> Duration {
        if self.is_on_sqs() { Duration::from_secs(1) } else { Duration::from_millis(1) }
    }

    /// A lease short enough to wait for.
    pub fn short_lease(self) -> Duration {
        Duration::from_millis(120).max(self.tick())
    }
}

/// Configuration for a server on this machine. Credentials and region from here, not from whoever runs the tests.
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

/// All tests share the servers.
pub fn namespace() -> String {
    format!("{:016x}", fastrand::u64(..))
}

pub async fn dynamodb_in_memory(lease: Duration) -> Arc<dyn Backend> {
    dynamodb_with(Memory::with_lease(lease)).await
}

/// Records in DynamoDB, all else in `other`.
pub async fn dynamodb_with<T>(other: T) -> Arc<dyn Backend>
where
    T: Backend + Queue + Counters + EventLog + 'static,
{
    let (store, other) = (table(TABLE, &namespace()).await, Arc::new(other));
    let name = format!("{} + {}", other.name(), store.name());
    Arc::new(Combined {
        name,
        store: Arc::new(store),
        queue: other.clone(),
        counters: other.clone(),
        events: Some(other),
    })
}

/// Topics that the suites use.
const TOPICS: [&str; 6] = ["t", "u", "a", "b", "c", super::tree::TOPIC];

pub async fn dynamodb_sqs(lease: Duration) -> Arc<dyn Backend> {
    let namespace = namespace();
    let store = Arc::new(table(TABLE, &namespace).await);
    let queue = queues(&namespace, lease, store.clone()).await;
    queue.create(&TOPICS.map(Topic::from)).await.unwrap();
    let name = format!("{} + {}", queue.name(), store.name());
    Arc::new(Combined { name, store: store.clone(), queue: Arc::new(queue), counters: store, events: None })
}

pub async fn queues(namespace: &str, lease: Duration, letters: Arc<dyn Store>) -> Sqs {
    let server = servers::elasticmq::shared().expect("a server, see `is_there`");
    let options = sqs::SqsOptions { prefix: "brrr-".to_owned(), namespace: namespace.to_owned(), lease };
    Sqs::new(options, &config(server.port).await, letters).unwrap()
}
