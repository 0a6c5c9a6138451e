//! Makes and checks manifests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chunks::{Component, LARGEST};
use super::compression::{compress, decompress};
use super::{LARGEST_COMPONENT, LONGEST_SIGNATURE, MOST_BYTES, MOST_CHUNKS, MOST_SIGNATURES};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Millis;
use crate::ports::Key;
use crate::records::{ManifestRecord, TaskAbout};

/// What a component is, beside its bytes. It is what those who pushed it say: for people, not for decisions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// The tasks by their names.
    pub tasks: BTreeMap<String, TaskAbout>,
    /// What the component was built with, as a text for people. Empty: nothing says it.
    pub sdk: String,
    /// Its signatures: the texts of minisign's files.
    pub signatures: Vec<String>,
}

/// The most bytes of the tasks as JSON. The descriptions and schemas of a thousand tasks are far below.
const MOST_JSON: usize = 8 << 20;

/// The most bytes of `About::sdk`.
const LONGEST_SDK: usize = 1_000;

#[derive(Serialize, Deserialize)]
struct Tasks {
    tasks: BTreeMap<String, TaskAbout>,
}

/// The signatures of a component that was sent before, and then again.
fn joined(before: &[String], new: &[String]) -> Vec<String> {
    let mut all: Vec<String> = before.iter().filter(|one| !new.contains(one)).chain(new).cloned().collect();
    // Whoever can write the store may have added the others.
    all.retain(|signature| signature.len() <= LONGEST_SIGNATURE);
    let beyond = all.len().saturating_sub(MOST_SIGNATURES);
    all.split_off(beyond)
}

/// The manifest of a component. `before`: the signatures that it has already. `at`: now.
///
/// # Errors
/// `Limit` if what is said of its tasks does not fit into the record, or a signature is too long.
pub(super) fn of(component: &Component, about: &About, before: &[String], at: Millis) -> Result<ManifestRecord> {
    let refuse = |reason| {
        let operation = format!("describe the component sha256:{}", component.digest());
        Err(Error::new(ErrorKind::Limit, "protocol", operation, reason))
    };
    if about.sdk.len() > LONGEST_SDK {
        return refuse(format!("the name of its SDK has more than {LONGEST_SDK} bytes"));
    }
    if about.signatures.iter().any(|signature| signature.len() > LONGEST_SIGNATURE) {
        return refuse(format!("a signature has more than {LONGEST_SIGNATURE} bytes"));
    }
    // Texts and JSON are always JSON.
    let json = serde_json::to_vec(&Tasks { tasks: about.tasks.clone() }).unwrap_or_default();
    let manifest = ManifestRecord {
        digest: component.digest(),
        size: component.bytes().len() as u64,
        at,
        chunks: component.chunks().to_vec(),
        tasks: compress(&json)?.into(),
        sdk: about.sdk.clone(),
        signatures: joined(before, &about.signatures),
        extra: Vec::new(),
    };
    if json.len() > MOST_JSON || manifest.encode().len() > MOST_BYTES {
        return refuse("the descriptions and schemas of its tasks are too long; make them shorter".to_owned());
    }
    Ok(manifest)
}

/// What a component is, as its manifest says.
///
/// # Errors
/// `Malformed`, with what is wrong.
pub fn about(manifest: &ManifestRecord) -> Result<About> {
    let what = format!("the tasks in the manifest of sha256:{}", manifest.digest);
    let json = decompress(&what, &manifest.tasks, MOST_JSON)?;
    let Tasks { tasks } = serde_json::from_slice(&json).map_err(|error| Error::malformed(what, error.to_string()))?;
    Ok(About { tasks, sdk: manifest.sdk.clone(), signatures: manifest.signatures.clone() })
}

