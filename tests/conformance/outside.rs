//! What is outside of a component: output, clock, random numbers, and what is not accessible.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Instant;

use brrr_protocol::logs;
use brrr_worker::topic_worker::now;
use brrr_worker::wasm::{LogLevel, Stream};
use serde_json::json;

use crate::fleet::Fleet;

/// The handler runs twice. Each line appears once, in the right order.
pub async fn output_appears_once(fleet: &Fleet) {
    let (job_id, hash) = fleet.schedule("prints", json!({"line": "ä line"})).await;
    assert_eq!(crate::fleet::json(fleet.wait(&job_id, &hash).await), json!("ä line"));
    let lines = fleet.printed(&hash);
    let texts: Vec<_> = lines.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["before ä line", "warning ä line", "after ä line"]);
    assert_eq!(lines[1].0, Stream::Log(LogLevel::Warn));
    // The same is kept with the call.
    let log = logs::of_call(&*fleet.backend, &job_id, &hash).await.unwrap().expect("a log").lines().unwrap();
    assert_eq!(log.into_iter().map(|(_, line)| (line.from, line.text)).collect::<Vec<_>>(), lines);
}

/// The child's arguments depend on the time that the handler sees. With another time, the replay would ask for another child.
pub async fn the_same_clock_in_every_replay(fleet: &Fleet) {
    let before = now();
    let clock = fleet.value("clock", json!({})).await;
    assert_eq!(clock[0], clock[1]);
    let seen = clock[0].as_u64().unwrap();
    assert!((before..=now()).contains(&seen), "{seen} is not after {before}");
}

/// The run is dropped while the handler sleeps. Another run goes on, whose clock has moved by at least the time of the sleep. The
/// child's arguments depend on that clock, so the third run sees it too.
pub async fn a_sleep_is_durable(fleet: &Fleet) {
    const MS: u64 = 300;
    let begun = Instant::now();
    let (job_id, hash) = fleet.schedule("sleeps", json!({"ms": MS})).await;
    let moved = crate::fleet::json(fleet.wait(&job_id, &hash).await).as_u64().unwrap();
    let took = begun.elapsed().as_millis() as u64;
    assert!(moved >= MS && took + 1 >= moved, "{moved} ms by the clock, {took} ms in all");
    // The job's message, the timer, the child's message, and the child's notification: the handler runs three times.
    assert_eq!(fleet.messages().await, 4);
}

pub async fn the_same_random_numbers_in_every_replay(fleet: &Fleet) {
    let random = fleet.value("random", json!({})).await;
    assert_eq!(random[0], random[1]);
    assert_ne!(random[0], random[2]);
    // The random numbers follow from job and call. Another fleet that runs the same call for the same job gets the same numbers.
    let other = Fleet::start(fleet.language).await;
    assert_eq!(other.value("random", json!({})).await, random);
    other.stop().await;
}

pub async fn a_leaf_has_the_real_ones(fleet: &Fleet) {
    const MS: u64 = 20;
    let other = Fleet::start(fleet.language).await;
    let mut drawn = Vec::new();
    for fleet in [fleet, &other] {
        let before = now();
        let real = fleet.value("real", json!({"ms": MS})).await;
        let (slept, woke) = (real["before"].as_u64().unwrap(), real["after"].as_u64().unwrap());
        // One millisecond of tolerance, because both times are rounded down.
        assert!(before <= slept && slept + MS <= woke + 1 && woke <= now(), "{before}: {real}");
        drawn.push(real["random"].as_u64().unwrap());
    }
    assert_ne!(drawn[0], drawn[1]);
    other.stop().await;
}

pub async fn no_network_files_or_environment(fleet: &Fleet) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "secret").unwrap();

    let tried = fleet.value("forbidden", json!({"port": port, "path": file.to_str().unwrap()})).await;
    for way in ["network", "files"] {
        let said = tried[way].as_str().unwrap();
        assert!(said == "absent" || said.starts_with("refused: "), "{way}: {tried}");
    }
    assert_eq!(tried["environment"], json!([]), "{tried}");
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(!folder.path().join("file.new").exists());
}
