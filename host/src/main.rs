//! The binary `brrr-host`. All code is in the library.

use std::process::ExitCode;

// mimalloc returns the memory of a burst of large results to the system. The allocator of glibc keeps this memory, in
// as
// many arenas as there are threads: with it, a worker grew in each round of tests/cli/hostile.rs, up to three times its
// size with mimalloc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    brrr_host::cli::main()
}
