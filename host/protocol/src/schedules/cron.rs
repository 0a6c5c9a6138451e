//! Cron patterns in a time zone: when the next tick is.
//!
//! A pattern has five fields (minute, hour, day of month, month, day of week), or six with the second before them, or it is a
//! nickname such as `@daily`. The crate `croner` reads patterns and finds the times of day that they name. What happens when a
//! clock is moved for daylight saving time is decided here:
//!
//! - **A pattern of certain hours** (`30 2 * * *`, `0 2,14 * * *`, `*/10 2 * * *`, `0 */6 * * *`) names times of day. If the
//!   clock skips such a time, its tick is when the clock goes on. Several skipped times are one tick. If the clock repeats such
//!   a time, its tick is the first of the two moments.
//! - **A pattern of every hour** (`*/10 * * * *`, `15 * * * *`, `@hourly`) runs in real time. A skipped hour has no ticks, because
//!   no real time passes in it, and a repeated hour has its ticks twice. A clock that skips less than an hour (Lord Howe Island
//!   skips half an hour) skips no tick: it comes when the clock goes on.
//!
//! Vixie cron makes the same difference, but takes each pattern with a `*` in its minutes or hours for one of the second kind. So
//! it skips `*/10 2 * * *` for a day, and runs `0 */6 * * *` twice.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use crate::model::Millis;

/// The most bytes of a pattern, and of the name of a time zone. Patterns that people write have less than fifty.
const LONGEST: usize = 200;

/// A cron pattern in a time zone.
#[derive(Clone, Debug)]
pub struct Pattern {
    cron: Cron,
    zone: TimeZone,
    /// The pattern matches in every hour of a day. So it runs in real time.
    is_of_every_hour: bool,
}

