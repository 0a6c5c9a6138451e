//! Redis is shared with other programs. A name that a guest, a client or a peer chooses never reaches keys of those
//! programs. If such a program uses a key of ours, the calls that need the key fail, but no worker does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use brrr_protocol::wire::{PendingReturns, Return};
use rustix::process::Signal;

use crate::control::{job, schedule};
use crate::dlq::lists;
use crate::harness::{Env, TOPIC, eventually};
use crate::redis::{env_on, url};
use crate::servers::Server;
use crate::servers::redis::Flavour;

/// Sends a command. Returns the server's answer: a text, the texts of a list with commas, or the error as it is.
fn ask(server: &Server, command: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).expect("a server");
    let mut request = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        request.extend([format!("${}\r\n", word.len()).as_bytes(), word, b"\r\n"].concat());
    }
    stream.write_all(&request).expect("sent");
    answer(&mut BufReader::new(stream))
}

fn answer(from: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("an answer");
    let (kind, rest) = line.trim_end().split_at(1);
    match (kind, rest.parse::<i64>()) {
        ("$", Ok(length @ 0..)) => {
            let mut text = vec![0; usize::try_from(length).expect("a length") + 2];
            from.read_exact(&mut text).expect("a text");
            String::from_utf8_lossy(&text[..text.len() - 2]).into_owned()
        }
        ("*", Ok(items @ 0..)) => (0..items).map(|_| answer(from)).collect::<Vec<_>>().join(","),
        _ => rest.to_owned(),
    }
}

fn say(server: &Server, command: &str) -> String {
    ask(server, &command.split(' ').map(str::as_bytes).collect::<Vec<_>>())
}

#[test]
fn a_call_reaches_no_key_that_is_not_a_topic() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let env = env_on(url(&server));
    say(&server, "RPUSH celery theirs");
    say(&server, "SET app:session:1 theirs");
    say(&server, "SET session theirs");
    let worker = env.worker(&["--unknown-task-grace", "300ms", "--call-topic", "session"]);
    let call =
        |topic: &str| env.run(["call", "--fresh", "call_topic", &format!("{{\"topic\": \"{topic}\", \"i\": 1}}")]);
    for topic in ["brrr:leases", "app:session:1", "brrr_count/x", "a.b"] {
        let ended = call(topic);
        assert_eq!(ended.code, Some(30), "{ended:#?}");
        assert!(ended.stderr.contains(topic) && ended.stderr.contains("letters"), "{ended:#?}");
    }
    let unknown = call("celery");
    assert_eq!(unknown.code, Some(31), "{unknown:#?}");
    assert!(unknown.stderr.contains("celery") && unknown.stderr.contains("--call-topic"), "{unknown:#?}");
    // `--call-topic` allows this topic, but its key holds no list.
    let taken = call("session");
    assert_eq!(taken.code, Some(30), "{taken:#?}");
    assert!(taken.stderr.contains("the key session"), "{taken:#?}");
    let refused = env.run(["schedule", "--topic", "app:session:1", "fib", "{\"n\": 1}"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("letters"), "{refused:#?}");
    env.run(["schedule", "--topic", "session", "fib", "{\"n\": 1}"]).refused(20, &["the key session"]);
    for (command, is) in [
        ("LRANGE celery 0 -1", "theirs"),
        ("GET app:session:1", "theirs"),
        ("GET session", "theirs"),
        ("ZCARD brrr:leases", "0"),
        ("EXISTS a.b", "0"),
    ] {
        assert_eq!(say(&server, command), is, "{command}");
    }
    // A guest may always call the worker's own topic.
    assert_eq!(call(TOPIC).ok(), "1");
    worker.stop().ok();
}

#[test]
fn a_topic_may_be_announced_after_it_is_called() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let env = env_on(url(&server));
    let worker = env.worker(&[]);
    let job = schedule(&env, &["call_topic", "{\"topic\": \"later\", \"i\": 5}"]);
    eventually("its call is asked for", || match say(&server, "ZCARD brrr:delayed:demo").as_str() {
        "1" => Ok(()),
        other => Err(other.to_owned()),
    });
    let other = env.worker(&["--topic", "later"]);
    eventually("the job ends", || {
        let read = env.run(["read", "--job", &job]);
        if read.code != Some(0) {
            return Err(format!("{read:?}"));
        }
        assert_eq!(read.stdout, "5\n");
        Ok(())
    });
    other.stop().ok();
    worker.stop().ok();
}

#[test]
fn foreign_values_at_keys_of_records_fail_only_calls_that_need_them() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let env = env_on(url(&server));
    let jobs = ["6", "7", "8"].map(|n| schedule(&env, &["fib", &format!("{{\"n\": {n}, \"salt\": \"x\"}}")]));
    let calls = jobs.clone().map(|id| job(&env, &id)["call"].as_str().expect("a call").to_owned());
    say(&server, &format!("SET brrr:job:{} x", jobs[0]));
    say(&server, &format!("SET brrr:call:{} x", calls[1]));
    say(&server, &format!("SET brrr_count/{} x", jobs[2]));
    let found = env.run(["doctor"]);
    assert_eq!(found.code, Some(43), "{found:#?}");
    for key in [format!("brrr:job:{}", jobs[0]), format!("brrr:call:{}", calls[1])] {
        assert!(format!("{}{}", found.stdout, found.stderr).contains(&key), "{key}: {found:#?}");
    }
    let worker = env.worker(&[]);
    let dead_letters = lists(&env, 2);
    for key in [format!("brrr:job:{}", jobs[0]), format!("brrr:call:{}", calls[1])] {
        let named = |dead_letter: &serde_json::Value| {
            dead_letter["reason"].as_str().is_some_and(|reason| reason.contains(&key))
        };
        assert!(dead_letters.iter().any(named), "{key}: {dead_letters:?}");
    }
    eventually("the job without damage ends", || {
        let read = env.run(["read", "--job", &jobs[2]]);
        if read.code == Some(0) { Ok(()) } else { Err(format!("{read:?}")) }
    });
    let failed = env.run(["read", "--job", &jobs[1]]);
    assert!(failed.code == Some(30) && failed.stderr.contains("brrr:call:"), "{failed:#?}");
    assert_eq!(env.run(["jobs", "--output", "json"]).code, Some(0));
    worker.stop().ok();
}

