//! A proxy between a process and a server that breaks their connections.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A proxy that runs until the program ends.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Both ends of each connection, also of connections that are closed.
    open: Mutex<Vec<TcpStream>>,
    /// The next answer is dropped and its connection closed. The server has already done what it answers.
    lose_answer: AtomicBool,
    cut: AtomicU64,
}

impl Proxy {
    pub fn start(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // The server is not reachable, so the client's connection is closed.
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { continue };
                shared.connect(&client, &server);
            }
        });
        Self { port, state }
    }

    /// Closes all connections.
    pub fn cut(&self) {
        self.state.cut();
    }

    /// Waits until an answer arrives on any connection, and closes all connections before the answer is passed on.
    pub fn lose_answer(&self) {
        self.state.lose_answer.store(true, Ordering::Relaxed);
    }

    /// Passes everything on from now on.
    pub fn calm(&self) {
        self.state.lose_answer.store(false, Ordering::Relaxed);
    }

    /// How many connections were closed.
    pub fn count(&self) -> u64 {
        self.state.cut.load(Ordering::Relaxed)
    }
}

impl State {
    fn cut(&self) {
        let open = std::mem::take(&mut *self.open.lock().expect("no panic"));
        // Each connection has two ends.
        let broken = open.iter().filter(|stream| stream.shutdown(Shutdown::Both).is_ok()).count();
        self.cut.fetch_add(broken.div_ceil(2) as u64, Ordering::Relaxed);
    }

    fn connect(self: &Arc<Self>, client: &TcpStream, server: &TcpStream) {
        let clone = |stream: &TcpStream| {
            // Messages are small, and the other side waits for each.
            stream.set_nodelay(true).ok();
            stream.try_clone().expect("a handle")
        };
        let ends = [(clone(client), clone(server)), (clone(server), clone(client))];
        self.open.lock().expect("no panic").extend([clone(client), clone(server)]);
        for (answers, (from, to)) in ends.into_iter().enumerate() {
            let state = self.clone();
            std::thread::spawn(move || state.pass(from, to, answers == 1));
        }
    }

    /// Passes bytes on until one side closes. Then closes both sides.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, answers: bool) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if answers && self.lose_answer.swap(false, Ordering::Relaxed) {
                self.cut();
            }
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
        self.open.lock().expect("no panic").retain(|stream| stream.peer_addr().is_ok());
    }
}
