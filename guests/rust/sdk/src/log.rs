//! Messages on the worker's output, with the task's name and a short call hash before each. The host shows them once a
//! call, however often it is replayed.
//!
//! A message may have fields, which stand before it as in the crate `log`. A value is anything that can be displayed:
//!
//! ```
//! #[brrr::handler]
//! fn pays(order: u64) {
//!     brrr::log::info!(order = order, currency = "CHF"; "paid {} of 2", 1);
//! }
//! brrr::worker!(pays);
//! # fn main() {
//! # brrr::testing::run(TASKS, pays(7)).unwrap();
//! # let logged = &brrr::testing::logged()[0];
//! # assert_eq!(logged.message, "paid 1 of 2");
//! # assert_eq!(logged.fields, [("order".into(), "7".into()), ("currency".into(), "CHF".into())]);
//! # }
//! ```

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

/// Shows a message with fields, which are pairs of a name and a value. The macros of this module do so with formatting.
pub fn write(level: Level, message: fmt::Arguments<'_>, fields: &[(String, String)]) {
    match message.as_str() {
        Some(message) => crate::host::log(level, message, fields),
        None => crate::host::log(level, &message.to_string(), fields),
    }
}

/// Prints a line, as `std::println!` does.
///
/// Use this one: the standard library's prints nothing where the component is built without a WASI target.
#[macro_export]
macro_rules! println {
    () => { $crate::println!("") };
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Info, ::std::format_args!($($message)+), &[]) };
}

macro_rules! levels {
    ($($macro:ident $hidden:ident $level:ident)+) => { levels!(@ ($) $($macro $hidden $level)+); };
    (@ ($dollar:tt) $($macro:ident $hidden:ident $level:ident)+) => {$(
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $hidden {
            ($dollar($dollar key:ident = $dollar value:expr),+; $dollar($dollar message:tt)+) => {
                $crate::log::write(
                    $crate::log::Level::$level,
                    ::std::format_args!($dollar($dollar message)+),
                    &[$dollar((
                        ::std::string::String::from(::std::stringify!($dollar key)),
                        ::std::string::ToString::to_string(&$dollar value),
                    )),+],
                )
            };
            ($dollar($dollar message:tt)+) => {
                $crate::log::write($crate::log::Level::$level, ::std::format_args!($dollar($dollar message)+), &[])
            };
        }
        #[doc = concat!("Logs at level `", stringify!($macro), "`; arguments as for `format!`, maybe after fields: `a = 1;`.")]
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
