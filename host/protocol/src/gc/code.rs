//! Removes code that nothing needs: revisions that no live job has, components that no revision names, and chunks that no component
//! names.
//!
//! The order is: revisions, manifests, chunks. So what is left over after a collection that died is found by the next one.
//! `shipping/upload.rs` says why no chunk is removed that somebody is about to use.

use std::collections::HashSet;

use bytes::Bytes;

use super::calls::{GcJob, TOGETHER};
use super::{Collector, Plan};
use crate::concurrent::{self, Access};
use crate::digest::Digest;
use crate::error::{ErrorKind, Result};
use crate::listing::Listing;
use crate::model::{CallHash, JobId, Millis, Topic};
use crate::ports::{Key, Kind, Store, Swap};
use crate::records::{ChunkRecord, DeploymentsRecord, ManifestRecord, UploadRecord};
use crate::shipping::client::{read, replace};
use crate::shipping::live::LiveJobs;
use crate::shipping::upload::{self, Upload};
use crate::shipping::{LEAST_AGE, let_go, named_component, removable};
use crate::wire::CallRecord;

/// The number of records that are read at once. Chunks have at most 300 KB.
const PAGE: usize = 32;

/// Records of calls are read until they have so many bytes together.
const READ_TOGETHER: usize = 4 << 20;

/// What was removed of the code of topics, or would be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectedCode {
    /// Revisions that no live job needs, beyond those that the topics keep.
    pub revisions: u64,
    /// Components that no revision names.
    pub components: u64,
    /// Chunks that no component names.
    pub chunks: u64,
    /// Why code stays that may be unneeded.
    pub stays: Option<CodeStays>,
}

/// Why a collection can't know which code is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeStays {
    /// This record does not decode. Nothing was removed that it may need.
    Unreadable(Key),
    /// The calls of this live job are not all known, or its record does not decode. They may name components.
    Job(JobId),
}

/// What is named, and must stay.
#[derive(Default)]
struct Named {
    components: HashSet<Digest>,
    chunks: HashSet<Digest>,
}

/// What was left by components that are not there any more.
#[derive(Default)]
struct Leftovers {
    /// `upload` records whose senders are gone.
    uploads: Vec<(Key, Bytes)>,
    /// A collection before this one did not end.
    has_died: bool,
}

impl Collector {
    /// Removes code that nothing needs.
    pub(super) async fn collect_code(&self, plan: &Plan) -> Result<CollectedCode> {
        let store = self.backend.store();
        let mut collected = CollectedCode::default();
        // Most stores have no code.
        if !has_any(store, Kind::Manifest).await? && !has_any(store, Kind::Upload).await? {
            return Ok(collected);
        }
        let mut leftovers =
            Leftovers { has_died: store.get(&upload::collection()).await?.is_some(), ..Leftovers::default() };
        let mut sweep = if plan.dry_run { None } else { Some(Upload::collection(store).await?) };
        let mut named = Named::default();
        if self.remove_revisions(plan, &mut named, &mut collected).await?
            && self.note_uploads(plan, &mut named, &mut leftovers, &mut collected).await?
            && self.remove_manifests(plan, &mut named, &mut collected, &mut sweep).await?
            && (collected.components > 0 || !leftovers.uploads.is_empty() || leftovers.has_died)
        {
            self.remove_chunks(plan, &named, &mut collected, &mut sweep).await?;
            for (key, bytes) in leftovers.uploads.iter().filter(|_| !plan.dry_run) {
                store.swap(key, Some(bytes), None).await?;
            }
        }
        if let Some(sweep) = sweep {
            sweep.end().await?;
        }
        Ok(collected)
    }

    /// Removes revisions, and notes which components the others name. False: a record can't be read, so all stays.
    async fn remove_revisions(&self, plan: &Plan, named: &mut Named, collected: &mut CollectedCode) -> Result<bool> {
        let store = self.backend.store();
        let mut live = None;
        let mut topics = Listing::of(store, Kind::Deployments);
        while let Some(page) = topics.next().await? {
            for topic in page.into_iter().map(Topic::from) {
                let mut found = match read(store, &topic).await {
                    Err(error) if error.is_unreadable() => {
                        collected.stays = Some(CodeStays::Unreadable(Key::deployments(&topic)));
                        return Ok(false);
                    }
                    found => found?,
                };
                loop {
                    let go = self.unneeded(&found.record, plan, &mut live).await?;
                    let new = let_go(&found.record, &go);
                    if go.is_empty() || plan.dry_run || replace(store, &topic, &mut found, &new).await? {
                        collected.revisions += go.len() as u64;
                        let components = new.revisions.iter().flat_map(|revision| &revision.components);
                        named.components.extend(components.map(|component| component.digest));
                        break;
                    }
                }
            }
        }
        if let Some(job_id) = live.and_then(|(_, live)| live.unreadable) {
            collected.stays = Some(CodeStays::Job(job_id));
        }
        Ok(true)
    }

