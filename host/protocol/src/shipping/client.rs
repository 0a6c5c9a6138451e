//! Pushes, rolls back, ramps and removes revisions. Each change is one compare-and-swap of the topic's record.

use bytes::Bytes;

use super::chunks::Component;
use super::deployments::{
    Changed, NewRevision, Refusal, check_size, keep, push, ramp, remove, rollback, to_roll_back_to,
};
use super::live::LiveJobs;
use super::manifest::About;
use super::retention::{let_go, removable};
use super::store::{Pushed, Sending, put_component};
use super::upload;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Millis, Topic};
use crate::ports::{Key, Store, Swap};
use crate::records::{DeployedComponent, DeploymentsRecord};

/// A component to be pushed.
#[derive(Clone, Debug)]
pub struct ComponentToPush {
    /// Its name, for people.
    pub name: String,
    /// The component, cut into chunks.
    pub component: Component,
    /// What it is.
    pub about: About,
}

impl ComponentToPush {
    /// The component as a revision names it.
    #[must_use]
    pub fn deployed(&self) -> DeployedComponent {
        DeployedComponent { digest: self.component.digest(), name: self.name.clone() }
    }
}

/// How a revision is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushOptions {
    /// The part of new jobs that it takes, in percent, 0 to 100.
    pub percent: u8,
    /// What the person who pushes it says of it.
    pub note: String,
    /// Who pushes it.
    pub by: String,
    /// How many of the newest revisions stay even if no job needs them. `None`: as before.
    pub keep: Option<u32>,
    /// Each call is run by the newest revision, whenever its job was created. `None`: as before.
    pub follow_newest: Option<bool>,
    /// Which chunks of the components are sent.
    pub sending: Sending,
}

/// The result of a change of the revisions of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The revisions were changed to this.
    Done(DeploymentsRecord),
    /// They are this, and were so before.
    Same(DeploymentsRecord),
    /// It is not possible. Nothing was changed.
    Refused(Refusal),
}

/// The result of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedRevision {
    /// What became of the revisions. The new one is the last one, unless it was removed again.
    pub change: Change,
    /// What was sent of each component.
    pub components: Vec<Pushed>,
}

impl Default for PushOptions {
    fn default() -> Self {
        let (note, by, keep, follow_newest) = (String::new(), String::new(), None, None);
        Self { percent: 100, note, by, keep, follow_newest, sending: Sending::Absent }
    }
}

impl Client {
    /// The revisions of a topic. Without any, the record is empty.
    ///
    /// # Errors
    /// When the store can't be read. `Malformed` or `NewerRecord` if the record can't be read.
    pub async fn deployments(&self, topic: &Topic) -> Result<DeploymentsRecord> {
        Ok(read(self.backend().store(), topic).await?.record)
    }

    /// Sends the components of a new revision, and adds the revision. Revisions that no live job needs go, as `keep` says.
    ///
    /// # Errors
    /// When the store fails: then it is not known whether the revision was added. `Limit` if what is said of a component is too long.
    /// `Unavailable` if sending took too long. `Malformed` or `NewerRecord` if the record can't be read. Safe to repeat.
    pub async fn push(
        &self,
        topic: &Topic,
        components: &[ComponentToPush],
        options: &PushOptions,
    ) -> Result<PushedRevision> {
        let new = NewRevision {
            components: components.iter().map(ComponentToPush::deployed).collect(),
            percent: options.percent,
            note: options.note.clone(),
            by: options.by.clone(),
        };
        let settings = |mut record: DeploymentsRecord| {
            record.keep = options.keep.unwrap_or(record.keep);
            record.follow_newest = options.follow_newest.unwrap_or(record.follow_newest);
            record
        };
        let step = |old: &DeploymentsRecord, now| {
            let changed = match push(old, &new, now)? {
                Changed::To(record) => settings(*record),
                Changed::Same => settings(old.clone()),
            };
            Ok(if changed == *old { Changed::Same } else { Changed::To(Box::new(changed)) })
        };
        // What is refused is refused before anything is sent.
        if let Err(refusal) = step(&self.deployments(topic).await?, self.now()) {
            return Ok(PushedRevision { change: Change::Refused(refusal), components: Vec::new() });
        }
        let (store, begun) = (self.backend().store(), self.now());
        let mut sent = Vec::with_capacity(components.len());
        for component in components {
            sent.push(put_component(store, &component.component, &component.about, options.sending).await?);
        }
        if self.now().saturating_sub(begun) > upload::life() / 2 {
            let reason = "sending the components took too long; push again: what is there is not sent twice";
            let operation = format!("push a revision of topic {topic}");
            return Err(Error::new(ErrorKind::Unavailable, "protocol", operation, reason));
        }
        let resent = sent.iter().any(|component| component.resent).then(|| self.now());
        // Workers that could not load the component try again when they see another time.
        let step = |old: &DeploymentsRecord, now| match (step(old, now)?, resent) {
            (changed, None) => Ok(changed),
            (Changed::Same, Some(resent)) => {
                Ok(Changed::To(Box::new(DeploymentsRecord { resent: resent.max(old.resent + 1), ..old.clone() })))
            }
            (Changed::To(new), Some(resent)) => {
                Ok(Changed::To(Box::new(DeploymentsRecord { resent: resent.max(old.resent + 1), ..*new })))
            }
        };
        Ok(PushedRevision { change: self.change(topic, step).await?, components: sent })
    }

