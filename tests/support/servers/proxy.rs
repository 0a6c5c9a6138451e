//! Servers between a client and another server, on loopback: a proxy of HTTP for TLS, and a relay that records.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A proxy that connects its clients (`CONNECT HOST:PORT`) to ports of this machine. It runs until the program ends.
pub struct Proxy {
    pub url: String,
    connected: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// `routes`: the port of this machine for each `HOST:PORT`.
    pub fn start(routes: &[(&str, u16)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let routes: Vec<_> = routes.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
        let connected = Arc::<Mutex<Vec<String>>>::default();
        let seen = connected.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (routes, seen) = (routes.clone(), seen.clone());
                thread::spawn(move || connect(client, &routes, &seen));
            }
        });
        Self { url, connected }
    }

    /// The places that clients were connected to, `HOST:PORT`.
    pub fn connected(&self) -> Vec<String> {
        self.connected.lock().expect("no panic").clone()
    }
}

fn connect(mut client: TcpStream, routes: &[(String, u16)], seen: &Mutex<Vec<String>>) -> Option<()> {
    // A client of TLS sends nothing more before the answer.
    let head: Vec<String> = BufReader::new(client.try_clone().ok()?)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let place = head.first()?.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let Some((_, port)) = routes.iter().find(|(name, _)| *name == place) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").ok();
    };
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).ok()?;
    seen.lock().expect("no panic").push(place);
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    join(client, server, |_| {});
    Some(())
}

/// Sends everything from each to the other, and returns when both have ended. `sees` sees what the client sends.
fn join(client: TcpStream, server: TcpStream, sees: impl FnMut(&[u8]) + Send + 'static) {
    let (back_from, back_to) = (server.try_clone().expect("a stream"), client.try_clone().expect("a stream"));
    let there = thread::spawn(move || copy(client, server, sees));
    copy(back_from, back_to, |_| {});
    there.join().expect("no panic");
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut sees: impl FnMut(&[u8])) {
    let mut part = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut part) {
        sees(&part[..length]);
        if to.write_all(&part[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// A server on loopback that is a client of another one for each of its own clients. It runs until the program ends.
pub struct Relay {
    pub port: u16,
    /// What each client has sent.
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A request that went through a relay.
#[derive(Debug)]
pub struct Sent {
    pub method: String,
    pub path: String,
    /// Of its header `authorization`.
    pub bearer: Option<String>,
}

impl Relay {
    /// Starts a relay to this port.
    pub fn start(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let sent = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let all = sent.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { continue };
                let sees = {
                    let mut sent = all.lock().expect("no panic");
                    sent.push(Vec::new());
                    let (all, mine) = (all.clone(), sent.len() - 1);
                    move |part: &[u8]| all.lock().expect("no panic")[mine].extend_from_slice(part)
                };
                thread::spawn(move || join(client, server, sees));
            }
        });
        Self { port, sent }
    }

    /// The requests of HTTP/1.1 with a token or without, in the order of each connection.
    pub fn requests(&self) -> Vec<Sent> {
        let sent = self.sent.lock().expect("no panic");
        sent.iter().flat_map(|bytes| requests(&String::from_utf8_lossy(bytes))).collect()
    }
}

/// Requests in what a client has sent. Their bodies may be anything, but have no line that ends as the first one of a request.
fn requests(text: &str) -> Vec<Sent> {
    let ends = text.match_indices(" HTTP/1.1\r\n").map(|(at, _)| at);
    let read = |at: usize| {
        let mut words = text[..at].rsplit(' ');
        let path = words.next()?.to_owned();
        let before = words.next()?;
        let method = ["GET", "HEAD", "POST", "PATCH", "PUT"].into_iter().find(|method| before.ends_with(method))?;
        let head = text[at..].split("\r\n\r\n").next()?;
        let bearer = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization").then(|| value.strip_prefix("Bearer ").map(str::to_owned))?
        });
        Some(Sent { method: method.to_owned(), path, bearer })
    };
    ends.filter_map(read).collect()
}
