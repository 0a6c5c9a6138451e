//! Topics as standard queues of SQS.
//!
//! - `names`: a topic's queue; `held`: what was delivered and not settled; `letters`: messages as SQS has them
//! - `send`, `receive`, `delete`: batches of ten; `ports`: `Queue`; `setup`: makes the queues
//!
//! **Given back.** SQS counts every delivery. So a message that is given back is sent again as a copy, which carries the
//! count of its deliveries before (attribute `brrr.receives`; peers ignore it), and then deleted: a crash in between leaves
//! two of it, which is one delivery too many, as at least once allows.
//!
//! **Later than 15 minutes.** SQS delays no message longer. The copy carries the time when it is due (`brrr.due`); who gets it
//! earlier puts it back and delivers nothing.
//!
//! **Dead letters.** The worker itself sets a message aside after ten deliveries, because only it records the failure and wakes
//! parents. A queue can't be listed, so such letters are records in the store (`Kind::Dead`). A redrive policy at twenty is
//! the backstop, for messages that end every worker before it comes so far; its queue, `…-dead`, is drained here: its messages
//! are delivered as having come too often, and so go the same way.
//!
//! **FIFO queues** are not used. They would give order and deduplication, which the protocol doesn't need, and would need: a
//! group for each call (messages of a group wait for each other), a deduplication id for each *sending* (the same body is sent
//! again on purpose, to wake a parent, and would be swallowed for five minutes), names that end in `.fifo`, no delay for a
//! single message (so no retries later), and 300 requests a second without high-throughput mode. Peers send none of these.

mod delete;
mod held;
mod letters;
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

/// For errors.
const BACKEND: &str = "sqs";

/// How long a message is leased by default. A worker extends its leases, so this is only how long the work of a killed one
/// waits; shorter costs requests.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(30);

/// The longest that a message can stay with one receiver, however often its lease is extended: SQS's limit.
const LONGEST_LEASE: Duration = Duration::from_hours(12);

/// The longest that a `receive` waits at SQS: its limit.
const LONGEST_POLL: Duration = Duration::from_secs(20);

/// How long an idle worker's poll is: a request every five seconds costs next to nothing, and nobody minds a worker that takes
/// so long to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// Messages in one request, of any kind: SQS's limit.
const BATCH: usize = 10;

/// Requests of one batch at once.
const AT_ONCE: usize = 8;

/// Where messages are kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the names of queues begin with.
    pub prefix: String,
    /// Keeps fleets in one account apart: comes behind the prefix, with a `-`. Empty: nothing.
    pub namespace: String,
    /// Rounded up to seconds.
    pub lease: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { prefix: String::new(), namespace: String::new(), lease: DEFAULT_LEASE }
    }
}

/// The queues of an account, in one region.
#[derive(Clone)]
pub struct Sqs(Arc<Inner>);

struct Inner {
    client: Client,
    /// Waits longer for an answer.
    receiving: Client,
    /// With connections of its own: leases are extended from a thread of its own, which must not wait for busy ones.
    extending: Client,
    prefix: String,
    lease: Duration,
    /// For dead letters.
    letters: Arc<dyn Store>,
    /// The address of each queue asked for, by its name.
    urls: Mutex<HashMap<String, Arc<str>>>,
    held: Mutex<held::Table>,
    deletes: Mutex<HashMap<Arc<str>, Vec<delete::Waiting>>>,
    /// Received for somebody who had given up by then.
    spares: Mutex<HashMap<Topic, Vec<Delivery>>>,
    /// When to look into a topic's dead queue again.
    drains: Mutex<HashMap<Topic, Instant>>,
}

impl Sqs {
    /// Connects as the environment says. Asks no queue: whether it is there shows at the first access, or by `check`.
    /// `letters`: the store that keeps dead letters.
    ///
    /// # Errors
    /// `Config` when there is no region, there are no credentials, or the options can't be.
    pub async fn connect(options: Options, letters: Arc<dyn Store>) -> Result<Self> {
        Self::new(options, &aws::config(BACKEND).await?, letters)
    }

    /// # Errors
    /// `Config` when the options can't be.
    pub fn new(options: Options, config: &SdkConfig, letters: Arc<dyn Store>) -> Result<Self> {
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
        let inner = Inner {
            client: Client::new(config),
            receiving: Client::from_conf(Builder::from(config).timeout_config(patient).build()),
            extending: Client::from_conf(Builder::from(config).http_client(aws::http()).build()),
            prefix,
            lease,
            letters,
            urls: Mutex::default(),
            held: Mutex::default(),
            deletes: Mutex::default(),
            spares: Mutex::default(),
            drains: Mutex::default(),
        };
        // A prefix that no name may have is refused here, not with the first topic.
        inner.queue_name(&Topic::from("t"))?;
        Ok(Self(Arc::new(inner)))
    }

    /// What it is, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        format!("sqs:{}", self.0.prefix)
    }
}

/// What the lock protects is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
