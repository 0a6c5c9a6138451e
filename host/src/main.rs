//! The binary `brrr-host`; everything is in the library.

use std::process::ExitCode;

// Gives back what a burst of large results took. glibc's keeps it, in as many arenas as there are threads: after each round of
// tests/cli/hostile.rs a worker was larger, up to three times what it is with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    brrr_host::cli::main()
}