    /// The revisions that may go. `live`: the live jobs, once they are read, and the time before that.
    async fn unneeded(
        &self,
        record: &DeploymentsRecord,
        plan: &Plan,
        live: &mut Option<(Millis, LiveJobs)>,
    ) -> Result<Vec<u64>> {
        if removable(record, &[], plan.now).is_empty() {
            return Ok(Vec::new());
        }
        let (now, live) = match live {
            Some(live) => live,
            none => none.insert((plan.now, LiveJobs::of(self.backend.store()).await?)),
        };
        if live.unreadable.is_some() { Ok(Vec::new()) } else { Ok(removable(record, &live.jobs, *now)) }
    }

    /// Notes the chunks that are being sent. This comes before the manifests are listed: the manifest is put before the record of
    /// its upload is removed. False: a record can't be read, so all stays.
    async fn note_uploads(
        &self,
        plan: &Plan,
        named: &mut Named,
        leftovers: &mut Leftovers,
        collected: &mut CollectedCode,
    ) -> Result<bool> {
        let store = self.backend.store();
        let mut uploads = Listing::of(store, Kind::Upload);
        while let Some(ids) = uploads.next().await? {
            for key in ids.iter().filter(|id| *id != upload::COLLECTION).map(|id| Key::new(id, Kind::Upload)) {
                let Some(bytes) = store.get(&key).await? else { continue };
                match UploadRecord::decode(&bytes) {
                    Ok(record) if record.at.saturating_add(upload::life()) >= plan.now => {
                        named.chunks.extend(record.chunks.iter().map(|chunk| chunk.digest));
                    }
                    Err(error) if error.kind == ErrorKind::NewerRecord => {
                        collected.stays = Some(CodeStays::Unreadable(key));
                        return Ok(false);
                    }
                    // A sender of ours would have sent a sign of life. One that did not decode never gave any.
                    Ok(_) | Err(_) => leftovers.uploads.push((key, bytes)),
                }
            }
        }
        Ok(true)
    }

    /// Removes the manifests of old components that nothing names, and notes the chunks of the others. False: a manifest can't be
    /// read, so all chunks stay.
    async fn remove_manifests(
        &self,
        plan: &Plan,
        named: &mut Named,
        collected: &mut CollectedCode,
        sweep: &mut Option<Upload<'_>>,
    ) -> Result<bool> {
        let store = self.backend.store();
        let age = u64::try_from(plan.older_than.max(LEAST_AGE).as_millis()).unwrap_or(u64::MAX);
        let mut unnamed: Vec<(Digest, Bytes, ManifestRecord)> = Vec::new();
        let mut ids = Listing::of(store, Kind::Manifest);
        while let Some(page) = ids.next().await? {
            for key in page.iter().map(|id| Key::new(id, Kind::Manifest)) {
                let Some(bytes) = store.get(&key).await? else { continue };
                let (Ok(manifest), Some(digest)) = (ManifestRecord::decode(&bytes), Digest::parse(&key.id)) else {
                    collected.stays = Some(CodeStays::Unreadable(key));
                    return Ok(false);
                };
                if named.components.contains(&digest) || manifest.at.saturating_add(age) >= plan.now {
                    named.chunks.extend(manifest.chunks.iter().map(|chunk| chunk.digest));
                } else {
                    unnamed.push((digest, bytes, manifest));
                }
            }
        }
        let called = if unnamed.is_empty() { Some(HashSet::new()) } else { self.called(collected).await? };
        for (digest, bytes, manifest) in unnamed {
            let may_go = called.as_ref().is_some_and(|called| !called.contains(&digest));
            if may_go && remove_unchanged(store, &Key::manifest(&digest), bytes, sweep).await? {
                collected.components += 1;
            } else {
                named.chunks.extend(manifest.chunks.iter().map(|chunk| chunk.digest));
            }
        }
        Ok(true)
    }

