//! Says where a fleet keeps its messages, records and counters: one URL for all of them, or one URL for each.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::check_namespace;
use brrr_protocol::ports::{Backend, Counters, EventLog, Queue, Store};

use crate::url::{BackendAddress, DEFAULT_URL, Location};
use crate::{Combined, DEFAULT_LEASE, Memory};

/// Says where a fleet keeps its shared data. A URL for one part takes precedence over the URL for all parts.
#[derive(Clone, Debug, Default)]
pub struct BackendConfig {
    /// The URL of all parts that have no URL of their own. `sqlite:.brrr/state.db` if no URL is given at all.
    pub backend: Option<String>,
    /// The URL of the messages.
    pub queue: Option<String>,
    /// The URL of the records.
    pub store: Option<String>,
    /// The URL of the counters. By default they are where the queue is, if that backend can count; otherwise they are in
    /// the store.
    pub counters: Option<String>,
    /// Separates fleets that share a server. Empty: no namespace, like peers.
    pub namespace: String,
    /// How long a delivered message is leased. `None`: the default of the queue.
    pub lease: Option<Duration>,
    /// Create nothing: a missing SQLite file is an error (`NotSetUp`).
    pub must_exist: bool,
}

/// What is open at an address. A field is `None` if it can't take that role.
struct Parts {
    address: BackendAddress,
    name: String,
    whole: Option<Arc<dyn Backend>>,
    store: Option<Arc<dyn Store>>,
    queue: Option<Arc<dyn Queue>>,
    counters: Option<Arc<dyn Counters>>,
    events: Option<Arc<dyn EventLog>>,
}

impl Parts {
    fn all<T: Backend + Store + Queue + Counters + EventLog + 'static>(address: BackendAddress, backend: T) -> Self {
        let backend = Arc::new(backend);
        Self {
            address,
            name: backend.name(),
            whole: Some(backend.clone()),
            store: Some(backend.clone()),
            queue: Some(backend.clone()),
            counters: Some(backend.clone()),
            events: Some(backend),
        }
    }
}

