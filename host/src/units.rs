//! Times and sizes as users write and read them.

use std::str::FromStr;
use std::time::Duration;

use brrr_protocol::model::Millis;
use brrr_protocol::options::LONGEST;
use brrr_protocol::records::MOST_KEPT;
use bytesize::ByteSize;
use jiff::Timestamp;

/// More than the cores of any machine that this program is meant for. A larger number is a typing error.
const MOST_PROCESSES: u32 = 512;

/// A number of processes, as users write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processes(u32);

impl FromStr for Processes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "auto" | "cores") {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            return Ok(Self(u32::try_from(cores).unwrap_or(MOST_PROCESSES).min(MOST_PROCESSES)));
        }
        match text.parse() {
            Ok(count) if (1..=MOST_PROCESSES).contains(&count) => Ok(Self(count)),
            _ => Err(format!("1 to {MOST_PROCESSES}, or `auto`: one for each core")),
        }
    }
}

impl Processes {
    pub fn count(self) -> u32 {
        self.0
    }

    /// The share of each process, of what a single process would get.
    pub fn share(self, of: u32) -> u32 {
        of.div_ceil(self.0)
    }
}

/// Parses a time: `5m`, `30s`, `250ms`, `1h 30m`.
///
/// # Errors
/// What is wrong, and how to write a time.
pub fn duration(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 30s, 5m or 1h"))?;
    if time > LONGEST { Err("longer than 100 years".to_owned()) } else { Ok(time) }
}

/// The interval of an expensive operation: `10m`. `None`, written `off`: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(pub Option<Duration>);

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let interval = duration(text).map_err(|error| format!("{error}, or `off`"))?;
        if interval < Duration::from_secs(1) {
            Err("1s or more, or `off`".to_owned())
        } else {
            Ok(Self(Some(interval)))
        }
    }
}

/// How many bytes are kept of what a call logs: `64KiB`, `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLogs(pub u64);

impl FromStr for KeptLogs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = if text == "0" { 0 } else { size(text).map_err(|error| format!("{error}, or 0"))? };
        match bytes {
            0 | 1_024..=MOST_KEPT => Ok(Self(bytes)),
            _ => Err(format!("0, or 1KiB to {}KiB", MOST_KEPT >> 10)),
        }
    }
}

/// Parses a size: `256MiB`, `1GB`, `65536`.
///
/// # Errors
/// What is wrong, and how to write a size.
pub fn size(text: &str) -> Result<u64, String> {
    let size = text.parse::<ByteSize>().map_err(|_| "not a size; write it as 16MiB, 1GiB or 65536".to_owned())?;
    if size.as_u64() == 0 { Err("must be more than 0".to_owned()) } else { Ok(size.as_u64()) }
}

/// Parses a moment in RFC 3339: `2030-01-31T18:00:00Z`, `2030-01-31T18:00:00+01:00`.
///
/// # Errors
/// What is wrong, and how to write a moment.
pub fn moment(text: &str) -> Result<Millis, String> {
    let moment = text.parse::<Timestamp>().map_err(|error| format!("{error}; write it as 2030-01-31T18:00:00Z"))?;
    u64::try_from(moment.as_millisecond()).map_err(|_| "that is before 1970".to_owned())
}

/// A time that a user gave: a moment, or how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// A moment, in milliseconds since the Unix epoch.
    At(Millis),
    /// So long before now.
    Ago(Duration),
}

impl Time {
    /// The moment, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn at(self, now: Millis) -> Millis {
        match self {
            Self::At(moment) => moment,
            Self::Ago(span) => now.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// Parses a moment in RFC 3339, or how long ago it was: `2030-01-31T18:00:00Z`, `1h`.
///
/// # Errors
/// What is wrong, and how to write a time.
pub fn time(text: &str) -> Result<Time, String> {
    if let Ok(span) = humantime::parse_duration(text) {
        return Ok(Time::Ago(span));
    }
    let wrong = |_| "not a time; write it as 2030-01-31T18:00:00Z, or how long ago it was: 30m, 1h, 7d".to_owned();
    moment(text).map(Time::At).map_err(wrong)
}

/// A span of time as tables show it: its two largest units.
#[must_use]
pub fn brief(span: Millis) -> String {
    match span {
        0..1000 => format!("{span}ms"),
        1000..10_000 => format!("{}.{}s", span / 1000, span % 1000 / 100),
        _ => {
            let whole = humantime::format_duration(Duration::from_secs(span / 1000)).to_string();
            whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_or_a_span_before_now() {
        assert_eq!(time("1h").map(|time| time.at(3_600_001)), Ok(1));
        assert_eq!(time("1h").map(|time| time.at(1)), Ok(0));
        assert_eq!(time("1970-01-01T00:00:02Z").map(|time| time.at(9)), Ok(2_000));
        for other in ["", "yesterday", "1", "-1h", "1969-01-01T00:00:00Z"] {
            assert!(time(other).is_err(), "{other}");
        }
    }

    #[test]
    fn sizes_and_durations_are_read_as_people_write_them() {
        assert_eq!(size("256MiB"), Ok(256 << 20));
        assert_eq!(size("65536"), Ok(65536));
        assert!(size("0").is_err() && size("many").is_err());
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert!(duration("5").unwrap_err().contains("30s"));
    }

    #[test]
    fn points_in_time_have_a_time_zone() {
        assert_eq!(moment("1970-01-01T00:00:01.5Z"), Ok(1500));
        assert_eq!(moment("1970-01-01T02:00:00+02:00"), Ok(0));
        for wrong in ["tomorrow", "1970-01-01", "1970-01-01T00:00:00", "1969-12-31T00:00:00Z"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_shown_briefly() {
        let shown = [0, 999, 1000, 9_950, 10_000, 61_000, 3_725_000].map(brief);
        assert_eq!(shown, ["0ms", "999ms", "1.0s", "9.9s", "10s", "1m 1s", "1h 2m"]);
    }
}
