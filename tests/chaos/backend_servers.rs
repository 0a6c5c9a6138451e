//! Where a fleet keeps its shared data: a file, or servers that the test starts. Each server is reached through proxies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use brrr_backends::dynamodb::{self, DynamoDb};
use brrr_backends::sqs::{self, Sqs};
use brrr_backends::{BackendConfig, Combined, aws};
use brrr_protocol::Result;
use brrr_protocol::ports::{Backend, Queue as _, Store as _};

use crate::proxy::Proxy;
use crate::servers::redis::Flavour;
use crate::servers::{Server, dynamodb as dynamodb_local, elasticmq, free_port};
use crate::shapes::TOPIC;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Redis,
    /// SQS and `DynamoDB`, as local servers.
    AwsLocal,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
            Self::AwsLocal => "aws-local",
        }
    }

    /// The lease is short, so that messages of a killed worker are soon delivered again. SQS counts in seconds.
    pub fn lease(self) -> Duration {
        match self {
            Self::Sqlite | Self::Redis => Duration::from_millis(1500),
            Self::AwsLocal => Duration::from_secs(3),
        }
    }
}

/// The time in which a server must have read its files.
const PATIENCE: Duration = Duration::from_mins(1);

/// The name of the table, and the prefix of the queues' names.
const NAME: &str = "chaos";

/// What Redis still has after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing.
    Memory,
    /// Everything that it has answered.
    Disk,
}

pub struct BackendServers {
    pub kind: Kind,
    pub folder: PathBuf,
    durability: Durability,
    /// Redis is restarted on the port of its first start.
    redis: Option<Server>,
    /// The port of Redis, or the ports of `DynamoDB` and SQS.
    pub ports: Vec<u16>,
    _aws: Vec<Server>,
}

impl BackendServers {
    /// Starts the servers. `None`: a server is not available here.
    pub fn start(kind: Kind, folder: &Path, durability: Durability) -> Option<Self> {
        let mut servers =
            Self { kind, folder: folder.to_owned(), durability, redis: None, ports: Vec::new(), _aws: Vec::new() };
        match kind {
            Kind::Sqlite => {}
            Kind::Redis => {
                servers.ports = vec![free_port()];
                servers.redis = Some(servers.start_redis()?);
            }
            Kind::AwsLocal => {
                servers._aws = vec![dynamodb_local::start()?, elasticmq::start()?];
                servers.ports = servers._aws.iter().map(|server| server.port).collect();
            }
        }
        Some(servers)
    }

    fn start_redis(&self) -> Option<Server> {
        let folder = self.folder.to_str().expect("UTF-8");
        let durable = ["--appendonly", "yes", "--appendfsync", "always", "--dir", folder];
        let more = if self.durability == Durability::Disk { &durable[..] } else { &[] };
        Flavour::Redis.start(Some(self.ports[0]), more)
    }

    /// Kills Redis. Returns whether there is a Redis.
    pub fn kill_redis(&mut self) -> bool {
        self.redis.take().is_some()
    }

    /// Starts Redis again.
    pub fn revive_redis(&mut self) {
        self.redis = self.start_redis();
    }

    /// A route for one process, with proxies that no other process uses.
    pub fn route(&self) -> Route {
        let proxies = self.ports.iter().map(|port| Proxy::start(*port)).collect();
        Route { kind: self.kind, folder: self.folder.clone(), proxies }
    }

    /// The ports without proxies.
    pub fn direct(&self) -> Ports {
        Ports { kind: self.kind, folder: self.folder.clone(), ports: self.ports.clone() }
    }

    /// Creates the table and the queue where the backend needs them.
    pub async fn prepare(&self) {
        if self.kind == Kind::AwsLocal {
            let (table, queue) = self.direct().aws().await;
            table.create().await.expect("a table");
            queue.create(&[TOPIC.into()]).await.expect("a queue");
        }
    }
}

/// How one process reaches the servers.
pub struct Route {
    kind: Kind,
    folder: PathBuf,
    pub proxies: Vec<Proxy>,
}

impl Route {
    pub fn ports(&self) -> Ports {
        let ports = self.proxies.iter().map(|proxy| proxy.port).collect();
        Ports { kind: self.kind, folder: self.folder.clone(), ports }
    }
}

/// The servers, as seen through these ports.
#[derive(Clone)]
pub struct Ports {
    pub kind: Kind,
    folder: PathBuf,
    pub ports: Vec<u16>,
}

impl Ports {
    /// The environment of a command that uses these servers.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![("BRRR_TOPIC", TOPIC.to_owned())];
        match self.kind {
            Kind::Sqlite => all.push(("BRRR_BACKEND", format!("sqlite:{}", self.file().display()))),
            Kind::Redis => all.push(("BRRR_BACKEND", format!("redis://127.0.0.1:{}", self.ports[0]))),
            Kind::AwsLocal => all.extend([
                ("BRRR_STORE", format!("dynamodb://{NAME}")),
                ("BRRR_QUEUE", format!("sqs://{NAME}-")),
                ("AWS_ENDPOINT_URL_DYNAMODB", format!("http://127.0.0.1:{}", self.ports[0])),
                ("AWS_ENDPOINT_URL_SQS", format!("http://127.0.0.1:{}", self.ports[1])),
                ("AWS_REGION", "us-east-1".to_owned()),
                ("AWS_ACCESS_KEY_ID", "local".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ]),
        }
        all
    }

    pub fn file(&self) -> PathBuf {
        self.folder.join("state.db")
    }

    /// Opens the backend. Repeats this for a while, because a server that was just started may still be reading its files.
    pub async fn open(&self) -> Arc<dyn Backend> {
        let begun = Instant::now();
        loop {
            match self.try_open().await {
                Err(error) if error.is_transient() && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                opened => return opened.expect("the backend"),
            }
        }
    }

    async fn try_open(&self) -> Result<Arc<dyn Backend>> {
        let lease = Some(self.kind.lease());
        let at = |url| async move { BackendConfig { lease, ..BackendConfig::at(url) }.open().await };
        match self.kind {
            Kind::Sqlite => at(format!("sqlite:{}", self.file().display())).await,
            Kind::Redis => at(format!("redis://127.0.0.1:{}", self.ports[0])).await,
            Kind::AwsLocal => {
                let (store, queue) = self.aws().await;
                let name = self.kind.name().to_owned();
                Ok(Arc::new(Combined {
                    name,
                    store: store.clone(),
                    queue: Arc::new(queue),
                    counters: store,
                    events: None,
                }))
            }
        }
    }

    async fn aws(&self) -> (Arc<DynamoDb>, Sqs) {
        use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
        // Fixed credentials, so that those of the person who runs the tests are not used.
        let profile = "[default]\naws_access_key_id=local\naws_secret_access_key=local\n";
        let files = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Credentials, profile).build();
        let config = |port: u16| {
            let loader = aws::loader().region("us-east-1").profile_files(files.clone()).profile_name("default");
            loader.endpoint_url(format!("http://127.0.0.1:{port}")).load()
        };
        let options = dynamodb::DynamoDbOptions { table: NAME.to_owned(), namespace: String::new() };
        let table = Arc::new(DynamoDb::new(options, &config(self.ports[0]).await).expect("a table's client"));
        let options =
            sqs::SqsOptions { prefix: format!("{NAME}-"), namespace: String::new(), lease: self.kind.lease() };
        let queue = Sqs::new(options, &config(self.ports[1]).await, table.clone()).expect("a queue's client");
        (table, queue)
    }
}
