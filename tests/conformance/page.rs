//! What the pages say is what there is.

use std::collections::BTreeSet;

use serde_json::json;

use crate::allowed_in::ALLOWED;
use crate::fleet::{Fleet, Program, topic};
use crate::languages::root;

/// The tasks of guests/CONFORMANCE.md: the code at the beginning of each row, up to its arguments.
fn documented(language: &str) -> BTreeSet<String> {
    let page = std::fs::read_to_string(root().join("guests/CONFORMANCE.md")).unwrap();
    let (before, allowed) = page.split_once("\n## What the host allows\n").unwrap();
    let (allowed, after) = allowed.split_once("\n## ").unwrap();
    let allowed = if ALLOWED.contains(&language) { allowed } else { "" };
    let page = [before, allowed, after].join("\n");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.map(|row| row.split([' ', '`']).next().unwrap());
    names.map(|name| name.strip_prefix("L_").map_or_else(|| name.into(), |name| format!("{language}_{name}"))).collect()
}

pub async fn every_task_is_there(fleet: &Fleet) {
    let documented = documented(fleet.language.name);
    assert!(documented.len() > 30, "{documented:?}");
    let there: BTreeSet<_> = fleet.program.handler.tasks().map(|task| task.name.clone()).collect();
    let missing: Vec<_> = documented.difference(&there).collect();
    assert!(missing.is_empty(), "{} lacks {missing:?}", fleet.language.name);
}

/// The example of a language's page is a file that is built, word for word.
pub async fn the_example_of_the_page(fleet: &Fleet) {
    let language = fleet.language;
    let read = |file: &str| {
        let path = language.folder().join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    // Below them Rust has its unit tests, which the page shows elsewhere.
    let source = read(language.source);
    let source = source.split("\n#[cfg(test)]").next().unwrap();
    let source = source.lines().skip_while(|line| line.starts_with("//!") || line.is_empty());
    let source: String = source.flat_map(|line| [line, "\n"]).collect();
    assert!(read("README.md").contains(&source), "guests/{}/README.md lacks {}", language.name, language.source);

    let program = Box::leak(Box::new(Program::load(&language.component(language.example)).await));
    let fleet = Fleet::of(language, program);
    fleet.serve(topic(), program.handler.clone());
    let (root, hello) = fleet.schedule("hello", json!({"greetee": "John"})).await;
    assert_eq!(crate::fleet::json(fleet.wait(&root, &hello).await), json!("Hello, John!"));
    let printed: Vec<_> = fleet.printed(&hello).into_iter().map(|(_, text)| text).collect();
    assert_eq!(printed, ["Hello, John!"]);
    assert_eq!(fleet.value("fib", json!({"n": 12})).await, json!(144));
    fleet.stop().await;
}
