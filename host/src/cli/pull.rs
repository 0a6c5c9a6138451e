//! `pull`: writes components to files, of a revision or from a registry.

use std::path::{Path, PathBuf};

use brrr_protocol::client::Client;
use brrr_protocol::model::Topic;
use serde_json::json;

use super::ExitError;
use super::deploy::{component, find};
use super::options::{BackendArgs, topic};
use super::output::{Format, print, print_json};
use super::source;
use crate::exit::Exit;

/// Write the components of a revision, or a component of an OCI registry, to files.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host pull --topic demo --revision 3 -o old
  brrr-host pull oci://ghcr.io/me/hello:1.0 -o hello.wasm

A signature is written beside its component (hello.wasm.minisig).")]
pub struct PullCommand {
    /// The component in a registry. Not given: what was pushed to the topic.
    #[arg(value_name = "oci://REGISTRY/NAME:TAG")]
    component: Option<PathBuf>,

    /// The topic whose code is wanted, if no component is named.
    #[arg(long, env = "BRRR_TOPIC", value_name = "TOPIC", value_parser = topic)]
    topic: Option<Topic>,

    /// The number of the revision. Not given: the newest.
    #[arg(long, value_name = "REVISION", conflicts_with = "component")]
    revision: Option<u64>,

    /// The folder for the files. For a component of a registry also the file to write.
    #[arg(short, long = "out", default_value = ".", value_name = "DIR")]
    out: PathBuf,

    #[command(flatten)]
    backend: BackendArgs,
}

pub async fn run(args: PullCommand, format: Format) -> anyhow::Result<Exit> {
    if let Some(path) = &args.component {
        return from_registry(path, &args.out, format).await;
    }
    let Some(topic) = &args.topic else {
        let text = "which component? name one in a registry (oci://…), or the topic to which it was pushed (--topic)";
        return Err(ExitError::new(Exit::Usage, text).into());
    };
    let client = Client::new(args.backend.open_existing().await?);
    let record = client.deployments(topic).await?;
    let revision = find(&record, args.revision)?;
    tokio::fs::create_dir_all(&args.out).await?;
    let mut files = Vec::new();
    for part in &revision.components {
        let (bytes, signatures) = component(&client, part).await?;
        let path = args.out.join(file_name(&part.name));
        write(&path, &bytes, &signatures).await?;
        files.push(path.display().to_string());
    }
    match format {
        Format::Json => print_json(&json!({"revision": revision.number, "files": files}))?,
        Format::Text => print(files.join("\n"))?,
    }
    Ok(Exit::Done)
}

async fn from_registry(component: &Path, out: &Path, format: Format) -> anyhow::Result<Exit> {
    let reference = source::reference(component)?;
    let pulled = source::pull(&reference).await?;
    let path = if out.is_dir() { out.join(file_name(reference.short_name())) } else { out.to_owned() };
    write(&path, &pulled.bytes, &pulled.signatures).await?;
    match format {
        Format::Json => {
            print_json(&json!({"reference": pulled.pinned.to_string(), "files": [path.display().to_string()]}))?;
        }
        Format::Text => print(path.display())?,
    }
    Ok(Exit::Done)
}

/// Writes a component, and its signature beside it. Of several signatures, the newest one.
async fn write(path: &Path, bytes: &[u8], signatures: &[String]) -> anyhow::Result<()> {
    let failed =
        |path: &Path, error| ExitError::new(Exit::Fault, format!("{} can't be written: {error}", path.display()));
    tokio::fs::write(path, bytes).await.map_err(|error| failed(path, error))?;
    if let Some(signature) = signatures.last() {
        let path = source::signature_file(path);
        tokio::fs::write(&path, signature).await.map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// The file name of a component that is pulled.
fn file_name(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let plain = plain.trim_start_matches('.');
    let plain = if plain.is_empty() { "component" } else { plain };
    if plain.ends_with(".wasm") { plain.to_owned() } else { format!("{plain}.wasm") }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn a_pulled_component_stays_in_its_folder() {
        assert_eq!(file_name("hello"), "hello.wasm");
        assert_eq!(file_name("../../etc/passwd"), "_.._etc_passwd.wasm");
        assert_eq!(file_name("/"), "_.wasm");
        assert_eq!(file_name(".."), "component.wasm");
    }
}
