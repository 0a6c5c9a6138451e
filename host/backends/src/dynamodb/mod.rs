//! Records in a DynamoDB table, laid out as the peers do: `pk` (S) is the id, `sk` (S) the kind, `value` (B) the bytes.
//!
//! - `items`: keys and records as items, and what fits; `batch`: many at a time; `retry`: how often the SDK tried
//! - `ports`: `Store` and `Cache`; `setup`: makes the table; `clock`: the server's time
//!
//! Every read is strongly consistent: the protocol's rules rest on it. Counters are items too (`pk` the counter's name, `sk`
//! `count`, `count` (N)), for fleets without Redis.

mod batch;
mod clock;
mod items;
mod ports;
mod retry;
mod setup;

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use brrr_protocol::error::{Error, ErrorKind, Result};

use self::clock::ReadDate;
use crate::aws;
use crate::clock::ServerClock;

/// For errors.
const BACKEND: &str = "dynamodb";

/// The table that peers use where nobody names one.
pub const DEFAULT_TABLE: &str = "brrr";

/// Where records are kept.
#[derive(Clone, Debug)]
pub struct Options {
    pub table: String,
    /// Keeps fleets in one table apart: a prefix of every `pk`. Empty: none, as peers have it.
    pub namespace: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { table: DEFAULT_TABLE.to_owned(), namespace: String::new() }
    }
}

/// A table.
pub struct DynamoDb {
    client: Client,
    table: String,
    /// What every `pk` begins with.
    prefix: String,
    region: String,
    clock: Arc<ServerClock>,
}

impl DynamoDb {
    /// Connects as the environment says. Whether the table is there shows at the first access, or by `check`.
    ///
    /// # Errors
    /// `Config` when there is no region, there are no credentials, or the name can't be a table's.
    pub async fn connect(options: Options) -> Result<Self> {
        let table = Self::new(options, &aws::config(BACKEND).await?)?;
        table.read_clock().await;
        Ok(table)
    }

    /// # Errors
    /// `Config` when the name can't be a table's.
    pub fn new(options: Options, config: &SdkConfig) -> Result<Self> {
        let Options { table, namespace } = options;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !(3..=255).contains(&table.len()) || !table.chars().all(allowed) {
            let reason = "a table's name has 3 to 255 characters: letters, digits, `_`, `-` and `.`";
            return Err(Error::new(ErrorKind::Config, BACKEND, format!("use the table {table:?}"), reason));
        }
        let prefix = if namespace.is_empty() { namespace } else { namespace + "/" };
        let region = config.region().map_or_else(String::new, ToString::to_string);
        let clock = Arc::<ServerClock>::default();
        let config = aws_sdk_dynamodb::config::Builder::from(config).interceptor(ReadDate(clock.clone())).build();
        Ok(Self { client: Client::from_conf(config), table, prefix, region, clock })
    }

    /// What it is, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        format!("dynamodb:{}", self.table)
    }

    /// Is the table there, and ours to read?
    ///
    /// # Errors
    /// `NotSetUp` when it isn't there.
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
