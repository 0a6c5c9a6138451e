//! Output without end, and output that is none of a guest's business.

use brrr::Result;
use brrr::log::{Level, write};

#[brrr::handler]
pub fn stdout() -> u64 {
    loop {
        println!("{}", "out ".repeat(1000));
    }
}

#[brrr::handler]
pub fn stderr() -> u64 {
    loop {
        eprintln!("{}", "err ".repeat(1000));
    }
}

#[brrr::handler]
pub fn log() -> u64 {
    loop {
        write(Level::Error, format_args!("{}", "log\n".repeat(1000)), &[]);
    }
}

/// So many fields of one message, of so many bytes each, whose names look like lines of others.
#[brrr::handler]
pub fn fields(n: usize, bytes: usize) {
    let field = |n: usize| (format!("\x1b[31m{n}\n"), "x\n".repeat(bytes / 2));
    write(Level::Error, format_args!("fields"), &(0..n).map(field).collect::<Vec<_>>());
}

/// A line that does not end.
#[brrr::handler]
pub fn one_line() -> u64 {
    loop {
        print!("{}", "line ".repeat(1000));
    }
}

/// Sequences that would colour, move or clear the terminal that shows them, and lines that look like others'.
#[brrr::handler]
pub fn escapes() -> Result<u64> {
    let text = "\x1b[2J\x1b[31mred\x07\u{9b}31m\rgone\u{8}";
    println!("{text}");
    eprintln!("{text}");
    write(Level::Error, format_args!("{text}"), &[]);
    Err(text)?
}
