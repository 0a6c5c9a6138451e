//! The record `chunk`, by the digest of the chunk: a part of a component, compressed.

use bytes::Bytes;

use super::{VERSION, blob, int, optional_bytes, unsigned, versioned, write_dict};
use crate::error::{Error, Result};
use crate::model::Millis;

/// The record `chunk`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRecord {
    /// When the record was put, in milliseconds since the Unix epoch. A chunk that is put again has other bytes, so a collection
    /// that has read the old ones does not remove it.
    pub at: Millis,
    /// The chunk, compressed with zstd.
    pub zstd: Bytes,
}

const CHUNK: &str = "a chunk record";

impl ChunkRecord {
    /// The record in bencode.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        write_dict(vec![(b"at", int(self.at)), (b"v", int(VERSION as u64)), (b"zstd", blob(&self.zstd))])
    }

    /// Decodes the record `chunk`.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let value = versioned(CHUNK, bytes)?;
        let zstd = optional_bytes(CHUNK, &value, "zstd")?;
        Ok(Self {
            at: unsigned(CHUNK, &value, "at")?,
            zstd: zstd.ok_or_else(|| Error::malformed(CHUNK, "`zstd` is missing"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_record_round_trips() {
        let record = ChunkRecord { at: 7, zstd: Bytes::from_static(b"(\xb5/\xfd") };
        assert_eq!(record.encode(), &b"d2:ati7e1:vi1e4:zstd4:(\xb5/\xfde"[..]);
        assert_eq!(ChunkRecord::decode(&record.encode()).unwrap(), record);
        for wrong in [&b""[..], b"d1:vi1ee", b"d1:vi1e4:zstdi1ee", b"d1:vi2e4:zstd0:e"] {
            assert!(ChunkRecord::decode(wrong).unwrap_err().is_unreadable());
        }
    }
}
