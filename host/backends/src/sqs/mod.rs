//! Topics as standard queues of SQS.
//!
//! - `names`: the queue of a topic; `held`: messages that were delivered and are not settled; `envelope`: the format of
//!   messages in SQS
//! - `send`, `receive`, `delete`: batches of ten; `ports`: `Queue`; `setup`: creates the queues
//!
//! **Nack.** SQS counts every delivery. So a message that is given back is sent again as a copy, and then the original
//! is deleted. The copy carries the number of its earlier deliveries (attribute `brrr.receives`; peers ignore it). A
//! crash in between leaves two copies. That is one delivery too many, which at-least-once delivery permits.
//!
//! **Delays over 15 minutes.** SQS can't delay a message longer. So the copy carries the time when it is due
//! (`brrr.due`). A worker that receives it earlier puts it back and does not deliver it.
//!
//! **Dead letters.** The worker itself moves a message to the dead-letter queue after ten deliveries, because only the
//! worker records the failure and notifies the parents. A queue of SQS can't be listed, so dead letters are records in
//! the store (`Kind::DeadLetter`). In addition, SQS moves a message after twenty deliveries (redrive policy) to its own
//! queue, `…-dead`. This is for a message that ends every worker before the worker can move it. This program also
//! receives from `…-dead`: it delivers such a message as one with too many deliveries, so the message becomes a dead
//! letter too.
//!
//! **FIFO queues** are not used. They give order and deduplication, which the protocol does not need. And they would
//! cause these problems:
//!
//! - Each call would need a group of its own, because the messages of a group wait for each other.
//! - Each *sending* would need a deduplication id. The same body is sent again on purpose, to notify a parent, and SQS
//!   would drop the second one for five minutes.
//! - The names would have to end in `.fifo`.
//! - A single message can't be delayed, so retries after a delay would be impossible.
//! - Without high-throughput mode, there are only 300 requests a second.
//!
//! Peers do not use FIFO queues.

mod delete;
mod envelope;
mod held;
mod names;
mod ports;
mod receive;
mod send;
mod setup;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Delivery, Store};
use tokio::time::Instant;

use crate::aws;

/// The name of this backend in errors.
const BACKEND: &str = "sqs";

/// How long a message is leased by default. A worker extends its leases. So this is only the time after which the
/// messages of a killed worker are delivered again. A shorter lease would cost more requests.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(30);

/// The longest time that a message can stay with one receiver, however often its lease is extended: the limit of SQS.
const LONGEST_LEASE: Duration = Duration::from_hours(12);

/// The longest time that a `receive` waits at SQS: the limit of SQS.
const LONGEST_POLL: Duration = Duration::from_secs(20);

/// How long the poll of an idle worker is. A request every five seconds costs next to nothing, and a worker may take
/// this time to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most messages in one request of any kind: the limit of SQS.
const BATCH: usize = 10;

/// The most requests of one batch at the same time.
const AT_ONCE: usize = 8;

/// The options of the queues.
#[derive(Clone, Debug)]
pub struct SqsOptions {
    /// The prefix of the names of queues.
    pub prefix: String,
    /// Separates fleets in one account. It comes after the prefix and is followed by a `-`. Empty: no namespace.
    pub namespace: String,
    /// How long a message is leased; rounded up to seconds.
    pub lease: Duration,
}

impl Default for SqsOptions {
    fn default() -> Self {
        Self { prefix: String::new(), namespace: String::new(), lease: DEFAULT_LEASE }
    }
}

/// The queues of an account, in one region.
#[derive(Clone)]
pub struct Sqs(Arc<SqsInner>);

struct SqsInner {
    client: Client,
    /// The client for receiving, with a longer timeout.
    receiving: Client,
    /// The client for extending leases, with connections of its own. Leases are extended from a thread of its own,
    /// which must not wait for busy connections.
    extending: Client,
    prefix: String,
    lease: Duration,
    /// The store for dead letters.
    dead_letters: Arc<dyn Store>,
    /// The URLs of the queues that were looked up, by name.
    urls: Mutex<HashMap<String, Arc<str>>>,
    held: Mutex<held::Table>,
    deletes: Mutex<HashMap<Arc<str>, Vec<delete::WaitingDeletes>>>,
    /// Messages that were received for a caller that no longer waited.
    spares: Mutex<HashMap<Topic, Vec<Delivery>>>,
    /// When to look into the `…-dead` queue of a topic again.
    drains: Mutex<HashMap<Topic, Instant>>,
}

impl Sqs {
    /// Connects with the settings of the environment. It does not access a queue. Whether a queue exists is checked at
    /// the first access, or by `check`. `dead_letters`: the store for dead letters.
    ///
    /// # Errors
    /// `Config` if there is no region, if there are no credentials, or if the options are invalid.
    pub async fn connect(options: SqsOptions, dead_letters: Arc<dyn Store>) -> Result<Self> {
        Self::new(options, &aws::config(BACKEND).await?, dead_letters)
    }

    /// # Errors
    /// `Config` if the options are invalid.
    pub fn new(options: SqsOptions, config: &SdkConfig, dead_letters: Arc<dyn Store>) -> Result<Self> {
        let mut prefix = options.prefix;
        if !options.namespace.is_empty() {
            prefix = format!("{prefix}{}-", options.namespace);
        }
        let lease = Duration::from_secs(options.lease.as_secs() + u64::from(options.lease.subsec_nanos() > 0));
        if lease.is_zero() || lease > LONGEST_LEASE {
            let reason = format!("SQS leases messages for 1 s to {} h", LONGEST_LEASE.as_secs() / 3_600);
            return Err(Error::new(ErrorKind::Config, BACKEND, format!("lease messages for {lease:?}"), reason));
        }
        let attempt = config.timeout_config().and_then(TimeoutConfig::operation_attempt_timeout).unwrap_or_default();
        let patient = TimeoutConfig::builder().operation_attempt_timeout(attempt + LONGEST_POLL).build();
        let inner = SqsInner {
            client: Client::new(config),
            receiving: Client::from_conf(Builder::from(config).timeout_config(patient).build()),
            extending: Client::from_conf(Builder::from(config).http_client(aws::http()).build()),
            prefix,
            lease,
            dead_letters,
            urls: Mutex::default(),
            held: Mutex::default(),
            deletes: Mutex::default(),
            spares: Mutex::default(),
            drains: Mutex::default(),
        };
        // An invalid prefix is refused here, not only at the first topic.
        inner.queue_name(&Topic::from("t"))?;
        Ok(Self(Arc::new(inner)))
    }

    /// The name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        format!("sqs:{}", self.0.prefix)
    }
}

/// A panic can't leave the protected data inconsistent, because the data is consistent between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
