//! The gateway against hostile and broken clients, over raw sockets.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::{Env, Running, eventually};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Waits until the command listens, and returns its address.
fn address(running: &Running) -> String {
    eventually("an address", || {
        let stderr = running.stderr();
        let found = stderr.split_once("on http://").and_then(|(_, rest)| rest.split_whitespace().next());
        found.map(str::to_owned).ok_or(stderr.clone())
    })
}

fn serve(env: &Env, more: &[&str]) -> (Running, String) {
    let running = env.start(["serve", "--http", "127.0.0.1:0"].iter().chain(more));
    let address = address(&running);
    (running, address)
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(50))).expect("a timeout");
    stream
}

/// What the server sends until it closes the connection, or the connection breaks.
fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends one request on a new connection. Returns the answers.
fn ask(address: &str, request: &[u8]) -> String {
    let mut stream = connect(address);
    // The server may close the connection before it has read everything. Or it may keep the connection open and send nothing more.
    let _ = stream.write_all(request);
    stream.set_read_timeout(Some(Duration::from_secs(3))).expect("a timeout");
    rest(stream)
}

/// The status of each answer.
fn statuses(answers: &str) -> Vec<u16> {
    answers.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)?.parse().ok()).collect()
}

/// The status of the answer to a request with this first line and these additional headers.
fn status(address: &str, first: &str, headers: &str) -> u16 {
    let answer = ask(address, format!("{first}\r\nconnection: close\r\n{headers}\r\n").as_bytes());
    *statuses(&answer).first().unwrap_or_else(|| panic!("no answer to {first}: {answer:?}"))
}

const GET: &str = "GET /hello?greetee=x HTTP/1.1";
const LOCAL: &str = "host: localhost\r\n";