#[test]
fn parents_on_unusual_topics_are_notified_if_that_is_safe() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let env = env_on(url(&server));
    let job_id = schedule(&env, &["fib", "{\"n\": 1, \"salt\": \"odd\"}"]);
    let call = job(&env, &job_id)["call"].as_str().expect("a call").to_owned();
    say(&server, "SET app:session:1 theirs");
    let topics = ["brrr:leases", "team:brrr:call:x", "brrr_count/x", "app:session:1", "//odd/topic"];
    let entry = |topic: &&str| Return { job_id: "theirs".into(), parent: "p".into(), topic: (*topic).into() };
    let pending = PendingReturns { returns: topics.iter().map(entry).collect(), scheduled_at: Some(1) };
    let key = format!("brrr:call:{call}");
    ask(&server, &[b"HSET", key.as_bytes(), b"pending_returns", &pending.encode()]);
    // `doctor` reads the depth of these topics too.
    assert!(env.run(["doctor"]).code.is_some_and(|code| code == 0 || code == 43));
    let worker = env.worker(&[]);
    eventually("the job ends", || {
        let read = env.run(["read", "--job", &job_id]);
        if read.code == Some(0) { Ok(()) } else { Err(format!("{read:?}")) }
    });
    assert_eq!(say(&server, "LRANGE //odd/topic 0 -1"), "li2e6:theirs1:pe");
    assert_eq!(say(&server, "GET app:session:1"), "theirs");
    assert_eq!(say(&server, "EXISTS team:brrr:call:x brrr_count/x"), "0");
    assert_eq!(say(&server, &format!("HEXISTS {key} pending_returns")), "0");
    worker.stop().ok();
}

#[test]
fn a_worker_waits_while_the_key_of_its_topic_is_foreign() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let env = env_on(url(&server));
    let worker = env.worker(&[]);
    say(&server, "SET demo x");
    worker.wait_for_stderr("the key demo can't be used");
    env.run(["schedule", "fib", "{\"n\": 1}"]).refused(20, &["the key demo"]);
    say(&server, "DEL demo");
    assert_eq!(env.run(["call", "fib", "{\"n\": 5}"]).ok(), "5");
    worker.stop().ok();
}

/// While the server refuses writes, the worker waits and logs this. Afterwards it goes on.
fn outlives(server: &Server, env: &Env, code: &str, begin: &[&str], end: &str) {
    let worker = env.worker(&[]);
    // The worker is stopped by a signal, so that it receives the message only when the server refuses writes.
    worker.signal(Signal::STOP);
    let salt = format!("{{\"n\": 8, \"salt\": \"{code}\"}}");
    let job = schedule(env, &["fib", &salt]);
    let probe = ["SET", "probe", "x"].map(str::as_bytes);
    begin.iter().for_each(|command| drop(say(server, command)));
    eventually("the server refuses", || match ask(server, &probe) {
        said if said.contains(code) => Ok(()),
        said => Err(said),
    });
    worker.signal(Signal::CONT);
    worker.wait_for_stderr("trying again");
    say(server, end);
    eventually("the job ends", || {
        let read = env.run(["read", "--job", &job]);
        if read.code == Some(0) { Ok(()) } else { Err(format!("{code}: {read:?}")) }
    });
    worker.stop().ok();
}

#[test]
fn a_worker_survives_a_failover_and_a_read_only_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(server) = Flavour::Redis.start(None, &["--dir", folder.path().to_str().expect("UTF-8")]) else { return };
    let env = env_on(url(&server));
    let nobody = crate::servers::free_port();
    outlives(&server, &env, "READONLY", &[&format!("REPLICAOF 127.0.0.1 {nobody}")], "REPLICAOF NO ONE");
    outlives(&server, &env, "OOM", &["CONFIG SET maxmemory 1"], "CONFIG SET maxmemory 0");
    // The server can't write a snapshot, because the folder is missing.
    drop(folder);
    say(&server, "CONFIG SET stop-writes-on-bgsave-error yes");
    ask(&server, &[b"CONFIG", b"SET", b"save", b"100000 1"]);
    outlives(&server, &env, "MISCONF", &["BGSAVE"], "CONFIG SET stop-writes-on-bgsave-error no");
}

#[test]
fn a_server_that_evicts_is_refused() {
    let Some(server) = Flavour::Redis.start(None, &["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"])
    else {
        return;
    };
    let mut env = env_on(url(&server));
    env.run(["jobs"]).refused(20, &["allkeys-lru", "noeviction"]);
    // A user without the right to read this setting gets a warning that names it.
    say(&server, "ACL SETUSER quiet on >quiet ~* &* +@all -info -config");
    env.set("REDIS_URL", format!("redis://quiet:quiet@127.0.0.1:{}", server.port));
    assert!(env.worker(&[]).stop().stderr.contains("noeviction"));
    env.set("REDIS_URL", url(&server));
    say(&server, "CONFIG SET maxmemory-policy noeviction");
    env.run(["jobs"]).ok();
}
