//! The record `manifest`, by the digest of a component: what the component is, and of which chunks it consists. The record
//! `upload`, by the same digest: the component is being sent.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    TaskInfo, VERSION, blob, int, items, list, optional_bytes, optional_text, string, unknown_entries, unsigned,
    versioned, write_dict,
};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::model::Millis;
use crate::wire::text;

/// The record `manifest`.
#[derive(Clone, Debug, PartialEq)]
pub struct ManifestRecord {
    /// The digest of the component.
    pub digest: Digest,
    /// The size of the component, in bytes.
    pub size: u64,
    /// When the component was sent last, in milliseconds since the Unix epoch.
    pub at: Millis,
    /// The chunks of the component, in their order.
    pub chunks: Vec<ChunkEntry>,
    /// The tasks, as JSON that is compressed with zstd. See `shipping::About`.
    pub tasks: Bytes,
    /// What the component was built with, as a text for people. Empty: nothing says it.
    pub sdk: String,
    /// Signatures of the component: the texts of minisign's files. Whether they are good, only who has the keys knows.
    pub signatures: Vec<String>,
    /// Entries that a later version wrote. They are kept as they are: key, bencoded value.
    pub extra: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A chunk, as a manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkEntry {
    /// The digest of the chunk, not compressed.
    pub digest: Digest,
    /// The size of the chunk, not compressed, in bytes. It is below 2^24.
    pub size: u32,
}

/// A task of a component, as the component and those who pushed it say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskAbout {
    /// What the task is.
    #[serde(default)]
    pub info: TaskInfo,
    /// The options of the task, as pairs of text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// The record `upload`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadRecord {
    /// When the sender was alive, in milliseconds since the Unix epoch.
    pub at: Millis,
    /// The chunks that must stay.
    pub chunks: Vec<ChunkEntry>,
}

const MANIFEST: &str = "a manifest record";
const UPLOAD: &str = "an upload record";
const KEYS: [&str; 8] = ["at", "chunks", "digest", "sdk", "signatures", "size", "tasks", "v"];

impl ManifestRecord {
    /// The record in bencode.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut fields: Vec<(&[u8], Vec<u8>)> = vec![
            (b"at", int(self.at)),
            (b"chunks", blob(&pack(&self.chunks))),
            (b"digest", blob(self.digest.as_bytes())),
            (b"size", int(self.size)),
            (b"tasks", blob(&self.tasks)),
            (b"v", int(VERSION as u64)),
        ];
        if !self.sdk.is_empty() {
            fields.push((b"sdk", string(&self.sdk)));
        }
        if !self.signatures.is_empty() {
            fields.push((b"signatures", list(self.signatures.iter().map(|text| string(text)))));
        }
        fields.extend(self.extra.iter().map(|(k, v)| (k.as_slice(), v.clone())));
        write_dict(fields)
    }

    /// Decodes the record `manifest`. What it says of its chunks may be wrong.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let value = versioned(MANIFEST, bytes)?;
        let digest = optional_bytes(MANIFEST, &value, "digest")?.and_then(|digest| Digest::from_bytes(&digest));
        Ok(Self {
            digest: digest.ok_or_else(|| Error::malformed(MANIFEST, "`digest` is no digest"))?,
            size: unsigned(MANIFEST, &value, "size")?,
            at: unsigned(MANIFEST, &value, "at")?,
            chunks: unpack(MANIFEST, &optional_bytes(MANIFEST, &value, "chunks")?.unwrap_or_default())?,
            tasks: optional_bytes(MANIFEST, &value, "tasks")?.unwrap_or_default(),
            sdk: optional_text(MANIFEST, &value, "sdk")?,
            signatures: items(MANIFEST, &value, "signatures")?
                .iter()
                .map(|signature| Ok(text(MANIFEST, "signatures", signature)?.to_owned()))
                .collect::<Result<_>>()?,
            extra: unknown_entries(&value, &KEYS),
        })
    }
}