#[test]
fn it_listens_on_loopback_unless_told_otherwise() {
    let env = Env::new();
    let serve = env.start(["serve", "--http", "0"]);
    let address = address(&serve);
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    assert!(!serve.stderr().contains("open to other machines"), "{}", serve.stderr());
    serve.stop().ok();
    for (more, warning) in [(None, "a token keeps others out (--http-token-file)"), (Some(TOKEN), "not encrypted")] {
        let mut env = Env::new();
        if let Some(token) = more {
            env.set("BRRR_HTTP_TOKEN", token);
        }
        let open = env.start(["serve", "--http", "0.0.0.0:0"]);
        open.wait_for_stderr("open to other machines");
        assert!(open.stderr().contains(warning), "{}", open.stderr());
        assert!(!open.stderr().contains(TOKEN));
        open.stop().ok();
    }
    let ended = env.run(["serve", "--http", "8080x"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("127.0.0.1:8080"), "{ended:?}");
    env.run(["serve", "--http", "192.0.2.1:0"]).refused(50, &["192.0.2.1"]);
}

#[test]
fn requests_without_the_token_get_nothing() {
    let mut env = Env::new();
    let file = env.write("token", format!("{TOKEN}\n"));
    env.write("brrr.toml", "[serve]\nhttp-token-file = \"token\"\n");
    let (serve_one, address) = serve(&env, &[]);
    // Written with usual permissions: all users may read it.
    serve_one.wait_for_stderr("chmod 600");
    let with = |header: &str| status(&address, GET, &format!("{LOCAL}{header}"));
    assert_eq!(
        with(&format!("authorization: Bearer {TOKEN}\r\n")),
        404,
        "the gateway says that it does not know the call"
    );
    for header in [
        String::new(),
        "authorization: Bearer x\r\n".to_owned(),
        format!("authorization: Basic {TOKEN}\r\n"),
        format!("authorization: Bearer {}\r\n", &TOKEN[1..]),
        format!("authorization: Bearer {TOKEN}\r\nauthorization: Bearer x\r\n"),
    ] {
        assert_eq!(with(&header), 401, "{header}");
    }
    let answer = ask(&address, format!("POST /hello HTTP/1.1\r\n{LOCAL}\r\n").as_bytes());
    assert!(answer.contains("www-authenticate: Bearer realm=\"brrr-host\""), "{answer}");
    // A proxy in front of the gateway may send any host name.
    let header = format!("host: api.example.com\r\nauthorization: Bearer {TOKEN}\r\n");
    assert_eq!(status(&address, GET, &header), 404);
    for shown in [serve_one.stderr(), answer] {
        assert!(!shown.contains(TOKEN), "{shown}");
    }
    serve_one.stop().ok();

    let file = file.to_str().expect("UTF-8");
    env.write("empty", "\n");
    env.write("short", "hunter2\n");
    env.run(["serve", "--http-token-file", "empty"]).refused(2, &["empty", "openssl"]);
    env.run(["serve", "--http-token-file", "short"]).refused(2, &["short", "7 characters", "16"]);
    env.run(["serve", "--http-token-file", "nowhere"]).refused(2, &["nowhere"]);
    env.set("BRRR_HTTP_TOKEN", "");
    env.run(["serve", "--http-token-file", file]).refused(2, &["--http-token-file", "BRRR_HTTP_TOKEN"]);
}

#[test]
fn pages_in_a_browser_on_this_machine_can_do_nothing() {
    let env = Env::new();
    let (_serve, address) = serve(&env, &[]);
    let (post, host) = ("POST /hello?greetee=x HTTP/1.1", format!("host: {address}\r\n"));
    assert_eq!(status(&address, post, &host), 202);
    assert_eq!(status(&address, post, &format!("{host}origin: http://{address}\r\n")), 202);
    // A form on a page of another site; on a sandboxed page; on a page of another port.
    for origin in ["https://evil.example", "null", "http://localhost:1"] {
        assert_eq!(status(&address, post, &format!("{host}origin: {origin}\r\n")), 403, "{origin}");
    }
    // A page whose host name was made to resolve to this machine. It may not read anything either.
    for first in [GET, post, "GET /jobs/x HTTP/1.1"] {
        assert_eq!(status(&address, first, "host: evil.example\r\norigin: http://evil.example\r\n"), 421, "{first}");
    }
    assert_eq!(status(&address, "GET http://evil.example/hello HTTP/1.1", LOCAL), 421);
    // The preflight request of a browser.
    assert_eq!(status(&address, "OPTIONS /hello HTTP/1.1", &format!("{host}origin: https://evil.example\r\n")), 403);
}

#[test]
fn parts_of_a_request_that_are_too_long_are_named() {
    let env = Env::new();
    let (serve, address) = serve(&env, &[]);
    let url = |n: usize| format!("GET /hello?greetee={} HTTP/1.1", "x".repeat(n));
    assert_eq!(status(&address, &url(10_000), LOCAL), 404);
    assert_eq!(status(&address, &url(20_000), LOCAL), 414);
    assert_eq!(status(&address, &format!("GET /{} HTTP/1.1", "x".repeat(1_001)), LOCAL), 400);
    assert_eq!(status(&address, "GET /a%1b%5B2J HTTP/1.1", LOCAL), 400);
    assert_eq!(status(&address, &format!("GET /jobs/{} HTTP/1.1", "x".repeat(5_000)), LOCAL), 400);
    let headers = |n: usize| {
        (0..n).fold(LOCAL.to_owned(), |mut all, n| {
            write!(all, "x-{n}: y\r\n").expect("memory");
            all
        })
    };
    assert_eq!(status(&address, GET, &headers(50)), 404);
    assert_eq!(status(&address, GET, &headers(200)), 431, "too many");
    assert_eq!(status(&address, GET, &format!("{LOCAL}x: {}\r\n", "y".repeat(1_000_000))), 431, "too long");
    // Bodies with an announced length, and without.
    let post = |length: &str| ask(&address, format!("POST /hello HTTP/1.1\r\n{LOCAL}{length}\r\n").as_bytes());
    assert_eq!(statuses(&post("content-length: 99000000\r\n")), [413]);
    let mut stream = connect(&address);
    let chunk = [b"100000\r\n", [b' '; 1 << 20].as_slice(), b"\r\n"].concat();
    stream
        .write_all(format!("POST /hello HTTP/1.1\r\n{LOCAL}transfer-encoding: chunked\r\n\r\n").as_bytes())
        .expect("written");
    let _ = (0..20).try_for_each(|_| stream.write_all(&chunk));
    let answer = rest(stream);
    // If the server closes the connection while the client still sends, the client may lose the answer.
    assert!(answer.is_empty() || statuses(&answer) == [413], "{answer}");
    // Deeper nesting than any real argument has.
    let deep = "[".repeat(100_000);
    let request = format!("POST /hello HTTP/1.1\r\n{LOCAL}content-length: {}\r\n\r\n{{\"a\":{deep}", deep.len() + 5);
    assert_eq!(statuses(&ask(&address, request.as_bytes())), [400]);
    serve.stop().ok();
}

#[test]
fn a_request_means_one_thing_or_is_refused() {
    let env = Env::new();
    let (serve, address) = serve(&env, &[]);
    let smuggled = "GET /jobs/smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let refused = [
        // Two lengths that contradict each other, in all forms that are known to mislead proxies.
        format!("POST /hello HTTP/1.1\r\n{LOCAL}content-length: 0\r\ncontent-length: 51\r\n\r\n{smuggled}"),
        format!("POST /hello HTTP/1.1\r\n{LOCAL}content-length: +0\r\n\r\n{smuggled}"),
        format!("POST /hello HTTP/1.1\r\n{LOCAL}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("POST /hello HTTP/1.1\r\n{LOCAL}transfer-encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("POST /hello HTTP/1.1\r\n{LOCAL}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{smuggled}"),
        format!("GET /hello HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n{smuggled}"),
        format!("GET /hello HTTP/1.1\r\n\r\n{smuggled}"),
        "GET /hello\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_owned(),
        "GET /a b HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
    ];
    for request in refused {
        let answer = ask(&address, request.as_bytes());
        let first = statuses(&answer).first().copied();
        assert!(first.is_none_or(|status| status == 400 || status == 501), "{request:?}: {answer}");
        // The request that is hidden in the body must not be answered as a request. The exception is a first request
        // that has ended before it by every reading.
        let lengths = request.contains("content-length") || request.contains("transfer-encoding");
        assert!(!lengths || !answer.contains("no such job"), "{request:?}: {answer}");
    }
    // If both lengths are there, the chunks count (RFC 9112, 6.3), and the connection ends after them.
    let both = "content-length: 4\r\ntransfer-encoding: chunked\r\n";
    let answer = ask(&address, format!("POST /hello HTTP/1.1\r\n{LOCAL}{both}\r\n0\r\n\r\n{smuggled}").as_bytes());
    assert!(statuses(&answer).len() == 1 && answer.contains("connection: close"), "{answer}");
    // Several requests that are sent at once are all answered, in order.
    let two = format!("{GET}\r\n{LOCAL}\r\nGET /jobs/none HTTP/1.1\r\nconnection: close\r\n{LOCAL}\r\n");
    let answers = ask(&address, two.as_bytes());
    assert_eq!(statuses(&answers), [404, 404], "{answers}");
    assert!(answers.find("nobody has asked") < answers.find("no such job"), "{answers}");
    serve.stop().ok();
}

/// Slow clients of every kind at the same time. The server closes each connection in time, and answers other clients meanwhile.
#[test]
fn slow_clients_delay_nobody() {
    let env = Env::new();
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let address = address(&worker);
    let begun = Instant::now();
    let begin = |request: &str| {
        let mut stream = connect(&address);
        stream.write_all(request.as_bytes()).expect("written");
        stream
    };
    let head = begin(&format!("{GET}\r\n{LOCAL}x: "));
    let body = begin(&format!("POST /hello HTTP/1.1\r\n{LOCAL}content-length: 100\r\n\r\n{{"));
    let silent = connect(&address);
    let mut idle = begin(&format!("{GET}\r\n{LOCAL}\r\n"));
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 404");
    while begun.elapsed() < Duration::from_secs(8) {
        assert_eq!(status(&address, GET, LOCAL), 404);
        std::thread::sleep(Duration::from_millis(50));
    }
    let ends = |stream: TcpStream, within: u64| {
        let answer = rest(stream);
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(8) && took < Duration::from_secs(within), "{took:?}: {answer}");
        answer
    };
    ends(head, 20);
    ends(silent, 20);
    ends(idle, 30);
    assert_eq!(statuses(&ends(body, 45)), [408]);
    worker.stop().ok();
}

