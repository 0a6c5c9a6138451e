//! The binary `brrr-host`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    brrr_host::cli::main()
}
