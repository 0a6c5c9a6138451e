//! The crate `tracing`: an event with its fields. Before its message stand the spans that it is in, with theirs.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_core::dispatcher::{Dispatch, set_global_default};
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Event, LevelFilter, Metadata, Subscriber};

use crate::log::{Level, write};

#[derive(Default)]
struct Bridge(Mutex<Spans>);

/// The text of each span, and what it is. The id of a span is its place here, from 1.
type Spans = Vec<(String, &'static Metadata<'static>)>;

thread_local! {
    /// The spans that the handler is in, the innermost last. Native tests run handlers in several threads.
    static ENTERED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
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
        let mut fields = SpanFields::default();
        span.record(&mut fields);
        let mut spans = self.lock();
        spans.push((fields.0, span.metadata()));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut spans = self.lock();
        let text = &mut spans[place(span)].0;
        let mut fields = SpanFields(std::mem::take(text));
        values.record(&mut fields);
        *text = fields.0;
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
        for (text, metadata) in ENTERED.with_borrow(Clone::clone).iter().map(|place| &spans[*place]) {
            // The handler's own function has another name than the task.
            line.push_str(metadata.name().trim_start_matches("__"));
            if !text.is_empty() {
                let _ = write!(line, "{{{text}}}");
            }
            line.push_str(": ");
        }
        drop(spans);
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let line = if fields.message.is_empty() { line.trim_end_matches(": ") } else { &line };
        write(level, format_args!("{line}{}", fields.message), &fields.all);
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(place(span)));
    }

    fn exit(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(at) = entered.iter().rposition(|entered| *entered == place(span)) {
                entered.remove(at);
            }
        });
    }

    fn current_span(&self) -> Current {
        match ENTERED.with_borrow(|entered| entered.last().copied()) {
            Some(place) => Current::new(Id::from_u64(place as u64 + 1), self.lock()[place].1),
            None => Current::none(),
        }
    }
}

/// The message of an event, and its other fields.
#[derive(Default)]
struct EventFields {
    message: String,
    all: Vec<(String, String)>,
}

impl Visit for EventFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a String never fails.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.all.push((field.name().to_owned(), format!("{value:?}")));
        }
    }

    /// Without the quotes that it has as a debug value.
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{}", crate::error::with_sources(value)));
    }
}

/// The fields of a span, as `key=value key=value`.
#[derive(Default)]
struct SpanFields(String);

impl Visit for SpanFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        let _ = write!(self.0, "{space}{}={value:?}", field.name());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{}", crate::error::with_sources(value)));
    }
}
