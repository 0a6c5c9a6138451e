use super::*;

fn line(text: &str, end: u64) -> LogLine {
    let from = LogSource::Log(LogLevel::Info);
    LogLine { at: 1_000 + end, attempt: 1, end, from, text: text.into(), fields: Vec::new(), left_out: 0 }
}

/// What a run of this attempt logs: lines of these texts, the first one at the position.
fn run(attempt: u32, from: u64, texts: &[&str], keep: u64) -> Arc<NewLines> {
    let log = RunLog::default();
    log.begin(attempt, keep);
    let mut end = from;
    for text in texts {
        end += text.len() as u64 + 1;
        log.add(line(text, end));
    }
    log.new_lines().expect("something was logged")
}

fn texts(record: &[u8]) -> Vec<String> {
    let record = LogRecord::decode(record).unwrap();
    record.lines().unwrap().into_iter().map(|(n, line)| format!("{n} {} {}", line.attempt, line.text)).collect()
}

const ROOM: u64 = 64 << 10;

#[test]
fn a_line_is_added_once() {
    let first = run(1, 0, &["a", "b"], ROOM).after(None).unwrap();
    assert_eq!(texts(&first), ["0 1 a", "1 1 b"]);
    // The next run shows only what is new.
    let second = run(1, 4, &["c"], ROOM).after(Some(&first)).unwrap();
    assert_eq!(texts(&second), ["0 1 a", "1 1 b", "2 1 c"]);
    // A run whose worker had died before it wrote how much was shown logs all of it again.
    assert_eq!(run(1, 0, &["a", "b", "c"], ROOM).after(Some(&second)), None);
    let longer = run(1, 0, &["a", "b", "c", "d"], ROOM).after(Some(&second)).unwrap();
    assert_eq!(texts(&longer), ["0 1 a", "1 1 b", "2 1 c", "3 1 d"]);
}

#[test]
fn attempts_are_kept_beside_each_other() {
    let first = run(1, 0, &["a"], ROOM).after(None).unwrap();
    let second = run(2, 0, &["a"], ROOM).after(Some(&first)).unwrap();
    assert_eq!(texts(&second), ["0 1 a", "1 2 a"]);
    // A worker that has lost its lease is still at the first attempt.
    assert_eq!(run(1, 0, &["a", "late"], ROOM).after(Some(&second)), None);
}

#[test]
fn the_newest_lines_are_kept() {
    let size = line("a", 10).encode().len() as u64;
    let keep = 3 * size;
    let many = run(1, 0, &["a", "b", "c", "d", "e"], keep);
    let record = many.after(None).unwrap();
    assert_eq!(texts(&record), ["2 1 c", "3 1 d", "4 1 e"]);
    let more = run(1, 10, &["f"], keep).after(Some(&record)).unwrap();
    assert_eq!(texts(&more), ["3 1 d", "4 1 e", "5 1 f"]);
    // What a run cut off itself is not in the middle of what is kept.
    let flood = run(2, 0, &["1", "2", "3", "4"], keep).after(Some(&more)).unwrap();
    assert_eq!(texts(&flood), ["7 2 2", "8 2 3", "9 2 4"]);
}

#[test]
fn a_long_line_is_cut() {
    let log = RunLog::default();
    log.begin(1, 4_000);
    let fields = vec![("name".to_owned(), "x".repeat(500)), ("long".to_owned(), "x".repeat(9_000))];
    log.add(LogLine { fields, ..line(&"ö".repeat(200), 401) });
    log.add(line(&"ö".repeat(5_000), 10_402));
    let record = log.new_lines().unwrap().after(None).unwrap();
    let lines = LogRecord::decode(&record).unwrap().lines().unwrap();
    let shape = |(_, line): &(u64, LogLine)| (line.text.len(), line.fields.len(), line.left_out);
    assert_eq!(lines.iter().map(shape).collect::<Vec<_>>(), [(400, 1, 9_004), (1_000, 0, 9_000)]);
    assert!(record.len() < 4_000);
}

#[test]
fn a_record_round_trips_and_keeps_what_a_later_version_wrote() {
    let source = |from| LogLine { fields: vec![("k".into(), "v".into())], left_out: 7, from, ..line("t", 2) };
    let log = RunLog::default();
    log.begin(3, ROOM);
    let sources = [LogSource::Stdout, LogSource::Stderr, LogSource::Log(LogLevel::Error)];
    sources.into_iter().for_each(|from| log.add(source(from)));
    let record = log.new_lines().unwrap().after(None).unwrap();
    let lines: Vec<_> = LogRecord::decode(&record).unwrap().lines().unwrap().into_iter().map(|(_, l)| l).collect();
    assert_eq!(lines, sources.map(|from| LogLine { attempt: 3, ..source(from) }));

    let later = b"d7:attempti1e3:cuti0e5:linesld2:ati1e7:attempti1e3:endi2e4:from4:loud3:new1:x4:text1:aee4:uptoi2e1:vi1e3:zzzi7ee";
    let after = run(1, 2, &["b"], ROOM).after(Some(later)).unwrap();
    assert_eq!(texts(&after), ["0 1 a", "1 1 b"]);
    let after = String::from_utf8(after.to_vec()).unwrap();
    assert!(after.contains("3:new1:x") && after.ends_with("3:zzzi7ee"), "{after}");
}

#[test]
fn a_damaged_record_is_replaced_and_a_newer_one_stays() {
    let new = run(1, 0, &["a"], ROOM);
    for damaged in [&b""[..], b"garbage", b"d5:linesi1e1:vi1ee", b"d1:vi0ee"] {
        assert_eq!(new.after(Some(damaged)), new.after(None), "{damaged:?}");
    }
    assert_eq!(new.after(Some(b"d1:vi2ee")), None);
}

#[test]
fn nothing_is_kept_if_it_is_off() {
    let log = RunLog::default();
    log.begin(1, 0);
    log.add(line("a", 2));
    assert!(log.new_lines().is_none() && !log.is_on());
}
