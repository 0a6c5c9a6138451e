//! Shows the end of a call. `call` and `read` share this module.

use brrr_protocol::codec;
use brrr_protocol::model::{CallHash, Failure, FailureKind, JobId};
use brrr_worker::view::FailureView;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::ExitError;
use super::encode::Codec;
use super::output::{Format, emphasis, line, print_bytes, print_json, print_text, say};
use crate::exit::Exit;

/// The document that `--output json` prints of a call.
#[derive(Debug, Serialize)]
struct OutcomeDocument<'a> {
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

/// Shows the outcome of a call.
#[derive(Debug)]
pub struct Show<'a> {
    pub format: Format,
    pub codec: Codec,
    pub job: Option<&'a JobId>,
    pub call: &'a CallHash,
}

impl Show<'_> {
    /// # Errors
    /// When stdout can't be written, or the codec can't read the value.
    pub fn value(&self, value: &Bytes) -> anyhow::Result<Exit> {
        if self.codec == Codec::Raw {
            print_bytes(value)?;
            return Ok(Exit::Done);
        }
        let result: &RawValue = serde_json::from_slice(codec::json(value)).map_err(|error| {
            ExitError::new(
                Exit::UnreadableValue,
                format!("the value of call {} is not JSON ({error}); read it with --codec raw", self.call.short()),
            )
        })?;
        match self.format {
            Format::Json => print_json(&OutcomeDocument { result: Some(result), ..self.view("ok") })?,
            // In text output, a string is shown without quotes.
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
            print_json(&OutcomeDocument { failure: Some(failure.into()), ..self.view("failed") })?;
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
        // Each call of the chain adds one line. The rest of the message follows.
        for more in failure.more_lines() {
            say(format_args!("    {}", line(more)));
        }
        Ok(Exit::of_failure(&failure.kind))
    }

    /// Shows that there is no outcome. `why` is the reason, for the user.
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

    fn view(&self, status: &'static str) -> OutcomeDocument<'_> {
        OutcomeDocument {
            status,
            job: self.job.map(JobId::as_str),
            call: self.call.as_str(),
            result: None,
            failure: None,
        }
    }
}