impl Pattern {
    /// Reads a pattern and the name of a time zone of the IANA database, for example `0 3 * * *` and `Europe/Berlin`. The database is
    /// part of this program, so it does not depend on the machine.
    ///
    /// # Errors
    /// What is wrong, and how to write it.
    pub fn parse(cron: &str, tz: &str) -> Result<Self, String> {
        let zone = time_zone(tz)?;
        if cron.len() > LONGEST {
            return Err(format!("the cron pattern has {} bytes; at most {LONGEST} are allowed", cron.len()));
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let shown = cron.escape_debug();
        let fields = cron.split_whitespace().count();
        let is_nickname = cron.trim_start().starts_with('@');
        if !is_nickname && !(5..=6).contains(&fields) {
            return Err(format!("the cron pattern \"{shown}\" has {fields} fields; {HOW}"));
        }
        let cron = parser.parse(cron).map_err(|error| {
            if is_nickname {
                return format!("there is no \"{shown}\"; there are @yearly, @monthly, @weekly, @daily and @hourly");
            }
            let why = wrong_field(&parser, cron).unwrap_or_else(|| error.to_string());
            format!("the cron pattern \"{shown}\" can't be read: {why}; {HOW}")
        })?;
        let is_of_every_hour = cron.pattern.hours.values().len() == 24;
        Ok(Self { cron, zone, is_of_every_hour })
    }

    /// The first tick after this moment. `None`: there is none in the next three thousand years (February 30).
    #[must_use]
    pub fn next(&self, after: Millis) -> Option<Millis> {
        let after = Timestamp::from_millisecond(i64::try_from(after).ok()?).ok()?;
        let tick = self.next_of(after)?;
        u64::try_from(tick.as_millisecond()).ok()
    }

    /// A moment as the clocks of the time zone show it: `Mon 2026-03-30 02:30:00 +02:00`.
    #[must_use]
    pub fn on_the_clock(&self, at: Millis) -> String {
        let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        at.map_or_else(String::new, |at| {
            at.to_zoned(self.zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string()
        })
    }

    /// Goes from one change of the clock to the next, until the next matching time of day comes before the next change.
    fn next_of(&self, after: Timestamp) -> Option<Timestamp> {
        let mut offset = self.zone.to_offset(after);
        let now = offset.to_datetime(after);
        // The part of a second is left out, because the search goes on after this second.
        let mut found = self.matching(now, false)?;
        if !self.is_of_every_hour
            && let Some(repeated_until) = self.repeated_until(after, offset)
            && found < repeated_until
        {
            found = self.matching(repeated_until, true)?;
        }
        for change in self.zone.following(after) {
            let (at, new) = (change.timestamp(), change.offset());
            let tick = instant(found, offset)?;
            if tick < at {
                return Some(tick);
            }
            let (stops, goes_on) = (offset.to_datetime(at), new.to_datetime(at));
            // Times of day from `stops` to `goes_on` are skipped.
            if found < goes_on && (!self.is_of_every_hour || skips_less_than_hours(offset, new)) {
                return Some(at);
            }
            // Those from `goes_on` to `stops` are repeated.
            if found < goes_on || (goes_on < stops && self.is_of_every_hour) {
                found = self.matching(goes_on, true)?;
            }
            offset = new;
        }
        // The clock is never changed again.
        instant(found, offset)
    }

    /// At this moment the clock repeats times of day, until this time of day. `None`: it does not.
    fn repeated_until(&self, at: Timestamp, offset: Offset) -> Option<DateTime> {
        // `preceding` does not return a change at the moment itself.
        let change = self.zone.preceding(at.checked_add(1.nanosecond()).ok()?).next()?.timestamp();
        let before = self.zone.to_offset(change.checked_sub(1.nanosecond()).ok()?);
        (before > offset).then(|| before.to_datetime(change))
    }

    /// The next time of day that the pattern names.
    fn matching(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        self.cron.find_next_occurrence(&from, inclusive).ok()
    }
}

/// The fields, and what may be in them.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31, or L for the last one"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of week", "0 to 7, or SUN to SAT; 5#2 is the second Friday"),
];

/// The first field that can't be read, and what may be in it.
fn wrong_field(parser: &CronParser, cron: &str) -> Option<String> {
    let given: Vec<&str> = cron.split_whitespace().collect();
    let known = &FIELDS[FIELDS.len().checked_sub(given.len())?..];
    let wrong = |position: &usize| {
        let alone = |n: usize| if n == *position { given[n] } else { "*" };
        parser.parse(&(0..given.len()).map(alone).collect::<Vec<_>>().join(" ")).is_err()
    };
    let position = (0..given.len()).find(wrong)?;
    let ((name, range), text) = (known[position], given[position].escape_debug());
    Some(format!(
        "its {name} is \"{text}\", and can be {range}, *, and lists (1,2), ranges (1-5) and steps (*/5) of these"
    ))
}

const HOW: &str = "write minute, hour, day of month, month and day of week, as in \"30 4 * * MON-FRI\", with the second before \
                   them if you like, or @daily";

fn time_zone(name: &str) -> Result<TimeZone, String> {
    let how = "write it as in the IANA database, for example Europe/Berlin, or UTC";
    if name.len() > LONGEST {
        return Err(format!("the name of the time zone has {} bytes; {how}", name.len()));
    }
    database().get(name).map_err(|_| format!("there is no time zone \"{}\"; {how}", name.escape_debug()))
}

/// The time zones in this program.
fn database() -> &'static TimeZoneDatabase {
    static DATABASE: std::sync::LazyLock<TimeZoneDatabase> = std::sync::LazyLock::new(TimeZoneDatabase::bundled);
    &DATABASE
}

fn instant(time: DateTime, offset: Offset) -> Option<Timestamp> {
    offset.to_timestamp(time).ok()
}

fn skips_less_than_hours(before: Offset, after: Offset) -> bool {
    const HOUR: i64 = 3600;
    SignedDuration::from_secs(i64::from(after.seconds()) - i64::from(before.seconds())).as_secs() % HOUR != 0
}

#[cfg(test)]
mod tests;
