//! Servers whose answers never end. The handler's request fails with an error. The worker's memory and time stay bounded.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::Env;

/// How each answer begins, what it repeats until the client hangs up, and which errors the client may see.
const WAYS: [(&str, &str, &str); 7] = [
    ("HTTP/1.1 200 ", "OK and ", "too large headers|time limit"),
    ("HTTP/1.1 200 OK\r\nx: ", "one long header, ", "too large headers|time limit"),
    ("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n", "headers|time limit"),
    ("", "HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n", "time limit"),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", "extended,", "chunk|body|time limit"),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "x-more: and more\r\n", "trailer|body|time limit"),
    ("HTTP/1.1 200 OK\r\n\r\n", "a body without end, ", "the memory limit of 64 MiB|time limit"),
];

/// A server with a path for each index into `WAYS`.
fn endless_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || never_end(client));
        }
    });
    address
}

/// Sends until the client hangs up.
fn never_end(mut client: TcpStream) -> Option<()> {
    let mut request = String::new();
    BufReader::new(client.try_clone().ok()?).read_line(&mut request).ok()?;
    let way: usize = request.split(['/', ' ']).nth(2)?.parse().ok()?;
    let (begin, more, _) = WAYS[way];
    client.write_all(begin.as_bytes()).ok()?;
    let more = more.repeat(1000);
    while client.write_all(more.as_bytes()).is_ok() {}
    None
}

#[test]
fn a_server_without_end_is_an_error() {
    let (env, server) = (Env::new(), endless_server());
    let worker = env.worker(&["--allow-http", &server, "--timeout", "3s", "--memory", "64MiB"]);
    assert_eq!(env.run(["call", "fib", "{\"n\": 5}"]).ok(), "5");
    let (before, begun) = (worker.memory("VmRSS"), Instant::now());
    let get = |way: usize| json!({"url": format!("http://{server}/{way}")}).to_string();
    let calls: Vec<_> = (0..WAYS.len()).map(|way| env.start(["call", "http_get", &get(way)])).collect();
    for (call, (begin, more, words)) in calls.into_iter().zip(WAYS) {
        let ended = call.end();
        println!("{:?}: {}", [begin, more].concat(), ended.stderr.lines().next().unwrap_or_default());
        assert!(matches!(ended.code, Some(30 | 32)), "{begin}{more}: {ended:#?}");
        assert!(words.split('|').any(|word| ended.stderr.contains(word)), "{begin}{more}: {ended:#?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    // The guest's own 64 MiB for the body, 64 KiB for each head, and memory that the allocator keeps.
    let peak = worker.memory("VmHWM");
    println!("{before} MiB before, {peak} at most");
    assert!(peak < before + 150, "{before} MiB before, {peak} at most");
    assert_eq!(env.run(["call", "fib", "{\"n\": 6}"]).ok(), "8");
    worker.stop().ok();
}
