//! Tells cargo which folders `src/sdk.rs` and `src/cli/new.rs` embed: it sees by itself that a file changes, but not that
//! one is new.

const FOLDERS: &[&str] = &[
    "../wit",
    "../guests/rust/sdk",
    "../guests/rust/macros",
    "../guests/python/sdk/brrr",
    "../guests/javascript/sdk",
    "../guests/typescript/sdk/bin",
    "../guests/typescript/sdk/src",
    "../guests/typescript/sdk/wit",
    "../guests/go/brrr",
    "../guests/go/cmd",
    "../guests/c/sdk",
    "../guests/cpp/sdk",
    "templates",
];

fn main() {
    for folder in FOLDERS {
        println!("cargo::rerun-if-changed={folder}");
    }
}
