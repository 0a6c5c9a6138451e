//! Redis and Valkey.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Server, free_port, installed, missing};

/// Two programs with the same protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    Redis,
    Valkey,
}

/// A user who may do everything except run scripts: name and password.
pub const WITHOUT_SCRIPTS: &str = "plain";

impl Flavour {
    fn program(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let (found, script) = match self {
            Self::Redis => {
                let on_path = std::env::split_paths(&path).map(|folder| folder.join("redis-server"));
                (on_path.into_iter().find(|program| program.exists()), "scripts/setup/redis.sh")
            }
            Self::Valkey => {
                (Some(installed("valkey/valkey-server")).filter(|program| program.exists()), "scripts/setup/valkey.sh")
            }
        };
        if found.is_none() {
            missing(&format!("{self:?}"), script);
        }
        found
    }

    /// Starts a server, on a free port or on the given one. `None`: the server is not available here.
    pub fn start(self, port: Option<u16>, more: &[&str]) -> Option<Server> {
        Some(start(&self.program()?, port.unwrap_or_else(free_port), more))
    }

    /// The server that all tests of this program share. `None`: the server is not available here.
    pub fn shared(self) -> Option<&'static Server> {
        static SERVERS: [OnceLock<Option<Server>>; 2] = [const { OnceLock::new() }; 2];
        SERVERS[self as usize].get_or_init(|| self.start(None, &[])).as_ref()
    }
}

fn start(program: &Path, port: u16, more: &[&str]) -> Server {
    let port_text = port.to_string();
    let plain = format!(">{WITHOUT_SCRIPTS}");
    let mut args = vec!["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    args.extend(["--user", WITHOUT_SCRIPTS, "on", &plain, "~*", "&*", "+@all", "-@scripting"]);
    args.extend(more);
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    Server::start(port, program, &args, answers)
}

/// Whether a server answers on this port. A server that is still reading its files, or that wants a password, answers too.
fn answers(port: u16) -> bool {
    let ping = || {
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        server.write_all(b"PING\r\n")?;
        let mut first = [0];
        server.read_exact(&mut first)?;
        std::io::Result::Ok(first)
    };
    ping().is_ok_and(|first| first == *b"+" || first == *b"-")
}
