use super::*;

/// The ticks after a moment, in UTC and as the clocks of the zone show them: `HH:MM` with the offset, or the whole time.
fn ticks(cron: &str, tz: &str, after: &str, count: usize) -> Vec<String> {
    let pattern = Pattern::parse(cron, tz).unwrap();
    let after: Timestamp = after.parse().unwrap();
    let mut at = after.as_millisecond() as Millis;
    let mut found = Vec::new();
    for _ in 0..count {
        at = pattern.next(at).unwrap();
        let time = Timestamp::from_millisecond(at as i64).unwrap().to_zoned(pattern.zone.clone());
        found.push(time.strftime("%d %H:%M%:z").to_string());
    }
    found
}

#[test]
fn a_pattern_has_five_or_six_fields_or_a_name() {
    let utc = |cron: &str| ticks(cron, "UTC", "2026-01-30T23:59:58Z", 2);
    assert_eq!(utc("0 3 * * *"), ["31 03:00+00:00", "01 03:00+00:00"]);
    assert_eq!(utc("@daily"), ["31 00:00+00:00", "01 00:00+00:00"]);
    assert_eq!(utc("30 4 * * mon-fri"), ["02 04:30+00:00", "03 04:30+00:00"]);
    assert_eq!(utc("0 0 l * *"), ["31 00:00+00:00", "28 00:00+00:00"]);
    let pattern = Pattern::parse("* * * * * *", "UTC").unwrap();
    assert_eq!((pattern.next(0), pattern.next(999), pattern.next(1000)), (Some(1000), Some(1000), Some(2000)));
    assert_eq!(Pattern::parse("*/15 * * * * *", "UTC").unwrap().next(14_999), Some(15_000));
}

#[test]
fn errors_say_what_is_wrong_and_how_to_write_it() {
    for (cron, tz, words) in [
        ("", "UTC", ["has 0 fields", "@daily"]),
        ("* * * *", "UTC", ["has 4 fields", "day of week"]),
        ("* * * * * * 2030", "UTC", ["has 7 fields", "MON-FRI"]),
        ("61 * * * *", "UTC", ["its minute is \"61\"", "0 to 59"]),
        ("* 3 * * * x", "UTC", ["its day of week is \"x\"", "SUN to SAT"]),
        ("* * * * 8", "UTC", ["its day of week is \"8\"", "0 to 7"]),
        ("60 * * * * *", "UTC", ["its second is \"60\"", "write minute"]),
        ("0/10 * * * *", "UTC", ["its minute is \"0/10\"", "(*/5)"]),
        ("@reboot", "UTC", ["@reboot", "@hourly"]),
        ("* * * * *", "Berlin", ["no time zone \"Berlin\"", "Europe/Berlin"]),
        ("* * * * *", "", ["no time zone", "Europe/Berlin"]),
    ] {
        let error = Pattern::parse(cron, tz).unwrap_err();
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error:?}");
        }
        assert!(!error.contains('\n'), "{error}");
    }
    assert!(Pattern::parse(&"*".repeat(300), "UTC").is_err() && Pattern::parse("@daily", &"x".repeat(300)).is_err());
}

#[test]
fn a_pattern_without_a_tick_has_no_next() {
    assert_eq!(Pattern::parse("0 0 30 2 *", "Europe/Berlin").unwrap().next(0), None);
    let leap = ticks("0 0 29 2 *", "Europe/Berlin", "2026-03-01T00:00:00Z", 2);
    assert_eq!(leap, ["29 00:00+01:00", "29 00:00+01:00"]);
}

