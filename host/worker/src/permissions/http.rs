//! The rules for HTTP requests.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::PermissionError;

/// `HOST[:PORT]`. The host is a name, `*.example.com` (all names below it, but not the name itself), an address
/// (`[::1]`), or `*`. Without a port, the rule allows 80 for http and 443 for https. `:*` allows every port. `+private`
/// at the end also allows names that lead to an address of this machine or of the networks around it. A rule for an
/// address or for `localhost` needs no `+private`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    host: Host,
    port: Port,
    private: bool,
}

/// The addresses that a request may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Only addresses on the public Internet.
    Outside,
    /// Every address.
    Anywhere,
}

/// The suffix of a rule that allows private addresses.
const PRIVATE: &str = "+private";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    /// All names below this name.
    Below(String),
    /// This name, in lower case.
    Named(String),
    V6(Ipv6Addr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Standard,
    Any,
    Is(u16),
}

impl HttpRule {
    /// Does the rule allow a request to this host? The host is written as in a URL.
    #[must_use]
    pub fn allows(&self, tls: bool, host: &str, port: u16) -> bool {
        let port_fits = match self.port {
            Port::Standard => port == if tls { 443 } else { 80 },
            Port::Any => true,
            Port::Is(only) => port == only,
        };
        port_fits && self.host.is(host)
    }

    /// The addresses that the allowed requests may reach.
    #[must_use]
    pub fn reach(&self) -> Reach {
        let says_so = match &self.host {
            Host::Any => false,
            Host::Below(parent) => parent == "localhost",
            Host::Named(name) => {
                name == "localhost" || name.ends_with(".localhost") || name.parse::<Ipv4Addr>().is_ok()
            }
            Host::V6(_) => true,
        };
        if says_so || self.private { Reach::Anywhere } else { Reach::Outside }
    }
}

impl Host {
    fn is(&self, host: &str) -> bool {
        let name = canonical(host);
        match self {
            Self::Any => true,
            Self::Below(parent) => {
                name.strip_suffix(parent).and_then(|rest| rest.strip_suffix('.')).is_some_and(|rest| !rest.is_empty())
            }
            Self::Named(named) => *named == name,
            Self::V6(address) => in_brackets(host).is_some_and(|inner| inner.parse() == Ok(*address)),
        }
    }
}

/// The name in lower case and without the dot of the root, because these make no difference.
fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn in_brackets(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

impl FromStr for HttpRule {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        parse(text).map_err(|reason| {
            PermissionError::Rule(format!(
                "{reason}; write HOST or HOST:PORT, such as example.com, *.example.com, localhost:8080, [::1]:8080 or *"
            ))
        })
    }
}

fn parse(text: &str) -> Result<HttpRule, String> {
    let (text, private) = text.strip_suffix(PRIVATE).map_or((text, false), |text| (text, true));
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        return Err(format!("it has a scheme ({scheme}://), but the host is what is allowed: {host}"));
    }
    if let Some((host, _)) = text.split_once(['/', '?', '#']) {
        return Err(format!("it has a path, but the whole host is what is allowed: {host}"));
    }
    if text.contains('@') {
        return Err("it has a user or a password, which belong into the request".to_owned());
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (v6(address)?, Port::Standard),
        Some((address, rest)) => {
            let port = rest.strip_prefix(':').ok_or("after the ] comes nothing or a port")?;
            (v6(address)?, self::port(port)?)
        }
        None if text.matches(':').count() > 1 => {
            return Err(format!("an IPv6 address stands in brackets: [{text}]"));
        }
        None => match text.split_once(':') {
            Some((host, port)) => (named(host)?, self::port(port)?),
            None => (named(text)?, Port::Standard),
        },
    };
    Ok(HttpRule { host, port, private })
}

fn v6(address: &str) -> Result<Host, String> {
    address.parse().map(Host::V6).map_err(|_| format!("[{address}] is no IPv6 address"))
}

fn port(text: &str) -> Result<Port, String> {
    if text == "*" {
        return Ok(Port::Any);
    }
    match text.parse() {
        Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(Port::Is(port)),
        _ => Err(format!("{text:?} is no port: 1 to 65535, or * for all")),
    }
}

fn named(host: &str) -> Result<Host, String> {
    if host == "*" {
        return Ok(Host::Any);
    }
    if let Some(parent) = host.strip_prefix("*.") {
        return Ok(Host::Below(name(parent)?));
    }
    name(host).map(Host::Named)
}

