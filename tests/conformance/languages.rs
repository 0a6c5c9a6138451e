//! The languages: how the guest of each one is built, and how it encodes its calls.

use std::path::PathBuf;
use std::sync::LazyLock;

use brrr_protocol::codec::{python, typescript};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::fleet::Program;

pub struct Language {
    pub name: &'static str,
    /// The name of its folder in `guests` and in `build/guests`.
    pub folder: &'static str,
    /// The components in that folder.
    pub conformance: &'static str,
    pub example: &'static str,
    /// The source file of the example, in the language's folder in `guests`.
    pub source: &'static str,
    pub codec: &'static Codec,
    /// The conformance guest. It is compiled once for all tests.
    pub program: OnceCell<Program>,
}

/// How an SDK encodes arguments by name.
pub struct Codec {
    pub hash: fn(&str, &Value) -> String,
    pub payload: fn(&Value) -> Vec<u8>,
    /// The file in tests/support/vectors with calls in this form.
    pub vectors: &'static str,
}

static PYTHON: Codec = Codec { hash: python::call_hash, payload: python::payload, vectors: "json_calls_python.json" };

static TYPESCRIPT: Codec = Codec {
    hash: |task, kwargs| typescript::call_hash(task, std::slice::from_ref(kwargs)),
    payload: |kwargs| typescript::payload(std::slice::from_ref(kwargs)),
    vectors: "json_calls_typescript.json",
};

pub static LANGUAGES: LazyLock<Vec<Language>> = LazyLock::new(|| {
    vec![
        Language {
            conformance: "rust-conformance.wasm",
            example: "rust-hello.wasm",
            ..language("rust", "hello/src/lib.rs", &PYTHON)
        },
        language("python", "example/app.py", &PYTHON),
        language("javascript", "example/app.js", &TYPESCRIPT),
        language("typescript", "example/app.ts", &TYPESCRIPT),
        language("c", "example/app.c", &PYTHON),
        language("cpp", "example/app.cpp", &PYTHON),
        language("go", "example/main.go", &PYTHON),
    ]
});

/// The same languages again, with guests of the asynchronous world.
pub static ASYNCHRONOUS: LazyLock<Vec<Language>> = LazyLock::new(|| {
    vec![Language {
        folder: "rust",
        conformance: "rust-conformance-async.wasm",
        ..language("rust_async", "hello/src/lib.rs", &PYTHON)
    }]
});

/// A language whose components have the usual names.
fn language(name: &'static str, source: &'static str, codec: &'static Codec) -> Language {
    let (conformance, example) = ("conformance.wasm", "example.wasm");
    Language { name, folder: name, conformance, example, source, codec, program: OnceCell::new() }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Language {
    pub fn component(&self, file: &str) -> PathBuf {
        root().join("build/guests").join(self.folder).join(file)
    }

    pub fn folder(&self) -> PathBuf {
        root().join("guests").join(self.folder)
    }

    /// Whether `BRRR_LANGUAGE` leaves this language out.
    pub fn is_left_out(&self) -> bool {
        let Ok(only) = std::env::var("BRRR_LANGUAGE") else { return false };
        assert!(std::env::var_os("CI").is_none(), "CI tests every language; it may not set BRRR_LANGUAGE");
        assert!(
            LANGUAGES.iter().chain(&*ASYNCHRONOUS).any(|language| language.name == only),
            "BRRR_LANGUAGE={only}: no such language"
        );
        self.name != only
    }
}