/// On 2026-03-29 at 02:00 the clock goes on at 03:00.
#[test]
fn what_berlin_skips_runs_once() {
    let berlin = |cron: &str, count| ticks(cron, "Europe/Berlin", "2026-03-28T23:30:00Z", count);
    assert_eq!(berlin("30 2 * * *", 2), ["29 03:00+02:00", "30 02:30+02:00"]);
    assert_eq!(berlin("0 2,14 * * *", 2), ["29 03:00+02:00", "29 14:00+02:00"]);
    assert_eq!(berlin("*/10 2 * * *", 3), ["29 03:00+02:00", "30 02:00+02:00", "30 02:10+02:00"]);
    assert_eq!(berlin("0 2,3 * * *", 2), ["29 03:00+02:00", "30 02:00+02:00"]);
    assert_eq!(berlin("0 */2 * * *", 3), ["29 03:00+02:00", "29 04:00+02:00", "29 06:00+02:00"]);
    // In real time: every twenty minutes, every hour.
    assert_eq!(
        berlin("*/20 * * * *", 5),
        ["29 00:40+01:00", "29 01:00+01:00", "29 01:20+01:00", "29 01:40+01:00", "29 03:00+02:00"]
    );
    assert_eq!(berlin("30 * * * *", 3), ["29 01:30+01:00", "29 03:30+02:00", "29 04:30+02:00"]);
    // On the way from a moment inside of nothing: the first second after the gap.
    assert_eq!(ticks("0 3 * * *", "Europe/Berlin", "2026-03-29T00:59:59Z", 1), ["29 03:00+02:00"]);
    assert_eq!(ticks("30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", 1), ["30 02:30+02:00"]);
}

/// On 2026-10-25 at 03:00 the clock goes back to 02:00.
#[test]
fn what_berlin_repeats_runs_once() {
    let berlin = |cron: &str, count| ticks(cron, "Europe/Berlin", "2026-10-24T23:30:00Z", count);
    assert_eq!(berlin("30 2 * * *", 2), ["25 02:30+02:00", "26 02:30+01:00"]);
    assert_eq!(berlin("*/30 2 * * *", 3), ["25 02:00+02:00", "25 02:30+02:00", "26 02:00+01:00"]);
    assert_eq!(berlin("0 */2 * * *", 2), ["25 02:00+02:00", "25 04:00+01:00"]);
    assert_eq!(berlin("0 3 * * *", 1), ["25 03:00+01:00"]);
    // In real time.
    assert_eq!(
        berlin("*/30 * * * *", 5),
        ["25 02:00+02:00", "25 02:30+02:00", "25 02:00+01:00", "25 02:30+01:00", "25 03:00+01:00"]
    );
    // From a moment in the repeated hour: the times of that hour are over.
    for after in ["2026-10-25T01:00:00Z", "2026-10-25T01:15:00Z", "2026-10-25T01:59:59.999Z"] {
        assert_eq!(ticks("30 2 * * *", "Europe/Berlin", after, 1), ["26 02:30+01:00"], "{after}");
        assert_eq!(ticks("30 2,3 * * *", "Europe/Berlin", after, 1), ["25 03:30+01:00"], "{after}");
        assert_eq!(ticks("0 3 * * *", "Europe/Berlin", after, 1), ["25 03:00+01:00"], "{after}");
    }
    assert_eq!(ticks("45 * * * *", "Europe/Berlin", "2026-10-25T01:15:00Z", 1), ["25 02:45+01:00"]);
}

/// On 2026-03-08 at 02:00 the clock goes on at 03:00; on 2026-11-01 at 02:00 it goes back to 01:00.
#[test]
fn new_york_skips_and_repeats() {
    let york = |cron: &str, after: &str, count| ticks(cron, "America/New_York", after, count);
    assert_eq!(york("30 2 * * *", "2026-03-08T05:00:00Z", 2), ["08 03:00-04:00", "09 02:30-04:00"]);
    assert_eq!(york("0 * * * *", "2026-03-08T05:30:00Z", 3), ["08 01:00-05:00", "08 03:00-04:00", "08 04:00-04:00"]);
    assert_eq!(york("30 1 * * *", "2026-11-01T04:00:00Z", 2), ["01 01:30-04:00", "02 01:30-05:00"]);
    assert_eq!(york("30 * * * *", "2026-11-01T05:00:00Z", 3), ["01 01:30-04:00", "01 01:30-05:00", "01 02:30-05:00"]);
    // A pattern of one day: it is the day after which counts.
    assert_eq!(york("0 2 8 3 *", "2026-03-01T00:00:00Z", 1), ["08 03:00-04:00"]);
}

