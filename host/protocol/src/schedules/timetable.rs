//! The patterns of schedules with their next ticks, remembered from one look to the next.

use std::collections::HashMap;

use super::Pattern;
use crate::model::Millis;
use crate::records::ScheduleSpec;

/// The most patterns that are remembered. When there are more, all are forgotten and read again.
const MOST: usize = 10_000;

/// Remembers patterns with their next ticks. A topic may have a thousand schedules, of which one is due each second.
#[derive(Default)]
pub struct Timetable {
    known: HashMap<String, Known>,
}

struct Known {
    /// `None`: the pattern can't be read.
    pattern: Option<Pattern>,
    /// The latest question, and its answer.
    after: Millis,
    next: Option<Millis>,
}

impl Timetable {
    /// The first tick after this moment. `None`: there is none, or the pattern can't be read.
    pub fn next(&mut self, spec: &ScheduleSpec, after: Millis) -> Option<Millis> {
        // No name of a time zone contains a line break.
        let key = format!("{}\n{}", spec.tz, spec.cron);
        if self.known.len() >= MOST && !self.known.contains_key(&key) {
            self.known.clear();
        }
        let known = self.known.entry(key).or_insert_with(|| {
            let pattern = Pattern::parse(&spec.cron, &spec.tz).ok();
            Known { after: 0, next: pattern.as_ref().and_then(|pattern| pattern.next(0)), pattern }
        });
        if known.after != after {
            known.next = known.pattern.as_ref().and_then(|pattern| pattern.next(after));
            known.after = after;
        }
        known.next
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_pattern_is_read_once_and_asked_again() {
        let mut timetable = Timetable::default();
        let spec = |cron: &str| ScheduleSpec::new(cron, "t", Bytes::new(), "c".into());
        for _ in 0..2 {
            assert_eq!(timetable.next(&spec("* * * * *"), 0), Some(60_000));
            assert_eq!(timetable.next(&spec("* * * * *"), 60_000), Some(120_000));
            assert_eq!(timetable.next(&spec("never"), 0), None);
        }
        assert_eq!(timetable.known.len(), 2);
        for n in 0..MOST {
            timetable.next(&ScheduleSpec { tz: n.to_string(), ..spec("* * * * *") }, 0);
        }
        assert!(timetable.known.len() <= MOST);
    }
}
