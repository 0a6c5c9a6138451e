//! `new`: creates a small project that can be built and run at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rust_embed::RustEmbed;

use super::ExitError;
use super::output::say;
use crate::build::Language;
use crate::exit::Exit;
use crate::sdk;

/// Start a project: handlers, test cases for them, and a README.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host new --lang python hello
  brrr-host run --topic demo hello

The SDK is written into the project's .brrr folder, where editors find it.")]
pub struct NewCommand {
    /// The folder to create. Its name becomes the name of the project.
    #[arg(value_name = "NAME")]
    path: PathBuf,

    /// The language of the handlers.
    #[arg(short, long, value_enum, value_name = "LANGUAGE")]
    lang: Language,
}

/// Projects that can be built as they are. Their names are `TEMPLATE`.
#[derive(RustEmbed)]
#[folder = "templates"]
#[exclude = "*/.brrr/*"]
#[exclude = "*/target/*"]
#[exclude = "*/node_modules/*"]
#[exclude = "*.wasm"]
struct Templates;

/// The name of the projects in `templates`.
const TEMPLATE: &str = "my-handlers";

pub fn run(args: NewCommand) -> anyhow::Result<Exit> {
    let NewCommand { path, lang } = args;
    let refuse = |text: String| Err(ExitError::new(Exit::Usage, text).into());
    let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name)) else {
        return refuse(format!(
            "{}: a project's name has lower-case letters, digits, `-` and `_`, and begins with a letter",
            path.display()
        ));
    };
    match fs::read_dir(&path).map(|mut entries| entries.next().is_some()) {
        Ok(false) => {}
        Ok(true) => return refuse(format!("{}: exists and is not empty; choose another name", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return refuse(format!("{}: {error}", path.display())),
    }
    write(&path, name, lang).map_err(|error| anyhow::anyhow!("{}: can't be written: {error}", path.display()))?;
    let shown = path.display();
    say(format_args!(
        "made {shown}, a project in {lang}. Next:
  brrr-host run --topic demo {shown}
  brrr-host call --topic demo hello '{{\"greetee\": \"John\"}}'      (in another terminal)"
    ));
    Ok(Exit::Done)
}

/// A name that every package registry accepts.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
        && name.len() <= 50
        && !name.ends_with('-')
        // The SDK has this name, and the project depends on the SDK.
        && name != "brrr"
}

fn write(folder: &Path, name: &str, language: Language) -> io::Result<()> {
    let prefix = format!("{}/", language.name());
    for path in Templates::iter() {
        let (Some(below), Some(file)) = (path.strip_prefix(&prefix), Templates::get(&path)) else { continue };
        let target = folder.join(below);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(target, String::from_utf8_lossy(&file.data).replace(TEMPLATE, name))?;
    }
    if language == Language::Rust
        && let Some(lock) = sdk::cargo_lock()
    {
        // Cargo removes the crates that the project does not use, and keeps the versions of the others.
        fs::write(folder.join("Cargo.lock"), lock)?;
    }
    sdk::write(folder, language)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_language_has_a_template_with_the_same_tasks() {
        for language in Language::ALL {
            let all = |name: &str| {
                let path = format!("{}/{name}", language.name());
                let file = Templates::get(&path).unwrap_or_else(|| panic!("{path} is missing"));
                String::from_utf8(file.data.into_owned()).expect("UTF-8")
            };
            assert!(all("README.md").contains(TEMPLATE), "{language}");
            assert!(all(".gitignore").contains(".brrr"), "{language}");
            for task in ["hello", "dice", "roll"] {
                assert!(
                    all("cases.toml").contains(&format!("task = \"{task}\"")) || task == "roll",
                    "{language}: {task}"
                );
            }
        }
        assert_eq!(Language::value_variants().len(), Language::ALL.len());
    }

    #[test]
    fn project_names_are_valid_in_every_registry() {
        for name in ["a", "hello", "my-handlers2", "a_b"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "Hello", "2a", "a b", "-a", "a-", "brrr", "../a", "ä"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
