//! The documentation pages agree with the code.

use std::collections::BTreeSet;

use brrr_worker::permissions::Permissions;
use serde_json::json;

use crate::allowed_in::ALLOWED;
use crate::fleet::{Fleet, Program, load, topic};
use crate::http_server::HttpServer;
use crate::languages::{Language, root};

/// The tasks of guests/CONFORMANCE.md: the code at the beginning of each row, up to its arguments.
fn documented(language: &str) -> BTreeSet<String> {
    let page = std::fs::read_to_string(root().join("guests/CONFORMANCE.md")).unwrap();
    let (before, allowed) = page.split_once("\n## What the host allows\n").unwrap();
    let (allowed, after) = allowed.split_once("\n## ").unwrap();
    let allowed = if ALLOWED.contains(&language) { allowed } else { "" };
    let page = [before, allowed, after].join("\n");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter(|row| is_for(language, row));
    let names = rows.map(|row| row.split([' ', '`']).next().unwrap());
    names.map(|name| name.strip_prefix("L_").map_or_else(|| name.into(), |name| format!("{language}_{name}"))).collect()
}

/// A task that only some languages have is described by a text that begins with their names.
fn is_for(language: &str, row: &str) -> bool {
    let Some((names, _)) = row.split_once(" | ").and_then(|(_, text)| text.split_once(": ")) else { return true };
    let language_of = |name| match name {
        "JavaScript" => Some("javascript"),
        "TypeScript" => Some("typescript"),
        "Python" => Some("python"),
        "C++" => Some("cpp"),
        _ => None,
    };
    let names: Option<Vec<_>> = names.split(", ").map(language_of).collect();
    names.is_none_or(|names| names.contains(&language))
}

pub async fn every_task_is_there(fleet: &Fleet) {
    let documented = documented(fleet.language.folder);
    assert!(documented.len() > 30, "{documented:?}");
    let there: BTreeSet<_> = fleet.program.handler.tasks().map(|task| task.name.clone()).collect();
    let missing: Vec<_> = documented.difference(&there).collect();
    assert!(missing.is_empty(), "{} lacks {missing:?}", fleet.language.name);
}

fn the_page_has(language: &Language, source: &str) {
    let read = |file: &str| {
        let path = language.folder().join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let text = read(source);
    // Below this line Rust has its unit tests, which the page shows in another place.
    let text = text.split("\n#[cfg(test)]").next().unwrap();
    let text = text.lines().skip_while(|line| line.starts_with("//!") || line.is_empty());
    let text: String = text.flat_map(|line| [line, "\n"]).collect();
    assert!(read("README.md").contains(&text), "guests/{}/README.md lacks {source}", language.name);
}

/// The example on a language's page is a file that is built. The two are the same, word for word.
pub async fn the_example_of_the_page(fleet: &Fleet) {
    let language = fleet.language;
    the_page_has(language, language.source);
    let program = Box::leak(Box::new(Program::load(&language.component(language.example)).await));
    let fleet = Fleet::of(language, program);
    fleet.serve(topic(), program.handler.clone());
    let (job_id, hello) = fleet.schedule("hello", json!({"greetee": "John"})).await;
    assert_eq!(crate::fleet::json(fleet.wait(&job_id, &hello).await), json!("Hello, John!"));
    let printed: Vec<_> = fleet.printed(&hello).into_iter().map(|(_, text)| text).collect();
    assert_eq!(printed, ["Hello, John!"]);
    assert_eq!(fleet.value("fib", json!({"n": 12})).await, json!(144));
    fleet.stop().await;
}

/// The same for the example that sends requests.
pub async fn the_example_of_requests(fleet: &Fleet) {
    let language = fleet.language;
    let source = language.source.replace("app.", "fetch.").replace("main.go", "fetch/main.go");
    the_page_has(language, &source);

    let server = HttpServer::start();
    let permissions = Permissions {
        http: vec![server.host().parse().unwrap()],
        env: vec!["API_TOKEN=secret".parse().unwrap()],
        ..Permissions::default()
    };
    let guest = load(&language.component("fetch.wasm")).await;
    let program = Program::of(vec![guest.allowing(permissions.grant().unwrap())]);
    let fleet = Fleet::of(language, Box::leak(Box::new(program)));
    fleet.serve(topic(), fleet.program.handler.clone());
    let urls = [server.url("/hello"), server.url("/large?bytes=100000")];
    assert_eq!(fleet.value("sizes", json!({"urls": urls})).await, json!([6, 100_000]));
    fleet.stop().await;
}