/// More connections than the worker may have open files. The worker goes on with its work, and answers again when the
/// connections are closed.
#[test]
fn a_flood_of_connections_stops_no_worker() {
    let env = Env::new();
    let mut command = std::process::Command::new("sh");
    let worker = env.command(["run", crate::harness::guest().to_str().expect("UTF-8"), "--http", "127.0.0.1:0"]);
    command.args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""]).arg(worker.get_program()).args(worker.get_args());
    command.current_dir(worker.get_current_dir().expect("a folder"));
    for (name, value) in worker.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let worker = Running::start(command);
    let address = address(&worker);
    let many: Vec<TcpStream> = (0..200).map(|_| connect(&address)).collect();
    env.run(["call", "fib", "{\"n\": 12}"]).ok();
    let begun = Instant::now();
    drop(many);
    assert_eq!(status(&address, GET, LOCAL), 404);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    worker.stop().ok();
}

/// A client that asks for megabytes and reads nothing. The server closes the connection, and holds the memory only until then.
#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let env = Env::new();
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let address = address(&worker);
    let arguments = "{\"bytes\": 15000000}";
    env.run(["call", "big_result", arguments]).ok();
    let request = format!("GET /big_result HTTP/1.1\r\n{LOCAL}content-length: {}\r\n\r\n{arguments}", arguments.len());
    let mut stream = connect(&address);
    stream.write_all(request.as_bytes()).expect("written");
    // Longer than the server waits for a client. What it wrote before is in the buffers of the system.
    std::thread::sleep(Duration::from_secs(18));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.is_empty() && answer.len() < 15_000_000, "{} bytes came", answer.len());
    // A client that reads gets the whole answer.
    assert!(ask(&address, request.as_bytes()).len() > 15_000_000);
    worker.stop().ok();
}