impl UploadRecord {
    /// The record in bencode.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut fields: Vec<(&[u8], Vec<u8>)> = vec![(b"at", int(self.at)), (b"v", int(VERSION as u64))];
        if !self.chunks.is_empty() {
            fields.push((b"chunks", blob(&pack(&self.chunks))));
        }
        write_dict(fields)
    }

    /// Decodes the record `upload`.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let value = versioned(UPLOAD, bytes)?;
        Ok(Self {
            at: unsigned(UPLOAD, &value, "at")?,
            chunks: unpack(UPLOAD, &optional_bytes(UPLOAD, &value, "chunks")?.unwrap_or_default())?,
        })
    }
}

/// The bytes of one packed chunk: its digest, and its size as 24 bits. So thousands of them fit into a record.
const PACKED: usize = Digest::SIZE + 3;

fn pack(chunks: &[ChunkEntry]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(chunks.len() * PACKED);
    for chunk in chunks {
        let [_, size @ ..] = chunk.size.to_be_bytes();
        packed.extend_from_slice(chunk.digest.as_bytes());
        packed.extend_from_slice(&size);
    }
    packed
}

fn unpack(what: &str, packed: &[u8]) -> Result<Vec<ChunkEntry>> {
    let damaged =
        || Error::malformed(what, format!("`chunks` has {} bytes, which are no list of chunks", packed.len()));
    let (entries, rest) = packed.as_chunks::<PACKED>();
    if !rest.is_empty() {
        return Err(damaged());
    }
    let entry = |entry: &[u8; PACKED]| {
        let (digest, size) = entry.split_at(Digest::SIZE);
        let size = size.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        Some(ChunkEntry { digest: Digest::from_bytes(digest)?, size })
    };
    entries.iter().map(entry).collect::<Option<_>>().ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_manifest_record_round_trips() {
        let chunks =
            vec![ChunkEntry { digest: digest(b'b'), size: 0x0001_0203 }, ChunkEntry { digest: digest(b'c'), size: 4 }];
        let record = ManifestRecord {
            digest: digest(b'a'),
            size: 0x0001_0207,
            at: 9,
            chunks: chunks.clone(),
            tasks: Bytes::from_static(b"t"),
            sdk: String::new(),
            signatures: Vec::new(),
            extra: Vec::new(),
        };
        let (a, b, c) = ("a".repeat(32), "b".repeat(32), "c".repeat(32));
        let packed = format!("{b}\x01\x02\x03{c}\0\0\x04");
        assert_eq!(
            record.encode(),
            format!("d2:ati9e6:chunks70:{packed}6:digest32:{a}4:sizei66055e5:tasks1:t1:vi1ee").as_bytes()
        );
        let full = ManifestRecord {
            sdk: "python 1".into(),
            signatures: vec!["untrusted comment: a\nRU".into(), "b".into()],
            extra: vec![(b"zz".to_vec(), b"le".to_vec())],
            ..record.clone()
        };
        for record in [record, full] {
            assert_eq!(ManifestRecord::decode(&record.encode()).unwrap(), record);
        }
        let upload = UploadRecord { at: 9, chunks };
        assert_eq!(upload.encode(), format!("d2:ati9e6:chunks70:{packed}1:vi1ee").as_bytes());
        assert_eq!(UploadRecord::decode(&upload.encode()).unwrap(), upload);
        let none = UploadRecord { at: 9, chunks: Vec::new() };
        assert_eq!(none.encode(), &b"d2:ati9e1:vi1ee"[..]);
        assert_eq!(UploadRecord::decode(&none.encode()).unwrap(), none);
    }

    #[test]
    fn damage_is_reported() {
        let a = "a".repeat(32);
        for wrong in [
            String::new(),
            "d1:vi1ee".into(),
            "d6:digest1:a1:vi1ee".into(),
            format!("d6:chunks1:x6:digest32:{a}1:vi1ee"),
            format!("d6:digest32:{a}4:sizei-1e1:vi1ee"),
            format!("d6:digest32:{a}10:signaturesi1e1:vi1ee"),
            format!("d6:digest32:{a}1:vi2ee"),
        ] {
            assert!(ManifestRecord::decode(wrong.as_bytes()).unwrap_err().is_unreadable(), "{wrong}");
        }
        assert!(UploadRecord::decode(b"d6:chunks1:x1:vi1ee").is_err());
    }
}