impl BackendConfig {
    /// A configuration that keeps everything in one backend.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self { backend: Some(url.into()), ..Self::default() }
    }

    /// Is any part in this process only?
    #[must_use]
    pub fn is_of_one_process(&self) -> bool {
        let urls = [&self.backend, &self.queue, &self.store, &self.counters];
        urls.into_iter().flatten().any(|url| url.starts_with("memory:"))
    }

    /// Opens the backend.
    ///
    /// # Errors
    /// `Config` if the configuration is not possible; otherwise the error that a part failed to open with.
    pub async fn open(&self) -> Result<Arc<dyn Backend>> {
        check_namespace(&self.namespace).map_err(refuse)?;
        let apart = [&self.queue, &self.store, &self.counters].into_iter().any(Option::is_some);
        let backend = match (&self.backend, apart) {
            (Some(url), _) => Some(Location::parse(url)?),
            (None, true) => None,
            (None, false) => Some(Location::parse(DEFAULT_URL)?),
        };
        let named = |url: &Option<String>, what: &str| match (url, &backend) {
            (Some(url), _) => Location::parse(url),
            (None, Some(location)) => Ok(location.clone()),
            (None, None) => {
                Err(refuse(format!("nothing says where the {what} is; add --{what} URL, or --backend URL")))
            }
        };
        let store = named(&self.store, "store")?;
        let queue = named(&self.queue, "queue")?;
        let mut opened = Vec::new();
        let store = self.open_at(&mut opened, &store, None).await?;
        let (address, records) = (opened[store].address.clone(), opened[store].store.clone());
        let records = records.ok_or_else(|| unfit(&address, "store"))?;
        let queue = self.open_at(&mut opened, &queue, Some(&records)).await?;
        let counters = match &self.counters {
            Some(url) => self.open_at(&mut opened, &Location::parse(url)?, Some(&records)).await?,
            None if opened[queue].counters.is_some() => queue,
            None => store,
        };
        if store == queue
            && queue == counters
            && let Some(whole) = &opened[store].whole
        {
            return Ok(whole.clone());
        }
        let (queue, counters) = (&opened[queue], &opened[counters]);
        let store = &opened[store];
        Ok(Arc::new(Combined {
            name: format!("{} with records in {} and counters in {}", queue.name, store.name, counters.name),
            store: records,
            queue: queue.queue.clone().ok_or_else(|| unfit(&queue.address, "queue"))?,
            counters: counters.counters.clone().ok_or_else(|| unfit(&counters.address, "store of the counters"))?,
            events: [queue, store, counters].into_iter().find_map(|parts| parts.events.clone()),
        }))
    }

    /// Opens an address, unless it is open already. Returns its index in `opened`.
    async fn open_at(
        &self,
        opened: &mut Vec<Parts>,
        location: &Location,
        records: Option<&Arc<dyn Store>>,
    ) -> Result<usize> {
        if let Some(found) = opened.iter().position(|parts| parts.address == location.address) {
            return Ok(found);
        }
        let address = location.address.clone();
        let lease = self.lease.or(location.lease);
        let parts = match &address {
            BackendAddress::Memory | BackendAddress::Sqlite(_) if !self.namespace.is_empty() => {
                return Err(refuse("--namespace keeps fleets apart on a server; here another file does".to_owned()));
            }
            BackendAddress::Memory => Parts::all(address, Memory::with_lease(lease.unwrap_or(DEFAULT_LEASE))),
            BackendAddress::Sqlite(path) => sqlite(path.clone(), lease, self.must_exist).await?,
            BackendAddress::Redis(url) => redis(url.clone(), &self.namespace, lease).await?,
            BackendAddress::DynamoDb(table) => dynamodb(table.clone(), &self.namespace).await?,
            BackendAddress::Sqs(prefix) => {
                let Some(records) = records else { return Err(unfit(&address, "store")) };
                sqs(prefix.clone(), &self.namespace, lease, records.clone()).await?
            }
        };
        opened.push(parts);
        Ok(opened.len() - 1)
    }
}

#[cfg(feature = "sqlite")]
async fn sqlite(path: String, lease: Option<Duration>, must_exist: bool) -> Result<Parts> {
    let options = crate::Sqlite::options().lease(lease.unwrap_or(DEFAULT_LEASE)).must_exist(must_exist);
    let (opened, address) = (path.clone(), BackendAddress::Sqlite(path));
    // Opening can wait for another program's lock.
    let backend = tokio::task::spawn_blocking(move || options.open(opened)).await;
    let backend = backend.map_err(|e| Error::new(ErrorKind::Internal, "sqlite", "open the file", e.to_string()))?;
    Ok(Parts::all(address, backend?))
}

#[cfg(not(feature = "sqlite"))]
async fn sqlite(_: String, _: Option<Duration>, _: bool) -> Result<Parts> {
    Err(left_out("sqlite"))
}

#[cfg(feature = "redis")]
async fn redis(url: String, namespace: &str, lease: Option<Duration>) -> Result<Parts> {
    let mut options =
        crate::redis::RedisOptions { namespace: namespace.to_owned(), ..crate::redis::RedisOptions::new(&url) };
    options.lease = lease.unwrap_or(options.lease);
    Ok(Parts::all(BackendAddress::Redis(url), crate::Redis::connect(options).await?))
}

#[cfg(not(feature = "redis"))]
async fn redis(_: String, _: &str, _: Option<Duration>) -> Result<Parts> {
    Err(left_out("redis"))
}

#[cfg(feature = "dynamodb")]
async fn dynamodb(table: String, namespace: &str) -> Result<Parts> {
    let options = crate::dynamodb::DynamoDbOptions { table: table.clone(), namespace: namespace.to_owned() };
    let backend = Arc::new(crate::DynamoDb::connect(options).await?);
    let (store, counters): (Arc<dyn Store>, Arc<dyn Counters>) = (backend.clone(), backend.clone());
    Ok(Parts {
        name: backend.name(),
        address: BackendAddress::DynamoDb(table),
        whole: None,
        store: Some(store),
        queue: None,
        counters: Some(counters),
        events: None,
    })
}

