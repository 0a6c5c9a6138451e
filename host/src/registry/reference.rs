//! The notation of a component in a registry: `oci://REGISTRY/NAME:TAG`, `oci://REGISTRY/NAME@sha256:DIGEST`, or both.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use brrr_protocol::digest::Digest;

/// What such a name begins with.
const SCHEME: &str = "oci://";

/// True if the argument names a component in a registry, and not a file.
pub fn is_reference(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.starts_with(SCHEME))
}

/// A component in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    inner: oci_client::Reference,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads the notation.
    ///
    /// # Errors
    /// What is wrong, as text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("{text}: {why}; write oci://REGISTRY/NAME:TAG or oci://REGISTRY/NAME@sha256:DIGEST");
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not begin with oci://"))?;
        // Without this check, a name without a registry would be one of Docker Hub.
        let (registry, name) = rest.split_once('/').ok_or_else(|| wrong("it names no registry"))?;
        if registry != "localhost" && !registry.contains(['.', ':']) {
            return Err(wrong(&format!("{registry:?} is no host: it has neither a dot nor a port")));
        }
        let last = name.rsplit('/').next().unwrap_or_default();
        if !last.contains([':', '@']) {
            return Err(wrong("it has neither a tag nor a digest"));
        }
        let inner: oci_client::Reference = rest.parse().map_err(|error| wrong(&format!("{error}")))?;
        let digest = match inner.digest() {
            Some(digest) => {
                let hex = digest.strip_prefix("sha256:").and_then(Digest::parse);
                Some(hex.ok_or_else(|| wrong("its digest is not sha256: with 64 lower-case hexadecimal digits"))?)
            }
            None => None,
        };
        Ok(Self { inner, digest })
    }

    /// The digest of the manifest, if it is named.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The tag, if it is named.
    pub fn tag(&self) -> Option<&str> {
        self.inner.tag()
    }

    /// The host of the registry, with the port if it is named.
    pub fn registry(&self) -> &str {
        self.inner.registry()
    }

    /// A name for the component: the last part of its name in the registry.
    pub fn short_name(&self) -> &str {
        self.inner.repository().rsplit('/').next().unwrap_or_default()
    }

    /// The same component by the digest of its manifest alone. It stays the same whatever becomes of a tag.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        let (registry, repository) = (self.inner.registry().to_owned(), self.inner.repository().to_owned());
        let inner = oci_client::Reference::with_digest(registry, repository, format!("sha256:{digest}"));
        Self { inner, digest: Some(digest) }
    }

    /// True if the registry is on this machine. It is spoken to without TLS, as docker does.
    pub fn is_local(&self) -> bool {
        // Not the colons inside of an IPv6 address.
        let registry = self.registry();
        is_loopback(match registry.starts_with('[') {
            true => registry.split_inclusive(']').next().unwrap_or_default(),
            false => registry.split(':').next().unwrap_or_default(),
        })
    }

    /// An address in the registry's API.
    pub(super) fn url(&self, path: &str) -> String {
        let scheme = if self.is_local() { "http" } else { "https" };
        format!("{scheme}://{}/v2/{path}", self.inner.resolve_registry())
    }

    /// The address of some bytes.
    pub(super) fn blob_url(&self, digest: Digest) -> String {
        self.url(&format!("{}/blobs/sha256:{digest}", self.inner.repository()))
    }

    /// The address of the manifest.
    pub(super) fn manifest_url(&self) -> String {
        let which = self.inner.digest().or(self.inner.tag()).unwrap_or_default();
        self.url(&format!("{}/manifests/{which}", self.inner.repository()))
    }

    /// As the client of registries takes it.
    pub(super) fn inner(&self) -> &oci_client::Reference {
        &self.inner
    }
}

/// True if this host, as URLs write it, is this machine itself.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.inner.whole())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_digests_are_read() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (text, registry, name, tag, is_local) in [
            ("oci://ghcr.io/me/app:1.2".to_owned(), "ghcr.io", "app", Some("1.2"), false),
            (format!("oci://ghcr.io/me/app@{digest}"), "ghcr.io", "app", None, false),
            (format!("oci://localhost:5000/app:x@{digest}"), "localhost:5000", "app", Some("x"), true),
            ("oci://127.0.0.1:5000/a/b/c:x".to_owned(), "127.0.0.1:5000", "c", Some("x"), true),
            ("oci://localhost/app:x".to_owned(), "localhost", "app", Some("x"), true),
            ("oci://10.0.0.1:5000/app:x".to_owned(), "10.0.0.1:5000", "app", Some("x"), false),
            ("oci://127.0.0.1.example.com/app:x".to_owned(), "127.0.0.1.example.com", "app", Some("x"), false),
        ] {
            assert!(is_reference(Path::new(&text)));
            let reference = Reference::parse(&text).unwrap();
            assert_eq!((reference.registry(), reference.short_name(), reference.tag()), (registry, name, tag));
            assert_eq!((reference.to_string(), reference.is_local()), (text.clone(), is_local));
            assert_eq!(reference.digest().is_some(), text.contains("sha256"));
        }
        let pinned = Reference::parse("oci://ghcr.io/me/app:1").unwrap().pinned(Digest::of(b"x"));
        assert_eq!(pinned.to_string(), format!("oci://ghcr.io/me/app@sha256:{}", Digest::of(b"x")));
        assert_eq!(Reference::parse(&pinned.to_string()), Ok(pinned));
    }

    #[test]
    fn what_is_none_is_refused() {
        let short = format!("oci://ghcr.io/app@sha256:{}", "a".repeat(63));
        let other = format!("oci://ghcr.io/app@sha512:{}", "a".repeat(128));
        for (text, why) in [
            ("oci://", "names no registry"),
            ("oci://app:1", "names no registry"),
            ("oci://me/app:1", "is no host"),
            ("oci://ghcr.io/app", "neither a tag nor a digest"),
            ("oci://localhost:5000/app", "neither a tag nor a digest"),
            ("oci://ghcr.io/App:1", "App:1: "),
            ("oci://ghcr.io/../app:1", "app:1: "),
            (&short, "oci://"),
            (&other, "sha256"),
            ("app.wasm", "does not begin with oci://"),
        ] {
            let reason = Reference::parse(text).unwrap_err();
            assert!(reason.contains(why) && reason.contains("oci://REGISTRY/NAME:TAG"), "{reason}");
        }
        assert!(!is_reference(Path::new("oci/app.wasm")));
    }
}
