//! `publish`: puts a component into a registry.

use std::path::PathBuf;
use std::time::Duration;

use brrr_worker::signatures::TrustedKeys;
use brrr_worker::wasm::{Engine, EngineOptions, Guest};
use bytes::Bytes;
use serde_json::json;

use super::ExitError;
use super::output::{Format, print, print_json};
use super::progress::Spinner;
use super::source::{self, Source};
use crate::exit::Exit;
use crate::registry::{About, Registry};

/// Publish a component in an OCI registry, and print its name with its digest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host publish hello oci://ghcr.io/me/hello:1.0
  brrr-host publish app.wasm oci://localhost:5000/app:latest
  brrr-host run --topic demo oci://ghcr.io/me/hello:1.0

The login is docker's (`docker login`). Without TLS are only registries on this machine. The signature beside the
component (app.wasm.minisig) is published with it. The same component gets the same digest each time.")]
pub struct PublishCommand {
    /// The component, the folder of a project, which is built first, or a component in another registry.
    #[arg(value_name = "GUEST.WASM|DIR|OCI")]
    guest: PathBuf,

    /// The place in the registry.
    #[arg(value_name = "oci://REGISTRY/NAME:TAG")]
    place: PathBuf,

    /// A signature of the component, as `minisign -S` writes it.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
}

pub async fn run(args: PublishCommand, format: Format) -> anyhow::Result<Exit> {
    let reference = source::reference(&args.place)?;
    if reference.digest().is_some() || reference.tag().is_none() {
        let text = format!("{reference}: the digest follows from the component; name a tag: oci://REGISTRY/NAME:TAG");
        return Err(ExitError::new(Exit::Usage, text).into());
    }
    let mut source = source::read(&args.guest, None).await?;
    if let Some(file) = &args.signature {
        source.signatures.push(source::signature(file)?);
    }
    let (bytes, signatures) = (Bytes::from(source.bytes), source.signatures);
    let engine = Engine::new(&EngineOptions { max_running: 1, ..EngineOptions::default() })?;
    // What this program can't load is refused here.
    let loaded = Source { bytes: bytes.to_vec(), signatures: Vec::new(), ..source };
    let guest = loaded.load(&engine, &TrustedKeys::default()).await?;
    let spinner = Spinner::after(Duration::from_millis(300), format!("publishing {reference}"));
    let pinned = Registry::open(&reference).await?.publish(bytes, &about(&guest), &signatures).await?;
    drop(spinner);
    match format {
        Format::Json => print_json(&json!({
            "reference": pinned.to_string(),
            "tag": reference.to_string(),
            "digest": pinned.digest().map(|digest| format!("sha256:{digest}")),
            "component": format!("sha256:{}", guest.digest),
            "size": guest.size,
            "signatures": signatures.len(),
        }))?,
        Format::Text => print(format_args!("{pinned}"))?,
    }
    Ok(Exit::Done)
}

fn about(guest: &Guest) -> About {
    About { exports: guest.exports.clone(), imports: guest.imports.clone() }
}