/// The clock moves by half an hour: on 2026-10-04 from 02:00 to 02:30, on 2026-04-05 from 02:00 to 01:30.
#[test]
fn lord_howe_moves_by_half_an_hour() {
    let howe = |cron: &str, after: &str, count| ticks(cron, "Australia/Lord_Howe", after, count);
    let (skips, repeats) = ("2026-10-03T14:45:00Z", "2026-04-04T14:15:00Z");
    assert_eq!(howe("15 2 * * *", skips, 2), ["04 02:30+11:00", "05 02:15+11:00"]);
    assert_eq!(howe("0 * * * *", skips, 3), ["04 02:30+11:00", "04 03:00+11:00", "04 04:00+11:00"]);
    assert_eq!(
        howe("*/10 * * * *", skips, 4),
        ["04 01:20+10:30", "04 01:30+10:30", "04 01:40+10:30", "04 01:50+10:30"]
    );
    assert_eq!(howe("*/10 * * * *", "2026-10-03T15:20:00Z", 2), ["04 02:30+11:00", "04 02:40+11:00"]);
    assert_eq!(howe("45 1 * * *", repeats, 2), ["05 01:45+11:00", "06 01:45+10:30"]);
    assert_eq!(
        howe("*/15 * * * *", repeats, 5),
        ["05 01:30+11:00", "05 01:45+11:00", "05 01:30+10:30", "05 01:45+10:30", "05 02:00+10:30"]
    );
}

#[test]
fn utc_skips_and_repeats_nothing() {
    for after in ["2026-03-29T00:30:00Z", "2026-10-25T00:30:00Z"] {
        let day = &after[8..10];
        let expected = ["01:00", "02:00", "03:00"].map(|time| format!("{day} {time}+00:00"));
        assert_eq!(ticks("0 * * * *", "UTC", after, 3), expected);
        assert_eq!(ticks("0 1,2,3 * * *", "UTC", after, 3), expected);
    }
}

/// Each next tick is later, and what lies between has no tick: the same as when each second is asked for.
#[test]
fn the_ticks_are_those_of_each_moment() {
    for tz in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"] {
        for cron in ["*/7 * * * *", "5,35 1-3 * * *", "0 2 * * SUN", "30 * * * *", "0 0 * * *"] {
            let pattern = Pattern::parse(cron, tz).unwrap();
            for begin in
                ["2026-03-28T12:00:00Z", "2026-10-03T12:00:00Z", "2026-10-24T12:00:00Z", "2026-04-04T12:00:00Z"]
            {
                let begin = begin.parse::<Timestamp>().unwrap().as_millisecond() as Millis;
                let mut tick = pattern.next(begin).unwrap();
                let mut at = begin;
                while at < begin + 2 * 86_400_000 {
                    if at >= tick {
                        tick = pattern.next(tick).unwrap();
                        assert!(tick > at, "{cron} in {tz}");
                    }
                    assert_eq!(pattern.next(at), Some(tick), "{cron} in {tz} after {at}");
                    at += 150_000;
                }
            }
        }
    }
}

/// Whatever somebody writes, no pattern breaks anything, and none takes long.
#[test]
fn random_patterns_do_no_harm() {
    let seed = std::env::var("BRRR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("BRRR_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let parts = [
        "*",
        "*/5",
        "1",
        "0",
        "59",
        "31",
        "12",
        "7",
        "1-5",
        "5-1",
        "L",
        "15W",
        "LW",
        "5#2",
        "5#L",
        "MON",
        "jan",
        "+1",
        "?",
        ",",
        "/",
        "-",
        "#",
        "99999999999",
        "*/0",
        "1-5/2",
        "é",
        "@",
        "@daily",
        "0/3",
        "1,2",
        "W",
        "6#6",
    ];
    let zones = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia"];
    let mut read = 0;
    for _ in 0..20_000 {
        let fields: Vec<String> = (0..random.usize(4..8))
            .map(|_| (0..=usize::from(random.u8(..8) == 0)).map(|_| random.choice(parts).unwrap()).collect())
            .collect();
        let (text, tz) = (fields.join(" "), random.choice(zones).unwrap());
        let Ok(pattern) = Pattern::parse(&text, tz) else { continue };
        read += 1;
        let mut at = random.u64(..2_000_000_000_000);
        for _ in 0..3 {
            let Some(next) = pattern.next(at) else { break };
            assert!(next > at && next % 1_000 == 0, "{text} in {tz}: {next} after {at}");
            at = next;
        }
    }
    assert!(read > 20, "{read} patterns were read");
    for at in [u64::MAX, i64::MAX as u64, 253_402_300_799_999] {
        assert_eq!(Pattern::parse("* * * * * *", "Europe/Berlin").unwrap().next(at), None);
    }
}
