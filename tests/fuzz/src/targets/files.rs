//! Files that users write or receive: settings, cases, environments, components.

use std::path::Path;

use crate::config::Config;
use crate::permissions;
use crate::properties::text;
use crate::testing::cases::Cases;
use crate::wasm;

pub fn brrr_toml(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match Config::parse(Path::new("brrr.toml"), text) {
        Ok(config) => {
            let _ = config.tasks();
            let lines = text.lines().count();
            assert!(config.settings.iter().all(|setting| (1..=lines).contains(&setting.line)));
            for component in &config.components {
                let _ = component.grants();
            }
        }
        Err(error) => names_its_file(&error.to_string(), "brrr.toml"),
    }
}

pub fn cases_toml(data: &[u8]) {
    let Some(text) = text(data) else { return };
    // The parser would read any file that is named, also `/dev/zero`, which never ends.
    if text.contains("file") {
        return;
    }
    match Cases::parse(Path::new("cases.toml"), text.to_owned()) {
        Ok(cases) => {
            let lines = text.lines().count();
            for (index, case) in cases.cases.iter().enumerate() {
                assert!(case.index == index && (1..=lines).contains(&case.line));
                let _ = case.children.iter().any(|child| child.is_for(&case.call));
            }
        }
        Err(error) => names_its_file(&error.to_string(), "cases.toml"),
    }
}

/// Checks that a message begins with the name of the file, and says something about it.
fn names_its_file(message: &str, file: &str) {
    assert!(message.starts_with(file), "{message}");
    assert!(message.len() > file.len() + 2, "{message}");
}

pub fn env_file(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match permissions::parse_env_lines(text) {
        Ok(rules) => {
            assert!(rules.iter().all(|rule| !rule.key().is_empty() && !rule.key().contains(['=', ' ', '\n'])));
            // The text form of a rule never contains the value.
            assert!(rules.iter().all(|rule| rule.to_string().len() <= rule.key().len() + "=…".len()));
        }
        Err((line, reason)) => {
            assert!((1..=text.lines().count()).contains(&line) && !reason.is_empty());
        }
    }
}

pub fn component(data: &[u8]) {
    let read = wasm::inspect(Path::new("guest.wasm"), data);
    if let Err(error) = read {
        names_its_file(&error.to_string(), "guest.wasm");
    }
}
