//! The address to listen on. By default it is reachable from this machine only.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::TcpListener;

/// An address to listen on: `8080` and `:8080` mean this machine only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port = port.parse().map_err(|_| "not an address; write it as 8080, :8080 or 127.0.0.1:8080".to_owned())?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let host = if host.is_empty() { Ipv4Addr::LOCALHOST.to_string() } else { host.to_owned() };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address}: {reason}")]
pub struct CannotListen {
    address: Address,
    reason: String,
    #[source]
    source: io::Error,
}

impl Address {
    /// The same host, `n` ports further. A port that the system chooses stays so.
    #[must_use]
    pub fn plus(&self, n: u16) -> Self {
        let port = if self.port == 0 { 0 } else { self.port.saturating_add(n) };
        Self { host: self.host.clone(), port }
    }

    /// Listens on the address. Warns if other machines can connect: without a token they can run any task, and with a
    /// token they may read it on its way.
    ///
    /// # Errors
    /// When the address is in use, or does not belong to this machine.
    pub async fn listen(&self, has_token: bool) -> Result<TcpListener, CannotListen> {
        let listener = self.listen_for_all().await?;
        if let Ok(address) = listener.local_addr()
            && !is_loopback(address)
        {
            if has_token {
                tracing::warn!(
                    "http://{address} is open to other machines and not encrypted: put it behind a proxy that is, or into a \
                     network where nobody listens"
                );
            } else {
                tracing::warn!(
                    "http://{address} is open to other machines: whoever can reach it may run any task; a token keeps others \
                     out (--http-token-file)"
                );
            }
        }
        Ok(listener)
    }

    /// Listens on the address, for what everybody may read who can reach it.
    ///
    /// # Errors
    /// As `listen`.
    pub async fn listen_for_all(&self) -> Result<TcpListener, CannotListen> {
        TcpListener::bind((self.host.as_str(), self.port)).await.map_err(|source| CannotListen {
            address: self.clone(),
            reason: match source.kind() {
                io::ErrorKind::AddrInUse => "another program listens there; choose another port".to_owned(),
                io::ErrorKind::PermissionDenied => {
                    "the system doesn't allow it; choose a port of 1024 or higher".to_owned()
                }
                _ => source.to_string(),
            },
            source,
        })
    }
}

pub(super) fn is_loopback(address: SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_means_this_machine() {
        let shown = |text: &str| text.parse::<Address>().map(|a| a.to_string());
        assert_eq!(shown("8080").unwrap(), "127.0.0.1:8080");
        assert_eq!(shown(":8080").unwrap(), "127.0.0.1:8080");
        assert_eq!(shown("0.0.0.0:1").unwrap(), "0.0.0.0:1");
        assert_eq!(shown("[::1]:80").unwrap(), "[::1]:80");
        assert_eq!(shown("localhost:80").unwrap(), "localhost:80");
        assert!(shown("localhost").unwrap_err().contains(":8080"));
        assert!(shown("1:99999").is_err());
    }
}
