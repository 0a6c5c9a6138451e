//! Records in a DynamoDB table with the layout of the peers: `pk` (S) is the id, `sk` (S) the kind, `value` (B) the
//! bytes.
//!
//! - `items`: keys and records as items, and the size limits; `batch`: many records at a time; `retry`: counts the
//!   attempts of the SDK
//! - `jobs`: the index of the jobs by time; `ids`: the ids of kinds of which there are few records; `transaction`: several writes
//!   as one
//! - `ports`: `Store` and `Counters`; `setup`: creates the table; `clock`: the server's time
//!
//! Every read is strongly consistent, because the rules of the protocol need that. Counters are items too (`pk` the
//! counter's name, `sk` `count`, `count` (N)), for fleets without Redis.

mod batch;
mod clock;
mod ids;
mod items;
mod jobs;
mod ports;
mod retry;
mod setup;
mod transaction;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use brrr_protocol::error::{Error, ErrorKind, Result};

use self::clock::ReadDate;
use crate::aws;
use crate::clock::ServerClock;

/// The name of this backend in errors.
const BACKEND: &str = "dynamodb";

/// The default table of the peers.
pub const DEFAULT_TABLE: &str = "brrr";

/// The options of the table.
#[derive(Clone, Debug)]
pub struct DynamoDbOptions {
    /// The name of the table.
    pub table: String,
    /// Separates fleets in one table: a prefix of every `pk`. Empty: no prefix, like peers.
    pub namespace: String,
}

impl Default for DynamoDbOptions {
    fn default() -> Self {
        Self { table: DEFAULT_TABLE.to_owned(), namespace: String::new() }
    }
}

/// A store and counters in one table.
pub struct DynamoDb {
    client: Client,
    table: String,
    /// The prefix of every `pk`.
    prefix: String,
    region: String,
    clock: Arc<ServerClock>,
    /// The hours that are known to be in the list of hours that have jobs.
    hours: Mutex<BTreeSet<u64>>,
}

impl DynamoDb {
    /// Connects with the settings of the environment. Whether the table exists is checked at the first access, or by
    /// `check`.
    ///
    /// # Errors
    /// `Config` if there is no region, if there are no credentials, or if the name is no valid table name.
    pub async fn connect(options: DynamoDbOptions) -> Result<Self> {
        let table = Self::new(options, &aws::config(BACKEND).await?)?;
        table.read_clock().await;
        Ok(table)
    }

    /// # Errors
    /// `Config` if the name is no valid table name.
    pub fn new(options: DynamoDbOptions, config: &SdkConfig) -> Result<Self> {
        let DynamoDbOptions { table, namespace } = options;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !(3..=255).contains(&table.len()) || !table.chars().all(allowed) {
            let reason = "a table's name has 3 to 255 characters: letters, digits, `_`, `-` and `.`";
            return Err(Error::new(ErrorKind::Config, BACKEND, format!("use the table {table:?}"), reason));
        }
        let prefix = if namespace.is_empty() { namespace } else { namespace + "/" };
        let region = config.region().map_or_else(String::new, ToString::to_string);
        let clock = Arc::<ServerClock>::default();
        let config = aws_sdk_dynamodb::config::Builder::from(config).interceptor(ReadDate(clock.clone())).build();
        Ok(Self { client: Client::from_conf(config), table, prefix, region, clock, hours: Mutex::default() })
    }

    /// The name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        format!("dynamodb:{}", self.table)
    }

    /// Does the table exist, and may this user read its description?
    ///
    /// # Errors
    /// `NotSetUp` if the table does not exist.
    pub async fn check(&self) -> Result<()> {
        self.describe().await?.map(drop).ok_or_else(|| self.not_set_up("look at"))
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} the table {:?} in {}", self.table, self.region)
    }

    fn not_set_up(&self, what: &str) -> Error {
        let reason = format!("it is not there; run: brrr-host setup --store dynamodb://{}", self.table);
        Error::new(ErrorKind::NotSetUp, BACKEND, self.doing(what), reason)
    }
}
