//! The crate `tracing`: an event with its fields, after the spans that it is in.

use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_core::dispatcher::{Dispatch, set_global_default};
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Event, LevelFilter, Metadata, Subscriber};

use crate::log::{Level, write};

#[derive(Default)]
struct Bridge(Mutex<Spans>);

#[derive(Default)]
struct Spans {
    /// The text of each span, and what it is. The id of a span is its place here, from 1.
    all: Vec<(String, &'static Metadata<'static>)>,
    /// Those that the handler is in, the innermost last.
    entered: Vec<usize>,
}

pub(super) fn connect() {
    // It fails where there is one already.
    let _ = set_global_default(Dispatch::new(Bridge::default()));
}

impl Bridge {
    fn lock(&self) -> MutexGuard<'_, Spans> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(id: &Id) -> usize {
    id.into_u64() as usize - 1
}

impl Subscriber for Bridge {
    /// Libraries write a lot at the levels below, and a run's output is limited.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= &LevelFilter::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        let mut spans = self.lock();
        spans.all.push((fields.text, span.metadata()));
        Id::from_u64(spans.all.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut spans = self.lock();
        let text = &mut spans.all[place(span)].0;
        let mut fields = Fields { text: std::mem::take(text), message: String::new() };
        values.record(&mut fields);
        *text = fields.text;
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            tracing_core::Level::ERROR => Level::Error,
            tracing_core::Level::WARN => Level::Warn,
            tracing_core::Level::INFO => Level::Info,
            tracing_core::Level::DEBUG => Level::Debug,
            tracing_core::Level::TRACE => Level::Trace,
        };
        let mut line = String::new();
        let spans = self.lock();
        for (text, metadata) in spans.entered.iter().map(|place| &spans.all[*place]) {
            // The handler's own function has another name than the task.
            line.push_str(metadata.name().trim_start_matches("__"));
            if !text.is_empty() {
                let _ = write!(line, "{{{text}}}");
            }
            line.push_str(": ");
        }
        drop(spans);
        let mut fields = Fields::default();
        event.record(&mut fields);
        let space = if fields.message.is_empty() || fields.text.is_empty() { "" } else { " " };
        write(level, format_args!("{line}{}{space}{}", fields.message, fields.text));
    }

    fn enter(&self, span: &Id) {
        self.lock().entered.push(place(span));
    }

    fn exit(&self, span: &Id) {
        let mut spans = self.lock();
        if let Some(at) = spans.entered.iter().rposition(|entered| *entered == place(span)) {
            spans.entered.remove(at);
        }
    }

    fn current_span(&self) -> Current {
        let spans = self.lock();
        match spans.entered.last() {
            Some(place) => Current::new(Id::from_u64(*place as u64 + 1), spans.all[*place].1),
            None => Current::none(),
        }
    }
}

/// The message of an event, and its other fields as `key=value`.
#[derive(Default)]
struct Fields {
    message: String,
    text: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String never fails.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            let space = if self.text.is_empty() { "" } else { " " };
            write!(self.text, "{space}{}={value:?}", field.name())
        };
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{}", crate::error::with_sources(value)));
    }
}