/// Clients that each ask for a value of about 15 MB, read its first bytes, and then read nothing for a while.
fn slow_readers(address: &str, sizes: impl Iterator<Item = usize>) -> Vec<(TcpStream, u16)> {
    let read = |bytes: usize| {
        let arguments = format!("{{\"bytes\": {bytes}}}");
        let length = arguments.len();
        let request = format!("GET /big_result HTTP/1.1\r\n{LOCAL}content-length: {length}\r\n\r\n{arguments}");
        let mut stream = connect(address);
        stream.write_all(request.as_bytes()).expect("written");
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("an answer");
        (stream, statuses(&String::from_utf8_lossy(&first))[0])
    };
    sizes.map(read).collect()
}

/// The memory that slow readers hold is bounded, whether they read the same value or different ones.
#[test]
fn slow_readers_share_what_they_read() {
    const BYTES: usize = 15_000_000;
    let env = Env::new();
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let address = address(&worker);
    for n in 0..12 {
        env.run(["schedule", "big_result", &format!("{{\"bytes\": {}}}", BYTES + n)]).ok();
    }
    for n in 0..12 {
        env.run(["call", "big_result", &format!("{{\"bytes\": {}}}", BYTES + n)]).ok();
    }
    let before = worker.memory("VmRSS");
    let same = slow_readers(&address, std::iter::repeat_n(BYTES, 60));
    assert!(same.iter().all(|(_, status)| *status == 200), "{same:?}");
    let others = slow_readers(&address, (1..12).map(|n| BYTES + n));
    assert!(others.iter().any(|(_, status)| *status == 503), "{others:?}");
    let grown = worker.memory("VmRSS").saturating_sub(before);
    assert!(grown < 400, "{grown} MiB for {} readers", same.len() + others.len());
    // Small results are still answered. A slow reader that goes on gets the whole value.
    assert_eq!(status(&address, GET, LOCAL), 404);
    let (last, _) = same.into_iter().next_back().expect("a reader");
    let (mut last, mut got) = (last.take(BYTES as u64), 0);
    let mut buffer = vec![0; 1 << 20];
    while let n @ 1.. = last.read(&mut buffer).expect("more") {
        got += n;
    }
    assert_eq!(got, BYTES);
    worker.stop().ok();
}

