//! How the end of a call is shown, by `call` and `read` alike.

use brrr_protocol::model::{CallHash, Failure, FailureKind, Root};
use brrr_worker::view::FailureView;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Told;
use super::encode::Codec;
use super::output::{Format, emphasis, line, print_bytes, print_json, print_text, say};
use crate::exit::Exit;

/// The document that `--output json` prints of a call.
#[derive(Debug, Serialize)]
struct View<'a> {
    /// `ok`, `failed` or `pending`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    call: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView<'a>>,
}

/// Shows what a call came to.
#[derive(Debug)]
pub struct Show<'a> {
    pub format: Format,
    pub codec: Codec,
    pub job: Option<&'a Root>,
    pub call: &'a CallHash,
}

impl Show<'_> {
    /// # Errors
    /// When stdout can't be written, or the value is not what the codec reads.
    pub fn value(&self, value: &Bytes) -> anyhow::Result<Exit> {
        if self.codec == Codec::Raw {
            print_bytes(value)?;
            return Ok(Exit::Done);
        }
        let result: &RawValue = serde_json::from_slice(value).map_err(|error| {
            Told::new(
                Exit::BadValue,
                format!("the value of call {} is not JSON ({error}); read it with --codec raw", self.call.short()),
            )
        })?;
        match self.format {
            Format::Json => print_json(&View { result: Some(result), ..self.view("ok") })?,
            // A text is shown as itself: quotes are for machines.
            Format::Text => match serde_json::from_str::<String>(result.get()) {
                Ok(text) => print_text(&text)?,
                Err(_) => print_text(result.get())?,
            },
        }
        Ok(Exit::Done)
    }

    /// # Errors
    /// When stdout can't be written.
    pub fn failure(&self, failure: &Failure) -> anyhow::Result<Exit> {
        if self.format == Format::Json {
            print_json(&View { failure: Some(failure.into()), ..self.view("failed") })?;
        }
        let attempts =
            if failure.attempts > 1 { format!(" after {} attempts", failure.attempts) } else { String::new() };
        let kind = match &failure.kind {
            FailureKind::Error => String::new(),
            kind => format!(" ({})", line(kind.as_str())),
        };
        say(format_args!("{} {} failed{kind}{attempts}", emphasis("error:"), line(&failure.task)));
        for (depth, link) in failure.chain.iter().enumerate() {
            say(format_args!("  {:indent$}{}", "", line(link), indent = depth * 2));
        }
        // A chain has one line a call; the whole of the first cause is in the message.
        for more in failure.message.lines().skip(1) {
            say(format_args!("    {}", line(more)));
        }
        Ok(Exit::of_failure(&failure.kind))
    }

    /// No outcome; `why` for people.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub fn pending(&self, exit: Exit, why: &str) -> anyhow::Result<Exit> {
        if self.format == Format::Json {
            print_json(&self.view("pending"))?;
        }
        say(format_args!("{why}"));
        Ok(exit)
    }

    fn view(&self, status: &'static str) -> View<'_> {
        View { status, job: self.job.map(Root::as_str), call: self.call.as_str(), result: None, failure: None }
    }
}
