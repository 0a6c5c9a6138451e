//! Messages on the worker's output, with the task's name and a short call hash before each. The host shows them once a
//! call, however often it is replayed.

use std::fmt;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the usual five")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Shows a message; the macros of this module do so with formatting.
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    match message.as_str() {
        Some(message) => crate::host::log(level, message),
        None => crate::host::log(level, &message.to_string()),
    }
}

/// Prints a line, as `std::println!` does.
///
/// Use this one: the standard library's prints nothing where the component is built without a WASI target.
#[macro_export]
macro_rules! println {
    () => { $crate::println!("") };
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Info, ::std::format_args!($($message)+)) };
}

macro_rules! levels {
    ($($macro:ident $hidden:ident $level:ident)+) => { levels!(@ ($) $($macro $hidden $level)+); };
    (@ ($dollar:tt) $($macro:ident $hidden:ident $level:ident)+) => {$(
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $hidden {
            ($dollar($dollar message:tt)+) => {
                $crate::log::write($crate::log::Level::$level, ::std::format_args!($dollar($dollar message)+))
            };
        }
        #[doc = concat!("Logs at level `", stringify!($macro), "`; arguments as for `format!`.")]
        pub use $hidden as $macro;
    )+};
}

levels! {
    trace __trace Trace
    debug __debug Debug
    info __info Info
    warn __warn Warn
    error __error Error
}
