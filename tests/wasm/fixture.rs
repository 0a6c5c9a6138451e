//! Makes components from `tests/support/fixtures/wasm`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const IMPORTS: &str = include_str!("../support/fixtures/wasm/imports.wat");
const HELPERS: &str = include_str!("../support/fixtures/wasm/helpers.wat");
const WORLDS: &str = include_str!("../support/fixtures/wasm/worlds.wit");
const WORKER: &str = include_str!("../../wit/worker.wit");

/// The text that each fixture adds to imports and helpers.
const TEXTS: [(&str, &str); 8] = [
    ("echo", include_str!("../support/fixtures/wasm/echo.wat")),
    ("rude", include_str!("../support/fixtures/wasm/rude.wat")),
    ("parent", include_str!("../support/fixtures/wasm/parent.wat")),
    ("polls", include_str!("../support/fixtures/wasm/polls.wat")),
    ("caller", include_str!("../support/fixtures/wasm/caller.wat")),
    ("system", include_str!("../support/fixtures/wasm/system.wat")),
    ("files", include_str!("../support/fixtures/wasm/files.wat")),
    ("teapot", include_str!("../support/fixtures/wasm/teapot.wat")),
];

/// The address of the `component` that `describe` returns.
const DESCRIBED: usize = 4096;
/// Size in bytes of a `component`, of a `task`, and of an option.
const COMPONENT: usize = 24;
const TASK: usize = 16;
const OPTION: usize = 16;

/// The SDK that every fixture names, and its version.
pub const SDK: (&str, &str) = ("fixture", "1.2.3");

/// A component to be built.
pub struct Fixture<'a> {
    /// The name of the file in `tests/support/fixtures/wasm`, without `.wat`.
    pub name: &'a str,
    pub world: &'a str,
    /// Name, whether the task is a leaf, and timeout in milliseconds.
    pub tasks: &'a [(&'a str, bool, Option<u64>)],
    /// More options of each task.
    pub options: &'a [(&'a str, &'a str)],
    /// The body of `describe`. By default it returns `tasks`.
    pub describe: Option<&'a str>,
    /// The version of `brrr:worker`.
    pub version: &'a str,
}

impl Default for Fixture<'_> {
    fn default() -> Self {
        let tasks = &[("echo", false, None)];
        Self { name: "echo", world: "plain", tasks, options: &[], describe: None, version: "0.2.0" }
    }
}

impl Fixture<'_> {
    /// The bytes of the component.
    pub fn component(&self) -> Vec<u8> {
        let (_, text) = TEXTS.iter().find(|(name, _)| *name == self.name).unwrap();
        let text = format!("(module $fixture\n{IMPORTS}\n{text}\n{HELPERS}\n{}\n)", self.describe());
        encode(&text, self.world, self.version)
    }

    /// Writes the component into a folder.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join(format!("{}.wasm", self.name));
        fs::write(&path, self.component()).unwrap();
        path
    }

    fn describe(&self) -> String {
        let body = self.describe.map_or_else(|| format!("(i32.const {DESCRIBED})"), str::to_owned);
        let bytes = self.described().iter().fold(String::new(), |mut text, b| {
            write!(text, "\\{b:02x}").unwrap();
            text
        });
        format!(
            "(data (i32.const {DESCRIBED}) \"{bytes}\")
             (func (export \"brrr:worker/handler@0.2.0#describe\") (result i32) {body})"
        )
    }

    /// The bytes at `DESCRIBED`: the component, its tasks, their options, and all texts.
    fn described(&self) -> Vec<u8> {
        let options: Vec<_> = self.tasks.iter().map(|task| self.options_of(task)).collect();
        let mut options_at = DESCRIBED + COMPONENT + TASK * self.tasks.len();
        let texts_at = options_at + OPTION * options.iter().map(Vec::len).sum::<usize>();
        let (mut data, mut texts) = (Vec::new(), Vec::<u8>::new());
        let mut put = |data: &mut Vec<u8>, text: &str| {
            word(data, texts_at + texts.len());
            word(data, text.len());
            texts.extend(text.as_bytes());
        };
        put(&mut data, SDK.0);
        put(&mut data, SDK.1);
        word(&mut data, DESCRIBED + COMPONENT);
        word(&mut data, self.tasks.len());
        for ((name, ..), options) in self.tasks.iter().zip(&options) {
            put(&mut data, name);
            word(&mut data, options_at);
            word(&mut data, options.len());
            options_at += OPTION * options.len();
        }
        for (key, value) in options.iter().flatten() {
            put(&mut data, key);
            put(&mut data, value);
        }
        data.extend(texts);
        data
    }

    fn options_of(&self, (_, leaf, timeout): &(&str, bool, Option<u64>)) -> Vec<(String, String)> {
        let leaf = leaf.then(|| ("leaf".to_owned(), "true".to_owned()));
        let timeout = timeout.map(|ms| ("timeout-ms".to_owned(), ms.to_string()));
        let more = self.options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        leaf.into_iter().chain(timeout).chain(more).collect()
    }
}

/// A component for another world.
pub fn other_world() -> Vec<u8> {
    encode(include_str!("../support/fixtures/wasm/other.wat"), "other", "0.2.0")
}

fn encode(text: &str, world: &str, version: &str) -> Vec<u8> {
    let versioned = |text: &str| text.replace("@0.2.0", &format!("@{version}"));
    let mut module = wat::parse_str(versioned(text)).unwrap();
    let mut resolve = Resolve::default();
    resolve.push_str("worker.wit", &versioned(WORKER)).unwrap();
    let worlds = resolve.push_str("worlds.wit", &versioned(WORLDS)).unwrap();
    let world = resolve.select_world(&[worlds], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

fn word(data: &mut Vec<u8>, word: usize) {
    data.extend(u32::try_from(word).unwrap().to_le_bytes());
}
