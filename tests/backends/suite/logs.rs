//! What runs have logged is kept with the transition that ends the run.

use std::sync::Arc;

use brrr_protocol::logs;
use brrr_protocol::model::{Failure, FailureKind};
use brrr_protocol::ports::{Backend, Key, Work};
use brrr_protocol::records::{LogLevel, LogLine, LogRecord, LogSource, NewLines, RunLog};
use bytes::Bytes;

use crate::suite::backend::{defer, direct, schedule, work};
use crate::suite::queue::next;
use crate::support::Kind;

const ROOM: u64 = 64 << 10;

/// What a run of this attempt has logged: these lines, the first one at the position.
fn lines(attempt: u32, from: u64, texts: &[&str], keep: u64) -> Option<Arc<NewLines>> {
    let log = RunLog::default();
    log.begin(attempt, keep);
    let mut end = from;
    for text in texts {
        end += text.len() as u64 + 1;
        let (fields, from) = (vec![("k".to_owned(), "ö\n".to_owned())], LogSource::Log(LogLevel::Warn));
        log.add(LogLine { at: end, attempt: 0, end, from, text: (*text).to_owned(), fields, left_out: 0 });
    }
    log.new_lines()
}

async fn texts(b: &Arc<dyn Backend>, job: &str, call: &str) -> Vec<String> {
    let record = logs::of_call(&**b, &job.into(), &call.into()).await.unwrap().unwrap_or_default();
    let lines = record.lines().unwrap().into_iter();
    lines.map(|(number, line)| format!("{number} {} {}", line.attempt, line.text)).collect()
}

pub async fn lines_are_kept_once_and_in_order(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "p").await;
    let run = Work { log: lines(1, 0, &["a", "b"], ROOM), ..work(&next(&**b, "t").await) };
    defer(b, &run, &["c"]).await;
    assert_eq!(texts(b, "r", "p").await, ["0 1 a", "1 1 b"]);
    let child = work(&next(&**b, "t").await);
    b.complete(&child, Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(b.store().get(&Key::log(&"c".into(), &"r".into())).await.unwrap(), None, "it has logged nothing");
    // A run that logs what an earlier one has logged, because its worker did not know of that.
    let run = Work { ends_job: true, log: lines(1, 0, &["a", "b", "c"], ROOM), ..work(&next(&**b, "t").await) };
    b.complete(&run, Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(texts(b, "r", "p").await, ["0 1 a", "1 1 b", "2 1 c"]);
    // A worker that has lost its lease.
    b.complete(&Work { receipt: None, ..run }, Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(texts(b, "r", "p").await.len(), 3);
}

pub async fn the_newest_lines_of_all_attempts_are_kept(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    let fail = async |log| {
        let failure = Failure::new(FailureKind::Error, "task", "no");
        b.fail(&Work { log, ..direct("r", "c") }, &failure).await.unwrap();
    };
    fail(lines(1, 0, &["a", "b"], ROOM)).await;
    fail(lines(2, 0, &["a"], ROOM)).await;
    fail(lines(1, 0, &["a", "b", "late"], ROOM)).await;
    assert_eq!(texts(b, "r", "c").await, ["0 1 a", "1 1 b", "2 2 a"]);
    let record = b.store().get(&Key::log(&"c".into(), &"r".into())).await.unwrap().unwrap();
    let size = LogRecord::decode(&record).unwrap().lines().unwrap()[0].1.encode().len() as u64;
    fail(lines(2, 2, &["b"], 3 * size)).await;
    assert_eq!(texts(b, "r", "c").await, ["1 1 b", "2 2 a", "3 2 b"]);
    fail(lines(3, 0, &["1", "2", "3", "4"], 3 * size)).await;
    assert_eq!(texts(b, "r", "c").await, ["5 3 2", "6 3 3", "7 3 4"]);
    assert_eq!(texts(b, "another", "c").await, [""; 0], "each job has its own");
}

pub async fn a_log_that_can_not_be_read_holds_up_nothing(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    let key = Key::log(&"c".into(), &"r".into());
    let newer = Bytes::from_static(b"d5:linesi7e1:vi2ee");
    for (damaged, stays) in [(Bytes::from_static(b"\xff\0garbage"), false), (newer, true)] {
        b.store().put(&key, damaged.clone()).await.unwrap();
        let work = Work { log: lines(1, 0, &["a"], ROOM), ..direct("r", "c") };
        b.complete(&work, Bytes::from_static(b"v")).await.unwrap();
        let found = b.store().get(&key).await.unwrap().unwrap();
        assert_eq!(found == damaged, stays, "{found:?}");
        assert_eq!(texts(b, "r", "c").await.len(), usize::from(!stays));
    }
}