    /// Adds a revision with the components of an earlier one: of `to`, or (`None`) of the one before the newest. It takes all jobs
    /// that are created from now on.
    ///
    /// # Errors
    /// When the store fails: then it is not known whether the revision was added. `Malformed` or `NewerRecord` if the record can't be
    /// read. Safe to repeat if `to` is given. Otherwise a second rollback undoes the first.
    pub async fn rollback(&self, topic: &Topic, to: Option<u64>, note: &str, by: &str) -> Result<Change> {
        let step = |old: &DeploymentsRecord, now| {
            let to = to.map_or_else(|| to_roll_back_to(old), Ok)?;
            rollback(old, to, note, by, now)
        };
        self.change(topic, step).await
    }

    /// Changes the part of new jobs that a revision takes, in percent, 0 to 100.
    ///
    /// # Errors
    /// As `deployments`; after an error of the store it is not known whether it was changed. Safe to repeat.
    pub async fn ramp(&self, topic: &Topic, number: u64, percent: u8) -> Result<Change> {
        self.change(topic, |old, now| ramp(old, number, percent, now)).await
    }

    /// Removes a revision. Its live jobs go on with another one, see `revision_for`.
    ///
    /// # Errors
    /// As `ramp`. Safe to repeat.
    pub async fn remove_revision(&self, topic: &Topic, number: u64) -> Result<Change> {
        self.change(topic, |old, now| remove(old, number, now)).await
    }

    async fn change(
        &self,
        topic: &Topic,
        step: impl Fn(&DeploymentsRecord, Millis) -> std::result::Result<Changed, Refusal> + Send + Sync,
    ) -> Result<Change> {
        let store = self.backend().store();
        let mut read = read(store, topic).await?;
        loop {
            let new = match step(&read.record, self.now()) {
                Ok(Changed::To(new)) => *new,
                Ok(Changed::Same) => return Ok(Change::Same(read.record)),
                Err(refusal) => return Ok(Change::Refused(refusal)),
            };
            let go = self.unneeded(&new).await?;
            // Looking for them may have taken long, and the time of the change must be later than its write.
            let new = match step(&read.record, self.now()) {
                Ok(Changed::To(new)) => let_go(&new, &go),
                Ok(Changed::Same) | Err(_) => continue,
            };
            if let Err(refusal) = check_size(&new) {
                return Ok(Change::Refused(refusal));
            }
            if replace(store, topic, &mut read, &new).await? {
                return Ok(Change::Done(new));
            }
        }
    }

    /// The revisions that may go. (The time of the newest change plays no part: it has not come yet.)
    async fn unneeded(&self, record: &DeploymentsRecord) -> Result<Vec<u64>> {
        if record.revisions.len() <= keep(record) {
            return Ok(Vec::new());
        }
        // Jobs that are created while all jobs are listed may be missing. So the time before the listing counts.
        let now = self.now();
        let live = LiveJobs::of(self.backend().store()).await?;
        if live.unreadable.is_some() {
            return Ok(Vec::new());
        }
        Ok(removable(record, &live.jobs, now))
    }
}

/// A record as it was read. `bytes` is `None` if there is no record.
pub(crate) struct Read {
    bytes: Option<Bytes>,
    pub record: DeploymentsRecord,
}

/// The deployments of a topic.
pub(crate) async fn read(store: &dyn Store, topic: &Topic) -> Result<Read> {
    decode(topic, store.get(&Key::deployments(topic)).await?)
}

fn decode(topic: &Topic, bytes: Option<Bytes>) -> Result<Read> {
    let record = bytes.as_deref().map(DeploymentsRecord::decode).transpose();
    let record = record.map_err(|error| error.of(&Key::deployments(topic)))?.unwrap_or_default();
    Ok(Read { bytes, record })
}

/// Replaces the record if it is still as it was read. Otherwise `read` becomes what is there now. Returns whether it was replaced.
pub(crate) async fn replace(
    store: &dyn Store,
    topic: &Topic,
    read: &mut Read,
    new: &DeploymentsRecord,
) -> Result<bool> {
    match store.swap(&Key::deployments(topic), read.bytes.as_ref(), Some(new.encode())).await? {
        Swap::Done => Ok(true),
        Swap::Mismatch(found) => {
            *read = decode(topic, found)?;
            Ok(false)
        }
    }
}
