//! Values from the command line: backend addresses, permissions of guests, times and sizes.

use crate::backends::url::{Location, without_secrets};
use crate::permissions::{DirRule, EnvRule, HttpRule, looks_secret};
use crate::properties::{shows_what_it_reads, text};
use crate::units;

/// A password that no message may contain. This does not cover a password after the host, because nothing marks it as one.
const SECRET: &str = "hunter2";

pub fn backend_url(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let _ = Location::parse(text);
    // The same URL with a password in its usual place. SQLite is left out, because every character may be part of a file's path.
    let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| *scheme != "sqlite") else { return };
    if scheme.contains([':', '@']) || rest.contains(SECRET) || scheme.contains(SECRET) {
        return;
    }
    let url = format!("{scheme}://user:{SECRET}@{rest}");
    assert!(!without_secrets(&url).contains(SECRET), "{url}");
    if let Err(error) = Location::parse(&url) {
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
}

pub fn permissions(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let (first, second) = text.split_once('\n').unwrap_or((text, "example.com"));
    match first.parse::<HttpRule>() {
        Ok(rule) => {
            shows_what_it_reads(&rule);
            let allowed = rule.allows(true, second, 443);
            assert_eq!(allowed, rule.allows(true, &second.to_ascii_uppercase(), 443), "names have no case");
            let any = first.starts_with('*');
            assert!(!allowed || any || same_host(first, second), "{rule} allows {second}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(rule) = first.parse::<DirRule>() {
        assert!(rule.guest.starts_with('/') && !rule.guest.split('/').any(|part| part == ".."), "{}", rule.guest);
        shows_what_it_reads(&rule);
    }
    if let Ok(rule) = first.parse::<EnvRule>() {
        let _ = looks_secret(rule.key());
        let secret = format!("{}={SECRET}", rule.key()).parse::<EnvRule>().expect("it has that key");
        assert_eq!(format!("{secret} {secret:?}"), format!("{0}=… EnvRule({0}=…)", rule.key()));
    }
}

/// Whether `host` is the host of the rule, in any spelling.
fn same_host(rule: &str, host: &str) -> bool {
    let letters = |text: &str| text.to_ascii_lowercase();
    let of_rule = match rule.strip_prefix('[') {
        Some(rest) => return host.starts_with('[') && rest.contains(']'),
        None => rule.split(':').next().unwrap_or_default(),
    };
    letters(of_rule.trim_end_matches('.')) == letters(host.trim_end_matches('.'))
}

pub fn units(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(time) = units::duration(text) {
        let millis = u64::try_from(time.as_millis()).expect("a hundred years are few milliseconds");
        assert!(!units::brief(millis).is_empty());
    }
    if let Ok(size) = units::size(text) {
        assert!(size > 0);
    }
    let _ = units::moment(text);
    if let Ok(millis) = text.trim().parse::<u64>() {
        assert!(!units::brief(millis).is_empty());
    }
}
