//! JSON inputs: arguments over HTTP, the peers' codecs, job files.

use brrr_protocol::codec::{self, python, typescript};
use serde_json::Value;

use crate::gateway::arguments;
use crate::job::Job;
use crate::json;

/// The input is a query, and after the first line break a body.
pub fn http_arguments(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (query, body) = (&data[..at], data.get(at + 1..).unwrap_or_default());
    let Ok(query) = serde_urlencoded::from_bytes::<Vec<(String, String)>>(query) else { return };
    let names: Vec<String> = query.iter().map(|(name, _)| name.clone()).collect();
    match arguments::read("task", query, body) {
        Ok(read) => {
            // Read with the same parser as before, because `codec::decode` refuses half surrogate pairs and deep nesting.
            let object =
                read.payload.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).expect("a list of one");
            let Value::Object(named) = json::read("it", object).expect("JSON").value else { panic!("it has no names") };
            assert!(
                names.iter().all(|name| named.get(name).is_some_and(Value::is_string)),
                "a query's values are texts"
            );
            let hash = python::call_hash_of_payload("task", &read.payload);
            assert_eq!(read.hash.as_str(), hash, "the hash is the payload's");
        }
        Err(error) => assert!(error.len() < 1_000 + 2 * data.len(), "{error}"),
    }
}

/// A codec must read what it writes as the same value, and write that the same again. Otherwise one call would have two hashes.
pub fn codecs(data: &[u8]) {
    if codec::decode(data).is_err() {
        return;
    }
    let value: Value = serde_json::from_slice(data).expect("arguments are JSON");
    let mut python = String::new();
    python::write(&mut python, &value);
    assert!(python.is_ascii(), "ensure_ascii: {python}");
    // Python writes numbers beyond the range of a float in a form that only its own parser reads.
    if let Ok(again) = serde_json::from_str::<Value>(&python) {
        let mut twice = String::new();
        python::write(&mut twice, &again);
        assert_eq!(twice, python);
    } else {
        assert!(python.contains("Infinity"), "{python}");
    }
    let mut typescript = String::new();
    typescript::write(&mut typescript, &value);
    let again: Value = serde_json::from_str(&typescript).expect("JSON");
    let mut twice = String::new();
    typescript::write(&mut twice, &again);
    assert_eq!(twice, typescript);

    let list = codec::decode(data).expect("as before").into_list();
    assert_eq!(typescript::call_hash_of_payload("t", &typescript::payload(&list)), typescript::call_hash("t", &list));
}

/// A job that is not refused can be run: its tasks are in a valid order, and no dependency points outside of the job.
pub fn job_file(data: &[u8]) {
    let Ok(file) = serde_json::from_slice::<Value>(data) else { return };
    match Job::read(file) {
        Ok(job) => {
            assert!(!job.tasks.is_empty());
            for (index, task) in job.tasks.iter().enumerate() {
                assert!(task.depends_on.iter().all(|before| *before < index), "{:?} comes too early", task.name);
                assert!(task.depends_on.is_sorted_by(|a, b| a < b), "each once");
            }
        }
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
}
