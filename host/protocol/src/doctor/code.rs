//! Deployed code that workers can't load, because a part of it is not in the store or does not decode.

use std::collections::HashSet;

use super::survey::PAGE;
use super::{Doctor, Finding};
use crate::digest::Digest;
use crate::error::Result;
use crate::listing::Listing;
use crate::model::Topic;
use crate::ports::{Key, Kind};
use crate::records::{DeploymentsRecord, ManifestRecord};

impl Doctor {
    /// Looks whether the components of all revisions are complete. It reads no chunk: a worker checks the digests. This is no part
    /// of `survey`, which workers do from time to time: some stores charge for each chunk that is looked for.
    ///
    /// # Errors
    /// When the backend can't be read. A record that does not decode is a finding, not an error.
    pub async fn code(&self) -> Result<Vec<Finding>> {
        let (mut findings, mut known) = (Vec::new(), HashSet::new());
        let mut topics = Listing::of(self.backend.store(), Kind::Deployments);
        while let Some(page) = topics.next().await? {
            for topic in page.into_iter().map(Topic::from) {
                findings.extend(self.code_of(&topic, &mut known).await?);
            }
        }
        Ok(findings)
    }

    async fn code_of(&self, topic: &Topic, known: &mut HashSet<Digest>) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let key = Key::deployments(topic);
        let record = match self.deployments(&key).await? {
            Ok(record) => record,
            Err(damaged) => return Ok(vec![damaged]),
        };
        for revision in &record.revisions {
            for digest in revision.components.iter().map(|component| component.digest).filter(|new| known.insert(*new))
            {
                if let Some(reason) = self.missing(&digest).await? {
                    let (topic, revision) = (topic.clone(), revision.number);
                    findings.push((revision, Finding::Unloadable { topic, revision, component: digest, reason }));
                }
            }
        }
        if !findings.is_empty()
            && let Ok(now) = self.deployments(&key).await?
        {
            // Of a revision that was removed meanwhile, the code may go too.
            findings.retain(|(number, _)| now.revisions.iter().any(|revision| revision.number == *number));
        }
        Ok(findings.into_iter().map(|(_, finding)| finding).collect())
    }

    async fn deployments(&self, key: &Key) -> Result<std::result::Result<DeploymentsRecord, Finding>> {
        let Some(bytes) = self.backend.store().get(key).await? else { return Ok(Ok(DeploymentsRecord::default())) };
        let decoded = DeploymentsRecord::decode(&bytes);
        Ok(decoded.map_err(|error| Finding::Damaged { key: key.clone(), reason: error.reason }))
    }

    /// What a component lacks, in words.
    async fn missing(&self, digest: &Digest) -> Result<Option<String>> {
        let store = self.backend.store();
        let Some(bytes) = store.get(&Key::manifest(digest)).await? else {
            return Ok(Some("its component is not in the store".to_owned()));
        };
        let manifest = match ManifestRecord::decode(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Some(format!("the manifest of its component does not decode: {}", error.reason))),
        };
        let mut missing = 0;
        for page in manifest.chunks.chunks(PAGE) {
            let there = store.has_many(&page.iter().map(|chunk| Key::chunk(&chunk.digest)).collect::<Vec<_>>()).await?;
            missing += there.iter().filter(|there| !**there).count();
        }
        let of = manifest.chunks.len();
        Ok((missing > 0).then(|| format!("{missing} of the {of} chunks of its component are not in the store")))
    }
}
