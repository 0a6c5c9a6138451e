//! A proxy between a client and a server with an AWS protocol. It counts requests by operation, and loses answers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The requests that have passed, and the answer that is to be lost.
#[derive(Default)]
struct State {
    /// The number of requests by operation, for example `PutItem`.
    counts: BTreeMap<String, u64>,
    /// The items that those requests named, each by its partition key.
    items: u64,
    /// The answer to the next request of this operation does not arrive.
    lose: Option<String>,
}

/// A proxy that runs until the program ends.
pub struct Proxy {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub fn start(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = shared.clone();
                // An error of the connection ends its thread. This is expected.
                std::thread::spawn(move || forward(client, server, &state).ok());
            }
        });
        Self { port, state }
    }

    /// Loses the answer to the next request of this operation: the server performs the request, and then the connection breaks.
    pub fn lose_next(&self, operation: &str) {
        self.state.lock().unwrap().lose = Some(operation.to_owned());
    }

    /// The items that requests have named since the last call of this function.
    pub fn take_items(&self) -> u64 {
        std::mem::take(&mut self.state.lock().unwrap().items)
    }

    /// The requests since the last call of this function.
    pub fn take_counts(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.state.lock().unwrap().counts)
    }
}

fn forward(client: TcpStream, server: u16, state: &Mutex<State>) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (mut to_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let (mut from_client, mut from_server) = (BufReader::new(client), BufReader::new(server));
    while let Some(request) = message(&mut from_client)? {
        let operation = operation(&request);
        {
            let mut state = state.lock().unwrap();
            *state.counts.entry(operation.clone()).or_default() += 1;
            state.items += request.windows(5).filter(|bytes| bytes == b"\"pk\":").count() as u64;
        }
        to_server.write_all(&request)?;
        let Some(answer) = message(&mut from_server)? else { break };
        let lost = state.lock().unwrap().lose.take_if(|lose| *lose == operation).is_some();
        if lost {
            break;
        }
        to_client.write_all(&answer)?;
    }
    Ok(())
}

/// Reads one HTTP message. `None`: the other side has closed the connection.
fn message(from: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let (mut bytes, mut length, mut chunked) = (Vec::new(), 0, false);
    loop {
        let begin = bytes.len();
        if from.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&bytes[begin..]).trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        chunked |= line.starts_with("transfer-encoding:") && line.ends_with("chunked");
    }
    loop {
        let begin = bytes.len();
        if chunked {
            from.read_until(b'\n', &mut bytes)?;
            length = u64::from_str_radix(String::from_utf8_lossy(&bytes[begin..]).trim(), 16).unwrap_or(0) + 2;
        }
        from.take(length).read_to_end(&mut bytes)?;
        if !chunked || length <= 2 {
            return Ok(Some(bytes));
        }
    }
}

/// `X-Amz-Target: DynamoDB_20120810.PutItem`
fn operation(request: &[u8]) -> String {
    let head = String::from_utf8_lossy(&request[..request.len().min(4_096)]).to_ascii_lowercase();
    let at = head.find("x-amz-target:").map(|at| at + "x-amz-target:".len());
    let original = String::from_utf8_lossy(&request[..request.len().min(4_096)]).into_owned();
    let line = at.and_then(|at| original[at..].lines().next()).unwrap_or_default();
    line.rsplit('.').next().unwrap_or_default().trim().to_owned()
}
