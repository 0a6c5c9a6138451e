//! The crate `log`.

use ::log::kv::{Error, Key, Value, VisitSource};
use ::log::{LevelFilter, Log, Metadata, Record};

use crate::log::{Level, write};

struct Bridge;

pub(super) fn connect() {
    // Libraries write a lot at the levels below, and a run's output is limited. A handler can set another one.
    if ::log::set_logger(&Bridge).is_ok() {
        ::log::set_max_level(LevelFilter::Info);
    }
}

impl Log for Bridge {
    /// The crate itself leaves out what is above its level.
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            ::log::Level::Error => Level::Error,
            ::log::Level::Warn => Level::Warn,
            ::log::Level::Info => Level::Info,
            ::log::Level::Debug => Level::Debug,
            ::log::Level::Trace => Level::Trace,
        };
        let mut fields = Fields(Vec::new());
        // It fails only if the visitor fails.
        let _ = record.key_values().visit(&mut fields);
        write(level, *record.args(), &fields.0);
    }

    fn flush(&self) {}
}

/// A record's fields as text.
struct Fields(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.push((key.to_string(), value.to_string()));
        Ok(())
    }
}
