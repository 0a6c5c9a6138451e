//! `examples/fetch`: builds a project, and its handlers read a site on loopback.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

#[test]
fn the_example_surveys_its_site() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/fetch/run.sh");
    let mut command = Command::new(script);
    command.env("BRRR_HOST", env!("CARGO_BIN_EXE_brrr-host"));
    // Without a time limit: compiling an SDK may take minutes.
    let ended = command.output().expect("it starts");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let survey: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(survey["words"], json!(21), "{survey}");
    let pages: Vec<_> = survey["pages"].as_array().unwrap().iter().map(|page| &page["title"]).collect();
    assert_eq!(pages, ["Cherry", "Apple", "Plum"]);
}
