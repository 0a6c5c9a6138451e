//! The targets. Each takes bytes, and panics if its decoder breaks a promise.

mod files;
mod json;
mod records;
mod rules;

use crate::allocation::peak_of;

/// The name of each target, and the function that takes its input. The target's corpus and program have the same name.
pub const TARGETS: [(&str, fn(&[u8])); 23] = [
    ("bencode", records::bencode),
    ("built_records", records::built),
    ("call", records::call),
    ("dead_letter", records::dead_letter),
    ("failure", records::failure),
    ("job", records::job),
    ("latest_job", records::latest_job),
    ("message", records::message),
    ("options", records::options),
    ("pending_returns", records::pending_returns),
    ("run", records::run),
    ("schedules", records::schedules),
    ("tasks", records::tasks),
    ("http_arguments", json::http_arguments),
    ("json_codecs", json::codecs),
    ("job_file", json::job_file),
    ("brrr_toml", files::brrr_toml),
    ("cases_toml", files::cases_toml),
    ("component", files::component),
    ("env_file", files::env_file),
    ("backend_url", rules::backend_url),
    ("permissions", rules::permissions),
    ("units", rules::units),
];

/// How many bytes a decoder may have allocated at once: a fixed number (for a parser's tables and an error with its
/// text), and a number for each byte of the input. Parsed values are larger than their text (a TOML value of two bytes
/// becomes a node of 200 bytes with its position), and some targets hold several forms of one input.
const ANYWAY: usize = 128 << 10;
const FOR_EACH_BYTE: usize = 1_024;

/// Gives an input to a target.
///
/// # Panics
/// If a promise is broken, or if there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(of, _)| *of == name).expect("a target of this name");
    let peak = peak_of(|| target(data));
    let most = ANYWAY + FOR_EACH_BYTE * data.len();
    assert!(peak <= most, "{peak} bytes were allocated at once for an input of {}", data.len());
}
