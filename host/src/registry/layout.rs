//! How a component lies in a registry: the manifest and the configuration, as JSON.

use std::collections::BTreeMap;

use brrr_protocol::digest::Digest;
use brrr_protocol::shipping::{LARGEST_COMPONENT, LONGEST_SIGNATURE, MOST_SIGNATURES};
use serde::{Deserialize, Serialize};

/// The type of a manifest of one artifact.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The types of what a tag may stand for. Lists of images are asked for as well, so that they can be told apart.
pub const ACCEPTED: [&str; 4] = [
    MANIFEST,
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// The types of a component's bytes. Registries send them as bytes of any type.
pub const ANY: &str = "*/*";

/// The type of the configuration, and of the layer.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";

/// The annotation of the layer with its signatures, each as minisign writes it. Between two of them is an empty line.
const SIGNATURES: &str = "org.brrr-host.minisign";

/// What the configuration says of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The interfaces that it exports.
    pub exports: Vec<String>,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
}

/// The component of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub digest: Digest,
    /// Its size in bytes, which is bounded.
    pub size: u64,
    pub signatures: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    /// Of a list of images.
    #[serde(default, skip_serializing)]
    manifests: Vec<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    fn new(media_type: &str, bytes: &[u8]) -> Self {
        let (digest, size) = (format!("sha256:{}", Digest::of(bytes)), bytes.len() as u64);
        Self { media_type: media_type.to_owned(), digest, size, annotations: BTreeMap::new() }
    }
}

/// The configuration of a component.
#[must_use]
pub fn config(component: &[u8], about: &About) -> Vec<u8> {
    let config = serde_json::json!({
        // Readers want a time. With the time of publishing, the same component would have another digest each time.
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [format!("sha256:{}", Digest::of(component))],
        "component": {"exports": about.exports, "imports": about.imports},
    });
    config.to_string().into_bytes()
}

/// The manifest of a component with this configuration.
#[must_use]
pub fn manifest(component: &[u8], config: &[u8], signatures: &[String]) -> Vec<u8> {
    let mut layer = Descriptor::new(LAYER, component);
    if !signatures.is_empty() {
        let texts: Vec<&str> = signatures.iter().map(|signature| signature.trim_end()).collect();
        layer.annotations.insert(SIGNATURES.to_owned(), texts.join("\n\n"));
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST.to_owned()),
        config: Some(Descriptor::new(CONFIG, config)),
        layers: vec![layer],
        manifests: Vec::new(),
    };
    // Texts and numbers are always JSON.
    serde_json::to_vec(&manifest).unwrap_or_default()
}

/// Finds the component in a manifest.
///
/// # Errors
/// Why there is none, as text.
pub fn component(manifest: &[u8]) -> Result<Layer, String> {
    let manifest: Manifest =
        serde_json::from_slice(manifest).map_err(|error| format!("its manifest can't be read ({error})"))?;
    if !manifest.manifests.is_empty() {
        return Err("it is a list of images for several machines, and no component".to_owned());
    }
    let config = manifest.config.map(|config| config.media_type).unwrap_or_default();
    let is_image = config.starts_with("application/vnd.oci.image.config") || config.contains("docker.container.image");
    let [layer] = &manifest.layers[..] else {
        let layers = manifest.layers.len();
        let what = if is_image { "an image for containers" } else { "an artifact" };
        return Err(format!("it is {what} with {layers} layers; a component is one layer of the type {LAYER}"));
    };
    if layer.media_type != LAYER {
        let what = if is_image { "an image for containers" } else { "an artifact of another kind" };
        return Err(format!("it is {what}: its layer is of the type {}, and not {LAYER}", layer.media_type));
    }
    let digest = layer.digest.strip_prefix("sha256:").and_then(Digest::parse);
    let digest = digest.ok_or_else(|| format!("the digest of its layer, {}, is not of SHA-256", layer.digest))?;
    if layer.size == 0 || layer.size > LARGEST_COMPONENT {
        let most = LARGEST_COMPONENT >> 20;
        return Err(format!("its component has {} bytes; 1 byte to {most} MiB are allowed", layer.size));
    }
    let text = layer.annotations.get(SIGNATURES).map(String::as_str).unwrap_or_default();
    let texts = text.split("\n\n").filter(|text| !text.trim().is_empty());
    let texts = texts.filter(|text| text.len() < LONGEST_SIGNATURE).map(|text| format!("{}\n", text.trim_end()));
    Ok(Layer { digest, size: layer.size, signatures: texts.take(MOST_SIGNATURES).collect() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_published_is_found() {
        let about = About { exports: vec!["a:b/c@1.0.0".into()], imports: vec!["d:e/f@1.0.0".into()] };
        let config = config(b"wasm", &about);
        let signatures = ["one\ntwo\n".to_owned(), "three\n".to_owned()];
        for signatures in [&[][..], &signatures[..1], &signatures] {
            let manifest = manifest(b"wasm", &config, signatures);
            let layer = component(&manifest).unwrap();
            assert_eq!(layer, Layer { digest: Digest::of(b"wasm"), size: 4, signatures: signatures.to_vec() });
        }
        let manifest: Value = serde_json::from_slice(&manifest(b"wasm", &config, &[])).unwrap();
        assert_eq!(manifest["config"]["digest"], json!(format!("sha256:{}", Digest::of(&config))));
        assert_eq!(manifest["config"]["mediaType"], json!("application/vnd.wasm.config.v0+json"));
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert_eq!((&config["os"], &config["component"]["imports"][0]), (&json!("wasip2"), &json!("d:e/f@1.0.0")));
        assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);
    }

    #[test]
    fn all_else_is_told_apart() {
        let digest = format!("sha256:{}", Digest::of(b""));
        let layer = |kind: &str, size: u64| json!({"mediaType": kind, "digest": digest, "size": size});
        let with = |config: &str, layers: Vec<Value>| json!({"schemaVersion": 2, "config": {"mediaType": config, "digest": digest, "size": 2}, "layers": layers});
        let image = "application/vnd.docker.container.image.v1+json";
        let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
        for (manifest, why) in [
            (with(image, vec![layer(tar, 1)]), "an image for containers: its layer"),
            (
                with("application/vnd.oci.image.config.v1+json", vec![layer(tar, 1); 3]),
                "an image for containers with 3",
            ),
            (with("application/vnd.cncf.helm.config.v1+json", vec![layer("application/x", 1)]), "another kind"),
            (with(CONFIG, vec![]), "0 layers"),
            (with(CONFIG, vec![layer(LAYER, LARGEST_COMPONENT + 1)]), "256 MiB"),
            (with(CONFIG, vec![layer(LAYER, 0)]), "0 bytes"),
            (with(CONFIG, vec![json!({"mediaType": LAYER, "digest": "sha512:0", "size": 1})]), "SHA-256"),
            (json!({"schemaVersion": 2, "manifests": [{}]}), "several machines"),
            (json!([]), "can't be read"),
        ] {
            let reason = component(manifest.to_string().as_bytes()).unwrap_err();
            assert!(reason.contains(why), "{reason}");
        }
        // What `wkg` writes has more fields.
        let mut other = with(CONFIG, vec![layer(LAYER, 7)]);
        other["annotations"] = json!({"org.opencontainers.image.version": "1"});
        other["artifactType"] = json!(CONFIG);
        assert_eq!(component(other.to_string().as_bytes()).unwrap().size, 7);
    }
}
