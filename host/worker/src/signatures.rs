//! Signatures of components, by minisign. A worker with trusted keys runs only components that one of these keys has signed.
//!
//! A signature is the text of the file that `minisign -S` writes. It is of the component's bytes, so it holds wherever the
//! component comes from: a file, a registry, or the store.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{Error, PublicKey, Signature};

use crate::text::shortened;

/// The most bytes of a file with a key or a signature. minisign's own limit for both comments is 9 KiB.
const LARGEST_FILE: u64 = 10 << 10;

/// The most bytes of a comment that are shown.
const LONGEST_COMMENT: usize = 300;

/// The keys whose signatures count. Without keys, all components may run.
#[derive(Clone, Default)]
pub struct TrustedKeys {
    keys: Vec<TrustedKey>,
}

#[derive(Clone)]
struct TrustedKey {
    key: PublicKey,
    id: String,
}

/// A key that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error("the key {} can't be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The file is no public key.
    #[error("{} is no public key of minisign; `minisign -G` makes a pair of keys, and the public one is minisign.pub", path.display())]
    NoKey { path: PathBuf },
}

/// Who has signed a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The id of the key, as minisign shows it: 16 hexadecimal digits.
    pub key: String,
    /// The trusted comment, for people. It is in one line, of a bounded length.
    pub comment: String,
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} ({})", self.key, self.comment)
    }
}

impl Signer {
    /// What a signature says of itself. Nothing is verified. `None`: it is no signature.
    #[must_use]
    pub fn said(signature: &str) -> Option<Self> {
        let decoded = Signature::decode(signature).ok()?;
        let key = id(signature.lines().nth(1)?)?;
        Some(Self { key, comment: shortened(decoded.trusted_comment(), LONGEST_COMMENT) })
    }
}

/// The id of the key in a line of base64: the bytes 2 to 9, the last one first.
fn id(base64: &str) -> Option<String> {
    let bytes = STANDARD.decode(base64.trim()).ok()?;
    Some(bytes.get(2..10)?.iter().rev().map(|byte| format!("{byte:02X}")).collect())
}

impl TrustedKeys {
    /// Reads the files of public keys.
    ///
    /// # Errors
    /// When a file can't be read, or is no key.
    pub fn read(paths: &[PathBuf]) -> Result<Self, KeyError> {
        let key = |path: &PathBuf| {
            let text = read_text(path).map_err(|source| KeyError::Unreadable { path: path.clone(), source })?;
            let no_key = || KeyError::NoKey { path: path.clone() };
            let key = PublicKey::decode(&text).map_err(|_| no_key())?;
            let id = text.lines().nth(1).and_then(id).ok_or_else(no_key)?;
            Ok(TrustedKey { key, id })
        };
        Ok(Self { keys: paths.iter().map(key).collect::<Result<_, _>>()? })
    }

    /// True if all components may run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Finds a good signature of a trusted key. `Ok(None)`: there are no trusted keys, so nothing was looked at. Hashing takes the
    /// processor about a second for 256 MiB.
    ///
    /// # Errors
    /// Why no signature is good, as text.
    pub fn check(&self, component: &[u8], signatures: &[String]) -> Result<Option<Signer>, String> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let trusted = || self.keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>().join(", ");
        let mut reasons = Vec::new();
        for text in signatures {
            let (Some(signer), Ok(signature)) = (Signer::said(text), Signature::decode(text)) else {
                reasons.push("it has a signature that is none of minisign".to_owned());
                continue;
            };
            let mut by = self.keys.iter().filter(|key| key.id == signer.key).peekable();
            if by.peek().is_none() {
                reasons.push(format!("it is signed by key {}, which is not trusted", signer.key));
            }
            for key in by {
                match key.key.verify(component, &signature, false) {
                    Ok(()) => return Ok(Some(signer)),
                    Err(Error::UnexpectedAlgorithm) => reasons.push(format!(
                        "its signature by key {} is of minisign's old kind; sign it with minisign 0.10 or later, without -l",
                        signer.key
                    )),
                    Err(_) => reasons.push(format!("its signature by key {} is of other bytes, or forged", signer.key)),
                }
            }
        }
        if reasons.is_empty() {
            reasons.push("it is not signed".to_owned());
        }
        Err(format!("{}; trusted: {}", reasons.join("; "), trusted()))
    }
}

