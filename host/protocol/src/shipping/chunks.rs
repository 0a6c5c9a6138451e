//! Cuts a component into chunks, and makes records of them.
//!
//! The cuts depend on the bytes around them only. So a change in one place changes one chunk or two, and all others stay.

use bytes::Bytes;
use fastcdc::v2020::FastCDC;

use super::compression::{compress, decompress};
use super::{LARGEST_COMPONENT, MOST_CHUNKS};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Millis;
use crate::ports::Key;
use crate::records::{ChunkEntry, ChunkRecord};

/// The fewest bytes of a chunk, but for the last one. Small chunks would make the manifest too large.
const SMALLEST: usize = 32 << 10;

/// The number of bytes after which a cut becomes likely. With this, chunks have about 90 KB. Chunks of a quarter of that would save
/// a twentieth of what is sent after a change, and would need four times as many records.
const AVERAGE: usize = 64 << 10;

/// The most bytes of a chunk. Its record is below `MOST_BYTES` even if it can't be compressed.
pub(super) const LARGEST: usize = 256 << 10;

/// A component that is cut into chunks.
#[derive(Clone, Debug)]
pub struct Component {
    bytes: Bytes,
    digest: Digest,
    chunks: Vec<ChunkEntry>,
}

impl Component {
    /// Cuts a component. This takes the processor about half a second for 256 MiB.
    ///
    /// # Errors
    /// `Limit` if the component is empty, or has more than [`LARGEST_COMPONENT`] bytes or [`MOST_CHUNKS`] chunks.
    pub fn cut(bytes: Bytes) -> Result<Self> {
        let refuse =
            |reason: String| Err(Error::new(ErrorKind::Limit, "protocol", "cut a component into chunks", reason));
        if bytes.is_empty() {
            return refuse("it is empty".to_owned());
        }
        if bytes.len() as u64 > LARGEST_COMPONENT {
            let (size, most) = (bytes.len(), LARGEST_COMPONENT >> 20);
            return refuse(format!("it has {size} bytes; a component has at most {most} MiB"));
        }
        let mut chunks = Vec::new();
        for cut in FastCDC::new(&bytes, SMALLEST, AVERAGE, LARGEST) {
            if chunks.len() == MOST_CHUNKS {
                return refuse(format!("it falls into more than {MOST_CHUNKS} chunks; make it smaller"));
            }
            let chunk = &bytes[cut.offset..cut.offset + cut.length];
            // A chunk has at most LARGEST bytes.
            chunks.push(ChunkEntry { digest: Digest::of(chunk), size: cut.length as u32 });
        }
        Ok(Self { digest: Digest::of(&bytes), bytes, chunks })
    }

    /// The digest of the component.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The component itself.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its chunks, in their order.
    #[must_use]
    pub fn chunks(&self) -> &[ChunkEntry] {
        &self.chunks
    }

    /// Its chunks with their bytes, in their order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (ChunkEntry, Bytes)> {
        let mut rest = self.bytes.clone();
        self.chunks.iter().map(move |chunk| (*chunk, rest.split_to(chunk.size as usize)))
    }
}

/// The record of a chunk. `at`: now.
///
/// # Errors
/// `Internal`, if there is no memory left.
pub(super) fn record(piece: &[u8], at: Millis) -> Result<Bytes> {
    Ok(ChunkRecord { at, zstd: compress(piece)?.into() }.encode())
}