/// Clients that each send a large body without its last byte. One that the server cuts off, because it sends nothing
/// more or because this machine is slow, begins again.
struct SlowWriters {
    stopped: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl SlowWriters {
    fn start(address: &str, count: usize) -> Self {
        let (stopped, streams) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let mut request = format!("POST /hello HTTP/1.1\r\n{LOCAL}content-length: {}\r\n\r\n", 16 << 20).into_bytes();
        request.resize(request.len() + (16 << 20) - 1, b' ');
        let request = Arc::new(request);
        for _ in 0..count {
            let (stopped, streams, request) = (stopped.clone(), streams.clone(), request.clone());
            let address = address.to_owned();
            std::thread::spawn(move || {
                while !stopped.load(SeqCst) {
                    let Ok(mut stream) = TcpStream::connect(&address) else { return };
                    streams.lock().unwrap().extend(stream.try_clone());
                    let _ = stream.write_all(&request).and_then(|()| stream.read_to_end(&mut Vec::new()));
                }
            });
        }
        Self { stopped, streams }
    }
}

impl Drop for SlowWriters {
    fn drop(&mut self) {
        self.stopped.store(true, SeqCst);
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A few unfinished large bodies use up the memory for large bodies, but not the memory for small ones.
#[test]
fn slow_writers_keep_out_no_small_request() {
    let env = Env::new();
    let (serve, address) = serve(&env, &[]);
    let slow = SlowWriters::start(&address, 4);
    let spaces = " ".repeat(1 << 20);
    let large = format!("POST /hello HTTP/1.1\r\n{LOCAL}content-length: {}\r\n\r\n{spaces}", spaces.len());
    // The limit applies once the server has read the bodies.
    eventually("the room of large ones is taken", || match statuses(&ask(&address, large.as_bytes()))[..] {
        [503] => Ok(()),
        ref other => Err(format!("{other:?}")),
    });
    let small = "{\"greetee\": \"x\"}";
    for _ in 0..3 {
        let request = format!("POST /hello HTTP/1.1\r\n{LOCAL}content-length: {}\r\n\r\n{small}", small.len());
        assert_eq!(statuses(&ask(&address, request.as_bytes())), [202]);
    }
    drop(slow);
    serve.stop().ok();
}

#[test]
fn invalid_utf_8_is_refused_and_no_content_type_is_guessed() {
    let env = Env::new();
    let (serve, address) = serve(&env, &[]);
    assert_eq!(status(&address, "GET /hello?greetee=%C3%B6 HTTP/1.1", LOCAL), 404);
    for query in ["greetee=%ff", "greetee=%fe", "%ff=x", "greetee=%C3"] {
        assert_eq!(status(&address, &format!("POST /hello?{query} HTTP/1.1"), LOCAL), 400, "{query}");
    }
    for first in
        [GET, "POST /hello?greetee=%ff HTTP/1.1", "GET /jobs/none HTTP/1.1", "PUT /hello HTTP/1.1", "GET / HTTP/1.1"]
    {
        let answer = ask(&address, format!("{first}\r\nconnection: close\r\n{LOCAL}\r\n").as_bytes());
        assert!(answer.contains("\r\nx-content-type-options: nosniff\r\n"), "{first}: {answer}");
    }
    serve.stop().ok();
}