#[cfg(not(feature = "dynamodb"))]
async fn dynamodb(_: String, _: &str) -> Result<Parts> {
    Err(left_out("dynamodb"))
}

#[cfg(feature = "sqs")]
async fn sqs(prefix: String, namespace: &str, lease: Option<Duration>, records: Arc<dyn Store>) -> Result<Parts> {
    let mut options =
        crate::sqs::SqsOptions { prefix: prefix.clone(), namespace: namespace.to_owned(), ..Default::default() };
    options.lease = lease.unwrap_or(options.lease);
    let queue = Arc::new(crate::Sqs::connect(options, records).await?);
    let address = BackendAddress::Sqs(prefix);
    let name = queue.name();
    Ok(Parts { address, name, whole: None, store: None, queue: Some(queue), counters: None, events: None })
}

#[cfg(not(feature = "sqs"))]
async fn sqs(_: String, _: &str, _: Option<Duration>, _: Arc<dyn Store>) -> Result<Parts> {
    Err(left_out("sqs"))
}

/// The error for an address that can't take the role that the configuration gives it.
fn unfit(address: &BackendAddress, what: &str) -> Error {
    let (name, hint) = match address {
        BackendAddress::DynamoDb(_) => {
            ("DynamoDB", "it holds records and counters; add --queue redis://… or --queue sqs:")
        }
        BackendAddress::Sqs(_) => ("SQS", "it holds messages; add --store dynamodb:, and with it counters go there"),
        BackendAddress::Memory | BackendAddress::Sqlite(_) | BackendAddress::Redis(_) => {
            ("this backend", "name another one")
        }
    };
    refuse(format!("{name} can't be the {what}: {hint}"))
}

fn refuse(reason: String) -> Error {
    Error::new(ErrorKind::Config, "backend", "open the backend", reason)
}

#[allow(dead_code, reason = "used by what the features leave out")]
fn left_out(feature: &str) -> Error {
    refuse(format!("this program was built without it (cargo feature `{feature}`)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn error(config: BackendConfig) -> String {
        let error = config.open().await.err().expect("refused");
        assert_eq!(error.kind, ErrorKind::Config);
        error.to_string()
    }

    fn some(url: &str) -> Option<String> {
        Some(url.to_owned())
    }

    #[tokio::test]
    async fn one_url_opens_one_backend() {
        let backend = BackendConfig::at("memory:?lease=250ms").open().await.unwrap();
        assert_eq!((backend.name().as_str(), backend.queue().lease()), ("memory:", Duration::from_millis(250)));
        let config = BackendConfig { queue: some("memory:"), store: some("memory:"), ..BackendConfig::default() };
        assert_eq!(config.open().await.unwrap().name(), "memory:");
        let config = BackendConfig { lease: Some(Duration::from_secs(7)), ..BackendConfig::at("memory:?lease=1s") };
        assert_eq!(config.open().await.unwrap().queue().lease(), Duration::from_secs(7));
    }

    #[tokio::test]
    async fn an_impossible_configuration_says_what_is_possible() {
        let half = BackendConfig { store: some("memory:"), ..BackendConfig::default() };
        assert!(error(half).await.contains("--queue URL"));
        assert!(error(BackendConfig::at("sqs:")).await.contains("--store dynamodb:"));
        let apart = BackendConfig { namespace: "a".into(), ..BackendConfig::at("memory:") };
        assert!(error(apart).await.contains("--namespace"));
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn parts_of_several_backends_are_combined() {
        let folder = tempfile::tempdir().unwrap();
        let store = format!("sqlite:{}", folder.path().join("state.db").display());
        let config = BackendConfig { store: Some(store.clone()), ..BackendConfig::at("memory:") };
        let backend = config.open().await.unwrap();
        assert_eq!(backend.name(), format!("memory: with records in {store} and counters in memory:"));
        assert!(backend.events().is_some() && config.is_of_one_process());
    }
}