/// Checks what a manifest says of its chunks. Whether the chunks are there, and are what it says, only reading them shows.
///
/// # Errors
/// `Malformed` if the manifest is not one of the component `digest`, contradicts itself, or is beyond the limits.
pub fn check(digest: &Digest, manifest: &ManifestRecord) -> Result<()> {
    let refuse = |reason| Err(Error::malformed("a manifest record", reason).of(&Key::manifest(digest)));
    let (size, chunks) = (manifest.size, &manifest.chunks);
    if manifest.digest != *digest {
        return refuse(format!("it is the manifest of another component, sha256:{}", manifest.digest));
    }
    if size == 0 || size > LARGEST_COMPONENT {
        return refuse(format!("its component has {size} bytes; at most {} MiB are allowed", LARGEST_COMPONENT >> 20));
    }
    if chunks.len() > MOST_CHUNKS {
        return refuse(format!("it names {} chunks; at most {MOST_CHUNKS} are allowed", chunks.len()));
    }
    let signatures = &manifest.signatures;
    if signatures.len() > MOST_SIGNATURES || signatures.iter().any(|one| one.len() > LONGEST_SIGNATURE) {
        return refuse(format!(
            "it has too many or too long signatures; {MOST_SIGNATURES} of {LONGEST_SIGNATURE} bytes are allowed"
        ));
    }
    if let Some(chunk) = chunks.iter().find(|chunk| chunk.size == 0 || chunk.size as usize > LARGEST) {
        return refuse(format!("its chunk {} has {} bytes; 1 to {LARGEST} are allowed", chunk.digest, chunk.size));
    }
    let sum: u64 = chunks.iter().map(|chunk| u64::from(chunk.size)).sum();
    if sum != size {
        return refuse(format!("its chunks have {sum} bytes together, but the component has {size}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::records::{ChunkEntry, TaskInfo};

    fn component() -> Component {
        let mut random = fastrand::Rng::with_seed(6);
        Component::cut((0..300_000).map(|_| random.u8(..)).collect::<Vec<_>>().into()).unwrap()
    }

    fn task(description: String) -> TaskAbout {
        TaskAbout {
            info: TaskInfo {
                description: Some(description),
                input_schema: Some(serde_json::json!({"minimum": 1.50})),
                ..TaskInfo::default()
            },
            options: [("max-retries".to_owned(), "2".to_owned())].into(),
        }
    }

    #[test]
    fn a_manifest_tells_what_was_said() {
        let said = About {
            tasks: [("add".to_owned(), task("Adds.".to_owned()))].into(),
            sdk: "rust 1".into(),
            signatures: vec!["s".into()],
        };
        let component = component();
        let manifest = of(&component, &said, &[], 5).unwrap();
        check(&component.digest(), &manifest).unwrap();
        assert_eq!(about(&manifest).unwrap(), said);
        assert_eq!((manifest.at, manifest.size), (5, 300_000));
        let bomb = ManifestRecord { tasks: compress(&vec![b' '; 64 << 20]).unwrap().into(), ..manifest };
        assert!(about(&bomb).unwrap_err().is_unreadable());
    }

    #[test]
    fn what_is_said_has_a_limit() {
        let mut random = fastrand::Rng::with_seed(7);
        let text: String = (0..500_000).map(|_| random.alphanumeric()).collect();
        let long = About { tasks: [("t".to_owned(), task(text))].into(), ..About::default() };
        let far_too_long = About { tasks: [("t".to_owned(), task("x".repeat(MOST_JSON)))].into(), ..About::default() };
        let sdk = About { sdk: "x".repeat(LONGEST_SDK + 1), ..About::default() };
        let signature = About { signatures: vec!["x".repeat(LONGEST_SIGNATURE + 1)], ..About::default() };
        for about in [long, far_too_long, sdk, signature] {
            assert_eq!(of(&component(), &about, &[], 5).unwrap_err().kind, ErrorKind::Limit);
        }
    }

    #[test]
    fn the_largest_manifest_fits_into_a_record() {
        let chunk = ChunkEntry { digest: Digest::of(b""), size: LARGEST as u32 };
        let manifest =
            ManifestRecord { chunks: vec![chunk; MOST_CHUNKS], ..of(&component(), &About::default(), &[], 5).unwrap() };
        assert!(manifest.encode().len() < MOST_BYTES * 2 / 3);
    }

    #[test]
    fn signatures_are_joined_within_bounds() {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(joined(&texts(&["a", "b"]), &texts(&["a"])), texts(&["b", "a"]));
        assert_eq!(joined(&texts(&["a"]), &[]), texts(&["a"]));
        let many: Vec<String> = (0..100).map(|n| n.to_string()).chain(["x".repeat(LONGEST_SIGNATURE + 1)]).collect();
        let all = joined(&many, &texts(&["new"]));
        assert_eq!((all.len(), all.last().map(String::as_str)), (MOST_SIGNATURES, Some("new")));
    }

    #[test]
    fn a_manifest_that_lies_is_refused() {
        let component = component();
        let digest = component.digest();
        let good = of(&component, &About::default(), &[], 5).unwrap();
        check(&digest, &good).unwrap();
        let with = |change: &dyn Fn(&mut ManifestRecord)| {
            let mut lie = good.clone();
            change(&mut lie);
            lie
        };
        let huge = ChunkEntry { digest, size: LARGEST as u32 + 1 };
        let small = ChunkEntry { digest, size: 1 };
        for (lie, why) in [
            (with(&|m| m.digest = Digest::of(b"")), "another component"),
            (with(&|m| m.size += 1), "together"),
            (with(&|m| m.chunks.truncate(1)), "together"),
            (with(&|m| m.size = 0), "0 bytes"),
            (with(&|m| m.size = LARGEST_COMPONENT + 1), "256 MiB"),
            (with(&|m| m.chunks.push(ChunkEntry { size: 0, ..huge })), "0 bytes"),
            (with(&|m| m.chunks.push(huge)), "262145 bytes"),
            (with(&|m| m.chunks = vec![small; MOST_CHUNKS + 1]), "chunks; at most"),
            (with(&|m| m.signatures = vec![String::new(); MOST_SIGNATURES + 1]), "signatures"),
            (with(&|m| m.signatures = vec!["x".repeat(LONGEST_SIGNATURE + 1)]), "signatures"),
        ] {
            let error = check(&digest, &lie).unwrap_err();
            assert!(error.is_unreadable() && error.to_string().contains(why), "{error}");
        }
        assert!(about(&ManifestRecord { tasks: Bytes::from_static(b"x"), ..good }).is_err());
    }
}
