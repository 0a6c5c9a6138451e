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
const TEXTS: [(&str, &str); 6] = [
    ("echo", include_str!("../support/fixtures/wasm/echo.wat")),
    ("rude", include_str!("../support/fixtures/wasm/rude.wat")),
    ("parent", include_str!("../support/fixtures/wasm/parent.wat")),
    ("system", include_str!("../support/fixtures/wasm/system.wat")),
    ("files", include_str!("../support/fixtures/wasm/files.wat")),
    ("teapot", include_str!("../support/fixtures/wasm/teapot.wat")),
];

/// The address of the list that `describe` returns.
const LIST: usize = 4096;
/// Size in bytes of a `task`, and of the head of a list.
const TASK: usize = 64;

/// A component to be built.
pub struct Fixture<'a> {
    /// The name of the file in `tests/support/fixtures/wasm`, without `.wat`.
    pub name: &'a str,
    pub world: &'a str,
    /// Name, whether the task is a leaf, and timeout in milliseconds.
    pub tasks: &'a [(&'a str, bool, Option<u64>)],
    /// The body of `describe`. By default it returns `tasks`.
    pub describe: Option<&'a str>,
    /// The version of `brrr:worker`.
    pub version: &'a str,
}

impl Default for Fixture<'_> {
    fn default() -> Self {
        Self { name: "echo", world: "plain", tasks: &[("echo", false, None)], describe: None, version: "0.1.0" }
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
        let body = self.describe.map_or_else(|| format!("(i32.const {LIST})"), str::to_owned);
        let mut data = Vec::new();
        let mut strings: Vec<u8> = Vec::new();
        let strings_at = LIST + 8 + TASK * self.tasks.len();
        word(&mut data, LIST + 8);
        word(&mut data, self.tasks.len());
        for (name, leaf, timeout) in self.tasks {
            word(&mut data, strings_at + strings.len());
            word(&mut data, name.len());
            strings.extend(name.as_bytes());
            word(&mut data, usize::from(timeout.is_some()));
            word(&mut data, 0);
            data.extend(timeout.unwrap_or(0).to_le_bytes());
            // Neither max-retries nor retry-delay.
            data.extend([0; 24]);
            word(&mut data, usize::from(*leaf));
            // No further options, and padding before the next task.
            data.extend([0; 12]);
        }
        data.extend(strings);
        let bytes = data.iter().fold(String::new(), |mut text, b| {
            write!(text, "\\{b:02x}").unwrap();
            text
        });
        format!(
            "(data (i32.const {LIST}) \"{bytes}\")
             (func (export \"brrr:worker/handler@0.1.0#describe\") (result i32) {body})"
        )
    }
}

/// A component for another world.
pub fn other_world() -> Vec<u8> {
    encode(include_str!("../support/fixtures/wasm/other.wat"), "other", "0.1.0")
}

fn encode(text: &str, world: &str, version: &str) -> Vec<u8> {
    let versioned = |text: &str| text.replace("@0.1.0", &format!("@{version}"));
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
