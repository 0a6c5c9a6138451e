//! The crate `log`.

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
        write(level, *record.args());
    }

    fn flush(&self) {}
}
