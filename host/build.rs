//! Tells cargo which folders `src/sdk.rs`, `src/page.rs` and `src/cli/new.rs` embed: it sees by itself that a file changes, but not that
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
    // It is in the repository, without the files that scripts/ui.sh puts there: cargo runs this program again in each build if a
    // folder is missing.
    "ui/dist",
];

fn main() {
    for folder in FOLDERS {
        println!("cargo::rerun-if-changed={folder}");
    }
}