/// Reads the file of a signature.
///
/// # Errors
/// When it can't be read, or is far too large for a signature.
pub fn read_text(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other(format!("it is larger than {} KiB", LARGEST_FILE >> 10)));
    }
    Ok(text)
}

/// Reads a signature that the user names, and checks that it is one.
///
/// # Errors
/// When it can't be read, or is no signature.
pub fn read_signature(path: &Path) -> io::Result<String> {
    let text = read_text(path)?;
    match Signer::said(&text) {
        Some(_) => Ok(text),
        // Its text is not shown: a link could lead to any file.
        None => Err(io::Error::other("it is no signature of minisign; `minisign -S -m COMPONENT` writes one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by minisign 0.11; the secret keys were thrown away. The texts are those of its files.
    const KEY: &str = include_str!("../../../tests/support/fixtures/minisign/key.pub");
    const OTHER: &str = include_str!("../../../tests/support/fixtures/minisign/other.pub");
    const SIGNED: &[u8] = b"a component\n";
    const GOOD: &str = include_str!("../../../tests/support/fixtures/minisign/good.minisig");
    const LEGACY: &str = include_str!("../../../tests/support/fixtures/minisign/legacy.minisig");

    fn keys(texts: &[&str]) -> TrustedKeys {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..texts.len()).map(|n| folder.path().join(n.to_string())).collect();
        for (path, text) in paths.iter().zip(texts) {
            fs::write(path, text).unwrap();
        }
        TrustedKeys::read(&paths).unwrap()
    }

    #[test]
    fn a_signature_of_a_trusted_key_counts() {
        let good = [GOOD.to_owned()];
        let signer = keys(&[OTHER, KEY]).check(SIGNED, &good).unwrap().unwrap();
        assert_eq!(signer.comment, "made for a test");
        assert_eq!(Some(&signer), Signer::said(GOOD).as_ref());
        assert!(KEY.lines().next().unwrap().ends_with(&signer.key), "{signer}");
        // Of several signatures one is enough, wherever it is.
        let several = ["junk".to_owned(), LEGACY.to_owned(), GOOD.to_owned()];
        assert!(keys(&[KEY]).check(SIGNED, &several).is_ok());
        assert_eq!(keys(&[]).check(SIGNED, &[]), Ok(None));
    }

    #[test]
    fn all_else_is_refused_with_its_reason() {
        let forged = GOOD.replace("made for a test", "made by the boss");
        for (trusted, component, signatures, why) in [
            (KEY, SIGNED, &[][..], "not signed"),
            (OTHER, SIGNED, &[GOOD.to_owned()], "which is not trusted"),
            (KEY, b"another", &[GOOD.to_owned()], "of other bytes"),
            (KEY, SIGNED, &[forged], "forged"),
            (KEY, SIGNED, &[LEGACY.to_owned()], "old kind"),
            (KEY, SIGNED, &["\u{1b}[2J".to_owned()], "none of minisign"),
        ] {
            let reason = keys(&[trusted]).check(component, signatures).unwrap_err();
            assert!(reason.contains(why) && reason.contains("trusted: "), "{reason}");
        }
        let long = format!("untrusted comment: x\n{}", "A".repeat(100));
        for text in ["", "\n\n\n", "untrusted comment: x", &long] {
            assert_eq!(Signer::said(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pub");
        for text in ["", "a secret of another program\n", GOOD, &"x".repeat(100_000)] {
            fs::write(&path, text).unwrap();
            let error = TrustedKeys::read(std::slice::from_ref(&path)).err().unwrap().to_string();
            assert!(error.contains("key.pub") && !error.contains("secret of"), "{error}");
        }
        assert!(read_signature(&path).is_err());
    }
}