fn name(host: &str) -> Result<String, String> {
    if host.is_empty() {
        return Err("it has no host".to_owned());
    }
    if host.contains('*') {
        return Err(format!("{host:?}: a * stands alone or for all before the first dot"));
    }
    if !host.is_ascii() {
        return Err(format!("{host:?}: a name that is not ASCII is written as it is in DNS (xn--…)"));
    }
    let name = canonical(host);
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !name.split('.').all(label) {
        return Err(format!("{host:?} is no name of a host"));
    }
    // No request is ever sent to 127.1 and similar hosts under these names.
    if name.split('.').all(|part| part.bytes().all(|b| b.is_ascii_digit())) && name.parse::<Ipv4Addr>().is_err() {
        return Err(format!("{host:?} is no IPv4 address"));
    }
    Ok(name)
}

impl fmt::Display for HttpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => write!(f, "*"),
            Host::Below(parent) => write!(f, "*.{parent}"),
            Host::Named(name) => write!(f, "{name}"),
            Host::V6(address) => write!(f, "[{address}]"),
        }?;
        match self.port {
            Port::Standard => Ok(()),
            Port::Any => write!(f, ":*"),
            Port::Is(port) => write!(f, ":{port}"),
        }?;
        if self.private { write!(f, "{PRIVATE}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> HttpRule {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_alone_allows_the_standard_ports() {
        let rule = rule("Example.com");
        assert!(rule.allows(true, "example.COM", 443) && rule.allows(false, "example.com.", 80));
        assert!(!rule.allows(false, "example.com", 443) && !rule.allows(true, "example.com", 80));
        assert!(!rule.allows(true, "www.example.com", 443) && !rule.allows(true, "example.com.evil.org", 443));
        assert!(!rule.allows(true, "notexample.com", 443));
    }

    #[test]
    fn a_port_is_allowed_for_both_schemes() {
        let rule = rule("localhost:8080");
        assert!(rule.allows(true, "localhost", 8080) && rule.allows(false, "localhost", 8080));
        assert!(!rule.allows(false, "localhost", 80));
        assert!(super::super::HttpRule::from_str("localhost:*").unwrap().allows(false, "localhost", 1));
    }

    #[test]
    fn a_star_allows_all_subdomains_or_every_host() {
        let below = rule("*.example.com");
        assert!(below.allows(true, "a.example.com", 443) && below.allows(true, "a.b.example.com", 443));
        for other in ["example.com", ".example.com", "aexample.com", "example.com.org"] {
            assert!(!below.allows(true, other, 443), "{other}");
        }
        assert!(rule("*").allows(true, "any.org", 443) && rule("*").allows(true, "[::1]", 443));
        assert!(!rule("*").allows(true, "any.org", 8443) && rule("*:8443").allows(true, "any.org", 8443));
    }

    #[test]
    fn addresses_are_compared_as_addresses() {
        let rule = rule("[0:0::1]:8080");
        assert!(
            rule.allows(false, "[::1]", 8080) && !rule.allows(false, "::1", 8080) && !rule.allows(false, "[::2]", 8080)
        );
        assert_eq!(rule.to_string(), "[::1]:8080");
    }

    #[test]
    fn rules_round_trip_as_text() {
        let texts = ["example.com", "*.example.com:8443", "*", "*:*", "127.0.0.1:80", "[::1]", "[fe80::1]:*"];
        for text in texts.into_iter().chain(["api+private", "api:8080+private", "*:*+private"]) {
            assert_eq!(rule(text).to_string(), text);
        }
    }

    #[test]
    fn addresses_and_localhost_may_be_private_and_names_need_the_suffix() {
        for text in
            ["127.0.0.1", "10.0.0.1:*", "[fd00::1]", "localhost:80", "a.localhost", "api:80+private", "*+private"]
        {
            assert_eq!(rule(text).reach(), Reach::Anywhere, "{text}");
        }
        for text in ["api:80", "*", "*.example.com", "localhost.example.com"] {
            assert_eq!(rule(text).reach(), Reach::Outside, "{text}");
        }
    }

    #[test]
    fn an_invalid_host_is_refused_with_a_correction() {
        for (text, words) in [
            ("", "no host"),
            ("https://me:pw@example.com/x", "allowed: example.com;"),
            ("example.com/api", "allowed: example.com;"),
            ("me@example.com", "user or a password"),
            ("example.com:http", "\"http\" is no port"),
            ("example.com:0", "no port"),
            ("example.com:+80", "no port"),
            ("example.com:70000", "no port"),
            (":80", "no host"),
            ("::1", "brackets: [::1]"),
            ("[::1]x", "after the ]"),
            ("[localhost]:80", "no IPv6"),
            ("a.*.com", "stands alone"),
            ("exa mple.com", "no name"),
            ("bücher.de", "xn--"),
            ("127.1", "no IPv4"),
        ] {
            let error = text.parse::<HttpRule>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
            assert!(error.contains("write HOST") && !error.contains("pw"), "{error}");
        }
    }
}
