//! `inspect`: shows a component's properties and its tasks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use brrr_protocol::client::Client;
use brrr_protocol::model::Topic;
use brrr_worker::signatures::{Signer, TrustedKeys};
use brrr_worker::text::line;
use brrr_worker::wasm::{Engine, EngineOptions, Guest, Task};
use bytesize::ByteSize;
use serde_json::{Value, json};

use super::ExitError;
use super::deploy::{find, guests};
use super::options::{BackendArgs, topic};
use super::output::{Format, print, print_json};
use super::source::{self, said};
use crate::exit::Exit;

/// Show the tasks that a component handles, and what it imports from its host.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  brrr-host inspect guest.wasm
  brrr-host inspect guest.wasm --output json
  brrr-host inspect --topic demo --revision 3")]
pub struct InspectCommand {
    /// The component: a file, the folder of a project, which is built first, or oci://REGISTRY/NAME:TAG. Not given: what was
    /// pushed to the topic.
    #[arg(value_name = "GUEST.WASM|DIR|OCI")]
    guest: Option<PathBuf>,

    /// The topic whose code is shown, if no component is named.
    #[arg(long, env = "BRRR_TOPIC", value_name = "TOPIC", value_parser = topic)]
    topic: Option<Topic>,

    /// The revision of that code. Not given: the newest.
    #[arg(long, value_name = "REVISION", conflicts_with = "guest")]
    revision: Option<u64>,

    /// Verify that one of these keys has signed the component. KEY.pub is a public key of minisign. May be repeated.
    #[arg(long, env = "BRRR_TRUST", value_name = "KEY.pub", value_delimiter = ',')]
    trust: Vec<PathBuf>,

    #[command(flatten)]
    backend: BackendArgs,
}

/// A component to be shown.
struct Shown {
    guest: Guest,
    /// Its place in a registry.
    from: Option<String>,
    signatures: Vec<String>,
}

pub async fn run(args: InspectCommand, format: Format) -> anyhow::Result<Exit> {
    let Some(guest) = &args.guest else { return deployed(&args, format).await };
    let engine = Engine::new(&EngineOptions { max_running: 1, ..EngineOptions::default() })?;
    let keys = TrustedKeys::read(&args.trust)?;
    let source = source::read(guest, None).await?;
    let (from, signatures) = (source.pinned.as_ref().map(ToString::to_string), source.signatures.clone());
    let shown = Shown { guest: source.load(&engine, &keys).await?, from, signatures };
    match format {
        Format::Json => print_json(&as_json(&shown))?,
        Format::Text => print(as_text(&shown).trim_end())?,
    }
    Ok(Exit::Done)
}

/// Shows the components of a revision.
async fn deployed(args: &InspectCommand, format: Format) -> anyhow::Result<Exit> {
    let Some(topic) = &args.topic else {
        let text = "which component? name it, or name the topic to which it was pushed (--topic)";
        return Err(ExitError::new(Exit::Usage, text).into());
    };
    let client = Client::new(args.backend.open_existing().await?);
    let record = client.deployments(topic).await?;
    let revision = find(&record, args.revision)?;
    let keys = TrustedKeys::read(&args.trust)?;
    let guests = guests(&client, revision, &keys).await?;
    let guests: Vec<_> =
        guests.into_iter().map(|(guest, signatures)| Shown { guest, from: None, signatures }).collect();
    match format {
        Format::Json => print_json(&json!({
            "topic": topic.as_str(),
            "revision": revision.number,
            "components": guests.iter().map(as_json).collect::<Vec<_>>(),
        }))?,
        Format::Text => {
            let texts: Vec<_> = guests.iter().map(as_text).collect();
            print(format_args!("revision {} of topic {topic}\n\n{}", revision.number, texts.join("\n").trim_end()))?;
        }
    }
    Ok(Exit::Done)
}

fn as_json(Shown { guest, from, signatures }: &Shown) -> serde_json::Value {
    let task = |task: &Task| {
        let options = &task.options;
        json!({
            "name": task.name,
            "description": task.description,
            "leaf": task.leaf,
            "options": options.pairs().into_iter().collect::<BTreeMap<_, _>>(),
            "input_schema": task.input_schema,
            "output_schema": task.output_schema,
            "extra": task.extra.iter().cloned().collect::<BTreeMap<_, _>>(),
        })
    };
    let signer = |signer: &Signer| json!({"key": signer.key, "comment": signer.comment});
    json!({
        "from": from,
        "signatures": said(signatures).iter().map(signer).collect::<Vec<_>>(),
        "verified": guest.signer.as_ref().map(signer),
        "path": guest.path.display().to_string(),
        "size": guest.size,
        "digest": format!("sha256:{}", guest.digest),
        "sdk": guest.sdk,
        "sdk_version": guest.sdk_version,
        "wit": guest.wit_version,
        "world": guest.world.name(),
        "tasks": guest.tasks.iter().map(task).collect::<Vec<_>>(),
        "imports": guest.imports,
    })
}

fn as_text(Shown { guest, from, signatures }: &Shown) -> String {
    let mut out = String::new();
    // Writing to a String never fails.
    let _ = writeln!(out, "component  {}", guest.path.display());
    let _ = writeln!(out, "size       {}", ByteSize(guest.size));
    let _ = writeln!(out, "digest     sha256:{}", guest.digest);
    if let Some(from) = from {
        let _ = writeln!(out, "from       {from}");
    }
    match &guest.signer {
        Some(signer) => {
            let _ = writeln!(out, "signed by  {signer}");
        }
        None => {
            for signer in said(signatures) {
                let _ = writeln!(out, "signed by  {signer}, as the signature says; --trust KEY.pub verifies it");
            }
        }
    }
    if !guest.sdk.is_empty() {
        let _ = writeln!(out, "sdk        {} {}", line(&guest.sdk), line(&guest.sdk_version));
    }
    let _ = writeln!(out, "wit        brrr:worker@{}, world {}", guest.wit_version, guest.world.name());
    let _ = writeln!(out, "tasks");
    for task in &guest.tasks {
        let _ = writeln!(out, "  {}{}", task.name, options(task));
        for text in task.description.iter().flat_map(|text| text.lines()) {
            let _ = writeln!(out, "      {}", line(text));
        }
        for (what, schema) in [("input ", &task.input_schema), ("output", &task.output_schema)] {
            if let Some(schema) = schema {
                let _ = writeln!(out, "      {what}  {}", line(&brief(schema)));
            }
        }
    }
    let _ = writeln!(out, "imports");
    for import in &guest.imports {
        let _ = writeln!(out, "  {import}");
    }
    out
}

/// A JSON Schema in one line: for an object `{name: type, other?: type}`, where `?` marks what may be missing.
fn brief(schema: &Value) -> String {
    let of_type = |schema: &Value| match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|"),
        _ => "any".to_owned(),
    };
    let Some(properties) = schema["properties"].as_object() else { return of_type(schema) };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let property = |(name, schema): (&String, &Value)| {
        let may_be_missing = if required.contains(&name.as_str()) { "" } else { "?" };
        format!("{name}{may_be_missing}: {}", of_type(schema))
    };
    format!("{{{}}}", properties.iter().map(property).collect::<Vec<_>>().join(", "))
}

fn options(task: &Task) -> String {
    let mut words: Vec<String> =
        task.options.pairs().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    if task.leaf {
        words.push("leaf".to_owned());
    }
    words.extend(task.extra.iter().map(|(key, value)| format!("{key}={value}, which this version does not know")));
    if words.is_empty() { String::new() } else { format!("  ({})", words.join(", ")) }
}
