//! Shipping code: components go through the store to the workers of a topic.
//!
//! A component is cut into chunks where its content says so. Each chunk is a record under its own digest, so a chunk that is there
//! is not sent again. A **manifest** says of which chunks a component consists. The **deployments** of a topic are one record, a
//! list of **revisions**. A revision names the components that are the topic's code, and says which part of the jobs it takes, and
//! since when.
//!
//! A call is run by the revision that was in force when its job was created. So nothing changes under a running job, on any worker,
//! and nobody writes down which job has which revision.
//!
//! - `chunks`: cuts a component, compresses and checks its chunks; `compression`: zstd with a bound
//! - `manifest`: makes and checks manifests; `store`: puts a component into a store, and gets it; `upload`: keeps a collection
//!   from removing chunks that are being sent
//! - `task_at`: the name of a task in a certain component (`TASK@sha256:…`)
//! - `deployments`: what people do with revisions (pure); `in_force`: which revision runs a job (pure); `retention`: which
//!   revisions may go (pure)
//! - `live`: the jobs that are alive; `client`: pushes, rolls back, ramps and removes revisions

mod chunks;
pub(crate) mod client;
mod compression;
mod deployments;
mod in_force;
pub(crate) mod live;
mod manifest;
mod retention;
mod store;
mod task_at;
pub(crate) mod upload;

use std::time::Duration;

pub use chunks::Component;
pub use client::{Change, ComponentToPush, PushOptions, PushedRevision};
pub use deployments::{Changed, NewRevision, Refusal, push, ramp, remove, rollback, to_roll_back_to};
pub use in_force::{revision_for, share};
pub use live::{LiveJob, LiveJobs};
pub use manifest::{About, about as about_component};
pub use retention::{let_go, removable};
pub use store::{Pushed, Sending, get_component, get_manifest, put_component, read_component};
pub use task_at::{named_component, task_at};

/// The most bytes of a record of a chunk or of a manifest. An item of `DynamoDB` has at most 400 KB.
pub const MOST_BYTES: usize = 300_000;

/// The most bytes of a component. Workers refuse larger ones too.
pub const LARGEST_COMPONENT: u64 = 256 << 20;

/// The most chunks of a component, so that their digests and sizes (35 bytes each) fit into its manifest. A component of
/// [`LARGEST_COMPONENT`] has about 3,100.
pub const MOST_CHUNKS: usize = 5_500;

/// How many of the newest revisions stay, if nothing else is said.
pub const KEEP: u32 = 10;

/// The most revisions of a topic. More than [`KEEP`] stay only if live jobs need them.
pub const MOST_REVISIONS: usize = 100;

/// The most bytes of the deployments of a topic, which are one record. An item of `DynamoDB` has at most 400 KB.
pub const MOST_DEPLOYMENTS_BYTES: usize = 350_000;

/// The most bytes of the note of a revision.
pub const LONGEST_NOTE: usize = 1 << 10;

/// The most bytes of the name of the person who pushes, and of the name of a component.
pub const LONGEST_NAME: usize = 200;

/// The most signatures of a component that are kept. Of more, the newest stay.
pub const MOST_SIGNATURES: usize = 8;

/// The most bytes of a signature: minisign's comments have up to 1 and 8 KiB.
pub const LONGEST_SIGNATURE: usize = 10 << 10;

/// The most components of a revision.
pub const MOST_COMPONENTS: usize = 32;

/// How often the part of the jobs that a revision takes can be changed.
pub const MOST_STEPS: usize = 64;

/// For how long a component stays that was sent and that no revision names yet, at least. A push must be done in this time.
pub const LEAST_AGE: Duration = Duration::from_hours(1);

/// How far the clocks of clients may be apart, and how long a client may take to write the record of a job after it has read the
/// time. Revisions that were in force within this time stay.
pub const MARGIN: Duration = Duration::from_mins(1);

/// A change of what takes jobs counts for jobs that are created so much later than the change is decided. Otherwise jobs that are
/// created before the change is in the store, and begin with the revision before, would be moved by it. A write takes milliseconds,
/// and clocks by `Store::now` are apart by up to a second (DynamoDB).
pub const LEAD: Duration = Duration::from_secs(1);
