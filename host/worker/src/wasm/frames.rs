//! Names the functions in which a guest was when it trapped, as in the guest's sources. The guest chooses these names.
//! wasmtime's own text is not used: 300 bytes of a mangled C++ name can stand for a text that does not fit into memory.

use std::fmt::{self, Write};

use cpp_demangle::{DemangleOptions, ParseOptions, Symbol};
use wasmtime::WasmBacktrace;

/// The most bytes of a function's name that are shown. Generic code can have longer names, but nobody reads them.
const SHOWN: usize = 300;

/// A longer name is not demangled, because parsing takes time too.
const MANGLED: usize = 2_000;

/// How deep a C++ name may nest. This is enough for templates of templates. It bounds the time for names that produce
/// no text.
const DEPTH: u32 = 64;

/// The names as "module!function", beginning with the innermost.
pub(super) fn names(trace: &WasmBacktrace) -> impl Iterator<Item = String> {
    // A frame without a name is left out, because its offset means nothing to the author of a handler.
    let named = trace.frames().iter().filter_map(|frame| Some(name(frame.module().name()?, frame.func_name()?)));
    named.filter(|name| !is_of_a_panic(name))
}

/// Is the function a part of what every panic and abort of Rust or C goes through? The panic's own text says where it
/// happened.
fn is_of_a_panic(name: &str) -> bool {
    let function = name.split_once('!').map_or(name, |(_, function)| function);
    let internal = ["std::sys::", "std::process::abort", "std::panicking::", "core::panicking::", "__rustc::"];
    function == "abort" || function == "__rust_start_panic" || internal.iter().any(|begin| function.starts_with(begin))
}

fn name(module: &str, function: &str) -> String {
    let mut text = Text::default();
    // This fails only if the text is cut.
    let _ = write!(text, "{module}!").and_then(|()| demangle(&mut text, function));
    text.0
}

fn demangle(text: &mut Text, function: &str) -> fmt::Result {
    if function.len() <= MANGLED {
        if let Ok(rust) = rustc_demangle::try_demangle(function) {
            return write!(text, "{rust:#}");
        }
        let options = ParseOptions::default().recursion_limit(DEPTH);
        if let Ok(cpp) = Symbol::new_with_options(function, &options) {
            let options = DemangleOptions::default().recursion_limit(DEPTH);
            return cpp.structured_demangle(text, &options);
        }
    }
    text.write_str(function)
}

/// A text with a length limit.
#[derive(Default)]
struct Text(String);

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for c in more.chars() {
            if self.0.len() >= SHOWN {
                self.0.push('…');
                return Err(fmt::Error);
            }
            self.0.push(if c.is_control() { '\u{fffd}' } else { c });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_frames_are_those_of_the_sources() {
        assert_eq!(name("m", "_ZN3app4fail17h0123456789abcdefE"), "m!app::fail");
        assert_eq!(name("m", "_Z3fibi"), "m!fib(int)");
        assert_eq!(name("m", "main.Fail"), "m!main.Fail");
    }

    #[test]
    fn the_way_of_a_panic_is_left_out() {
        for of_a_panic in ["m!abort", "m!__rustc::rust_panic", "m!std::panicking::panic_handler::{closure#0}"] {
            assert!(is_of_a_panic(of_a_panic), "{of_a_panic}");
        }
        for own in ["m!app::fail", "m!aborts", "m!core::option::unwrap_failed"] {
            assert!(!is_of_a_panic(own), "{own}");
        }
    }

    #[test]
    fn a_long_name_is_shortened() {
        // Each `A` contains the one before it twice, so the whole contains 2^60 of them.
        let doubled: String = (0..36)
            .map(|n| char::from_digit(n, 36).unwrap_or('0').to_ascii_uppercase())
            .fold("_Z1f1AIiiE".to_owned(), |name, n| name + &format!("S_IS{n}_S{n}_E"));
        for long in [doubled, "x".repeat(10_000_000), "\u{1b}[2J".repeat(1000)] {
            let name = name("m", &long);
            assert!(name.len() < SHOWN + 10 && !name.contains('\u{1b}'), "{name}");
        }
    }
}