/// The bytes of a chunk, from its record.
///
/// # Errors
/// `Malformed` if they are not what the manifest names.
pub(super) fn piece(record: &[u8], chunk: &ChunkEntry) -> Result<Vec<u8>> {
    let what = "a chunk record";
    let read = || {
        let zstd = ChunkRecord::decode(record)?.zstd;
        let piece = decompress(what, &zstd, LARGEST)?;
        if piece.len() != chunk.size as usize || Digest::of(&piece) != chunk.digest {
            return Err(Error::malformed(
                what,
                "it holds other bytes than those of its digest; push the component again with all of its chunks",
            ));
        }
        Ok(piece)
    };
    read().map_err(|error: Error| error.of(&Key::chunk(&chunk.digest)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::MOST_BYTES;
    use super::*;

    fn random(seed: u64, size: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..size).map(|_| random.u8(..)).collect()
    }

    fn digests(bytes: &[u8]) -> HashSet<Digest> {
        let component = Component::cut(Bytes::copy_from_slice(bytes)).unwrap();
        component.chunks().iter().map(|chunk| chunk.digest).collect()
    }

    #[test]
    fn the_chunks_are_the_component() {
        for size in [1, SMALLEST, LARGEST + 1, 3_000_000] {
            let component = Component::cut(random(1, size).into()).unwrap();
            let joined: Vec<u8> = component.pieces().flat_map(|(_, bytes)| bytes).collect();
            assert_eq!(joined, *component.bytes());
            assert_eq!(component.digest(), Digest::of(&joined));
            for (n, (chunk, bytes)) in component.pieces().enumerate() {
                assert_eq!(Digest::of(&bytes), chunk.digest);
                assert!(bytes.len() <= LARGEST && (bytes.len() >= SMALLEST || n + 1 == component.chunks().len()));
                let record = record(&bytes, u64::MAX >> 1).unwrap();
                assert!(record.len() < MOST_BYTES, "{}", record.len());
                assert_eq!(piece(&record, &chunk).unwrap(), bytes);
            }
        }
        // The longest chunk, of bytes that can't be compressed.
        assert!(record(&random(2, LARGEST), 0).unwrap().len() < MOST_BYTES);
    }

    #[test]
    fn the_largest_component_has_room_for_its_chunks() {
        let size = 32 << 20;
        let chunks = Component::cut(random(3, size).into()).unwrap().chunks().len();
        // A share of MOST_CHUNKS, with a fifth to spare. `MOST_CHUNKS` names the figure.
        assert!(chunks * (LARGEST_COMPONENT as usize / size) < MOST_CHUNKS * 4 / 5, "{chunks}");
    }

    #[test]
    fn a_change_stays_in_its_place() {
        let old = random(4, 2_000_000);
        let before = digests(&old);
        let changed: Vec<u8> = old.iter().enumerate().map(|(n, byte)| byte ^ u8::from(n == 1_000_000)).collect();
        let longer = [&old[..500_000], b"inserted", &old[500_000..]].concat();
        for new in [changed, longer] {
            let sent = digests(&new).difference(&before).count();
            assert!((1..=2).contains(&sent), "{sent}");
        }
    }

    #[test]
    fn what_is_no_component_is_refused() {
        let error = Component::cut(Bytes::new()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Limit);
        let large = vec![0; LARGEST_COMPONENT as usize + 1];
        let error = Component::cut(large.into()).unwrap_err();
        assert!(error.kind == ErrorKind::Limit && error.to_string().contains("256 MiB"), "{error}");
    }

    #[test]
    fn a_chunk_that_lies_is_refused() {
        let bytes = random(5, 1_000);
        let chunk = ChunkEntry { digest: Digest::of(&bytes), size: 1_000 };
        let good = record(&bytes, 1).unwrap();
        assert_eq!(piece(&good, &chunk).unwrap(), bytes);
        let bomb = record(&vec![0; 64 << 20], 1).unwrap();
        let mut damaged = good.to_vec();
        *damaged.iter_mut().rev().nth(20).unwrap() ^= 1;
        for (record, chunk) in [
            (&good[..], ChunkEntry { size: 999, ..chunk }),
            (&good, ChunkEntry { digest: Digest::of(b""), ..chunk }),
            (&record(&bytes[1..], 1).unwrap(), chunk),
            (&bomb, chunk),
            (&damaged, chunk),
            (b"", chunk),
        ] {
            let error = piece(record, &chunk).unwrap_err();
            assert!(error.is_unreadable() && error.to_string().contains("chunk of "), "{error}");
        }
    }
}