    /// The components that calls of live jobs name (`TASK@sha256:…`). `None`: this can't be known.
    async fn called(&self, collected: &mut CollectedCode) -> Result<Option<HashSet<Digest>>> {
        let store = self.backend.store();
        let live = LiveJobs::of(store).await?;
        if let Some(job_id) = live.unreadable {
            collected.stays = Some(CodeStays::Job(job_id));
            return Ok(None);
        }
        let jobs: Vec<GcJob> = live.jobs.into_iter().map(|job| GcJob { job_id: job.job_id, top: job.call }).collect();
        let mut seen: HashSet<CallHash> = HashSet::new();
        let mut called = HashSet::new();
        for jobs in jobs.chunks(TOGETHER) {
            let calls = self.calls(jobs).await?;
            if let Some((job, _)) = jobs.iter().zip(&calls).find(|(_, calls)| calls.unnamed) {
                collected.stays = Some(CodeStays::Job(job.job_id.clone()));
                return Ok(None);
            }
            let calls = calls.into_iter().flat_map(|calls| calls.all).filter(|call| seen.insert(call.clone()));
            let keys: Vec<Key> = calls.map(|call| Key::call(&call)).collect();
            let mut unread = keys.as_slice();
            while !unread.is_empty() {
                let (portion, _) = unread.split_at(unread.len().min(PAGE));
                let found = store.get_some(portion, READ_TOGETHER).await?;
                unread = unread.get(found.len().max(1)..).unwrap_or_default();
                let records = found.iter().flatten().filter_map(|bytes| CallRecord::decode(bytes).ok());
                called.extend(records.filter_map(|call| named_component(&call.task).map(|(_, digest)| digest)));
            }
        }
        Ok(Some(called))
    }

    /// Removes the chunks that nothing names, unless they are young.
    async fn remove_chunks(
        &self,
        plan: &Plan,
        named: &Named,
        collected: &mut CollectedCode,
        sweep: &mut Option<Upload<'_>>,
    ) -> Result<()> {
        let store = self.backend.store();
        let is_named = |id: &str| Digest::parse(id).is_some_and(|digest| named.chunks.contains(&digest));
        let mut ids = Listing::of(store, Kind::Chunk);
        while let Some(page) = ids.next().await? {
            let unnamed: Vec<Key> =
                page.iter().filter(|id| !is_named(id)).map(|id| Key::new(id, Kind::Chunk)).collect();
            let mut unread = unnamed.as_slice();
            while !unread.is_empty() {
                let (portion, _) = unread.split_at(unread.len().min(PAGE));
                let found = store.get_some(portion, READ_TOGETHER).await?;
                let (read, rest) = unread.split_at(found.len().clamp(1, unread.len()));
                unread = rest;
                let is_old = |bytes: &Bytes| match ChunkRecord::decode(bytes) {
                    Ok(record) => record.at.saturating_add(upload::life()) < plan.now,
                    Err(error) => error.kind != ErrorKind::NewerRecord,
                };
                let old = read.iter().zip(found).filter_map(|(key, bytes)| Some((key, bytes.filter(is_old)?)));
                let old: Vec<(&Key, Bytes)> = old.collect();
                if let Some(sweep) = sweep {
                    sweep.renew().await?;
                    let removal = |(key, bytes)| -> Access<'_, Swap> {
                        Box::pin(async move { store.swap(key, Some(&bytes), None).await })
                    };
                    let removed = concurrent::all(old.into_iter().map(removal).collect()).await?;
                    collected.chunks += removed.iter().filter(|swap| **swap == Swap::Done).count() as u64;
                } else {
                    collected.chunks += old.len() as u64;
                }
            }
        }
        Ok(())
    }
}

/// Removes a record if it is still as it was read. Returns whether it was removed. Without a sweep (a dry run), it only counts.
async fn remove_unchanged(store: &dyn Store, key: &Key, bytes: Bytes, sweep: &mut Option<Upload<'_>>) -> Result<bool> {
    let Some(sweep) = sweep else { return Ok(true) };
    sweep.renew().await?;
    Ok(store.swap(key, Some(&bytes), None).await? == Swap::Done)
}

async fn has_any(store: &dyn Store, kind: Kind) -> Result<bool> {
    Ok(Listing::of(store, kind).next().await?.is_some())
}
