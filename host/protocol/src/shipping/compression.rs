//! zstd, with a bound for what comes out.

use crate::error::{Error, ErrorKind, Result};

/// zstd's own default. Of a Python component, level 19 leaves an eighth less, in fifty times the time.
const LEVEL: i32 = 3;

/// Compresses these bytes.
///
/// # Errors
/// `Internal`, if there is no memory left.
pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    zstd::bulk::compress(bytes, LEVEL).map_err(|error| {
        Error::new(ErrorKind::Internal, "protocol", "compress a part of a component", error.to_string())
    })
}

/// The bytes that were compressed. Takes no more memory than for `most` bytes, whatever the input says of itself. `what` names the
/// input in errors.
///
/// # Errors
/// `Malformed` if the input is not what zstd writes, or holds more than `most` bytes.
pub(super) fn decompress(what: &str, bytes: &[u8], most: usize) -> Result<Vec<u8>> {
    zstd::bulk::decompress(bytes, most).map_err(|error| {
        Error::malformed(
            what,
            format!("it is damaged, or holds more than {most} bytes when it is decompressed ({error})"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_is_bounded() {
        let bomb = compress(&vec![0; 64 << 20]).unwrap();
        assert!(bomb.len() < 10_000);
        assert_eq!(decompress("x", &bomb, 64 << 20).unwrap().len(), 64 << 20);
        let error = decompress("the x", &bomb, (64 << 20) - 1).unwrap_err();
        assert!(error.is_unreadable() && error.to_string().contains("read the x"), "{error}");
        for damaged in [&bomb[..bomb.len() - 1], b"no", &[]] {
            assert!(decompress("x", damaged, 64 << 20).is_err() || damaged.is_empty());
        }
    }
}
