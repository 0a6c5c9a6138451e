//! What an author sees of a fault: texts that are no Unicode, causes, values that JSON does not have.

use std::error::Error as StdError;
use std::fmt;
use std::io::Write as _;

use brrr::{Error, Result};
use jiff::Timestamp;
use serde::Serialize;

/// Half of the text's first character beyond U+FFFF, in output, log or error. A `String` is always valid, so a user has
/// such bytes from elsewhere, and makes a text of them.
#[brrr::handler(max_retries = 1, retry_delay = "10ms")]
pub fn cut(kind: String, text: String) -> Result<String> {
    let at = text.char_indices().find(|(_, c)| *c > '\u{ffff}').map_or(text.len(), |(at, _)| at + 2);
    let bytes = &text.as_bytes()[..at];
    let part = String::from_utf8_lossy(bytes);
    match kind.as_str() {
        "output" => {
            let mut out = std::io::stdout().lock();
            out.write_all(b"cut: ")?;
            out.write_all(bytes)?;
            out.write_all(b"\n")?;
        }
        "log" => brrr::log::warn!("cut: {part}"),
        "error" => Err(format!("cut: {part}"))?,
        _ => return Err(Error::permanent(format!("cut: {part}"))),
    }
    Ok("done".into())
}

/// An error with a cause, as a library would have it.
#[derive(Debug)]
struct Outer(Inner);

#[derive(Debug)]
struct Inner;

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer trouble")
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("inner trouble")
    }
}

impl StdError for Outer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

impl StdError for Inner {}

#[brrr::handler(max_retries = 0)]
pub fn causes() -> Result<()> {
    Err(Outer(Inner))?
}

/// Two errors in one. The standard library has no type for it, so they are joined.
#[brrr::handler(max_retries = 0)]
pub fn several() -> Result<()> {
    let all: Vec<_> = ["first", "second"].map(|which| format!("{which} trouble")).into();
    Err(all.join("; "))?
}

#[brrr::handler]
pub fn nothing() {}

#[derive(Serialize)]
pub struct Numbers {
    values: Vec<f64>,
}

#[brrr::handler(max_retries = 1, retry_delay = "10ms")]
pub fn no_number() -> Numbers {
    Numbers { values: vec![1.0, f64::NAN] }
}

/// By a crate that has the time zones in itself.
#[brrr::handler]
pub fn zone() -> Result<String> {
    let noon: Timestamp = "2024-07-01T12:00:00Z".parse()?;
    Ok(noon.in_tz("Europe/Zurich")?.strftime("%H:%M").to_string())
}
