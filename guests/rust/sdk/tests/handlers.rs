//! The macros and the executor, through handlers as users write them.

use brrr::testing::{batches, run};
use brrr::{App, Backoff, Call, Error, Failure, FailureKind, Handler, Options, Result, Scope, first, join, join_all};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

/// Optional and defaulted arguments, and a request to look at.
#[brrr::handler(
    name = "describe-point",
    timeout = "2m",
    max_retries = 3,
    retry_delay = "250ms",
    backoff = "fixed",
    max_retry_delay = "1h",
    max_running = 2,
    memory = "64MiB",
    scope = "15m"
)]
async fn describe_point(app: App, point: Point, label: Option<String>, #[serde(default)] scale: i32) -> Result<String> {
    let Point { x, y } = point;
    Ok(format!("{} {label:?} {} {}", app.task, x * scale, y * scale))
}

#[brrr::handler]
fn mirror(#[args] point: Point) -> Point {
    Point { x: point.y, y: point.x }
}

#[brrr::handler(raw, leaf)]
fn reverse(mut payload: Vec<u8>) -> Result<Vec<u8>, String> {
    if payload.is_empty() {
        return Err("nothing to reverse".into());
    }
    payload.reverse();
    Ok(payload)
}

/// Not served by this worker; it goes by the name of one that is.
#[brrr::remote(name = "mirror", topic = "elsewhere")]
async fn far_mirror(x: i32, y: i32) -> Point;

#[brrr::handler]
fn parses(text: String) -> Result<i32> {
    if text == "never" {
        return Err(Error::permanent("it will never be a number"));
    }
    Ok(text.parse::<i32>()?)
}

/// Waits in several ways at once; which calls are one batch is what the test looks at.
#[brrr::handler]
async fn mixes() -> Result<i32> {
    let twice = async {
        let one = parses("1".into()).await?;
        let two = parses("2".into()).await?;
        Ok::<i32, Failure>(one + two)
    };
    let race = async { first([parses("10".into()), parses("20".into())]).await.1 };
    let (twice, many, race) = join!(twice, join_all(["3", "4"].map(|n| parses(n.into()))), race);
    let many = many.into_iter().sum::<Result<i32, Failure>>()?;
    Ok(twice? + many + race?)
}

/// Starts a call and drops it: it must not be asked for.
#[brrr::handler]
async fn drops() -> Result<i32> {
    let mut dropped = Box::pin(parses("1".into()));
    let mut polled = false;
    std::future::poll_fn(|context| {
        polled |= dropped.as_mut().poll(context).is_pending();
        std::task::Poll::Ready(())
    })
    .await;
    assert!(polled);
    drop(dropped);
    Ok(parses("2".into()).await?)
}

brrr::worker!(describe_point, mirror, reverse, parses, mixes, drops);

#[test]
fn options_are_what_the_attribute_says() {
    let task = <describe_point as Handler>::TASK;
    assert_eq!(task.name, "describe-point");
    let mut options = Options::new();
    options.timeout = Some(Duration::from_secs(120));
    options.max_retries = Some(3);
    options.retry_delay = Some(Duration::from_millis(250));
    options.max_retry_delay = Some(Duration::from_secs(3600));
    options.backoff = Some(Backoff::Fixed);
    options.max_running = Some(2);
    options.memory_bytes = Some(64 << 20);
    options.scope = Some(Scope::For(Duration::from_secs(900)));
    assert_eq!(task.options, options);
    assert_eq!(<mirror as Handler>::TASK.options, Options::default());
    assert_eq!([task, <reverse as Handler>::TASK].map(|task| task.options.leaf), [false, true]);
}

#[test]
fn arguments_may_be_left_out_where_the_handler_says_so() {
    let named = |json: &str| Call::named("describe-point").payload(json);
    let run = |json: &str| run::<String>(TASKS, named(json));
    assert_eq!(run(r#"[{"point": {"x": 1, "y": 2}}]"#).unwrap(), "describe-point None 0 0");
    assert_eq!(run(r#"{"point":{"x":1,"y":2},"scale":3}"#).unwrap(), "describe-point None 3 6");
    assert_eq!(run(r#"[{"x": 1, "y": 2}, "a", 2]"#).unwrap(), "describe-point Some(\"a\") 2 4");
    for (json, why) in [
        (r#"[{"point": {"x": 1, "y": 2}, "sclae": 3}]"#, "unknown field `sclae`"),
        ("[]", "missing field `point`"),
        ("[{\"point\"", "EOF"),
        ("\u{0}", "expected value"),
    ] {
        let failure = run(json).unwrap_err();
        assert!(failure.message.contains(why), "{json}: {failure}");
    }
}

#[test]
fn every_form_of_handler_can_be_called() {
    let typed = describe_point(Point { x: 1, y: 1 }, Some("l".into()), 5);
    assert_eq!(run(TASKS, typed).unwrap(), "describe-point Some(\"l\") 5 5");
    assert_eq!(run(TASKS, mirror(Point { x: 1, y: 2 })), Ok(Point { x: 2, y: 1 }));
    assert_eq!(run(TASKS, far_mirror(3, 4)), Ok(Point { x: 4, y: 3 }));
    assert_eq!(run(TASKS, reverse(b"abc".to_vec())), Ok(b"cba".to_vec()));
    let by_name: Call<Point> = Call::named("mirror").arg("x", 5).arg("y", 6);
    assert_eq!(run(TASKS, by_name), Ok(Point { x: 6, y: 5 }));
    assert_eq!(run(TASKS, mirror(Point { x: 7, y: 8 }).raw()), Ok(br#"{"x":8,"y":7}"#.to_vec()));
}

#[test]
fn errors_keep_their_message() {
    let message = |call| run(TASKS, call).unwrap_err().message;
    assert_eq!(message(parses("x".into())), "invalid digit found in string");
    assert_eq!(message(parses("never".into())), "it will never be a number");
    assert_eq!(run(TASKS, reverse(Vec::new())).unwrap_err().message, "nothing to reverse");
    // A value that is no number is this caller's problem, and says so.
    let failure = run(TASKS, Call::<u64>::named("mirror").arg("x", 1).arg("y", 2)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Codec);
    // So are arguments that JSON has no form for.
    let unwritable = Call::<u64>::named("mirror").args(std::collections::HashMap::from([((1, 2), 3)]));
    assert_eq!(run(TASKS, unwritable).unwrap_err().kind, FailureKind::Codec);
}

/// An argument that is only read, and a result that is only written.
#[derive(Deserialize)]
struct Order {
    price: f64,
}

#[derive(Debug, Serialize)]
struct Offer<'a> {
    name: &'a str,
    price: f64,
}

#[brrr::handler]
fn offers(order: Order) -> Offer<'static> {
    Offer { name: "apple", price: order.price }
}

#[brrr::handler]
fn offers_all(#[args] order: Order) -> Result<Vec<Offer<'static>>> {
    Ok(vec![Offer { name: "apple", price: 1.0 }, Offer { name: "pear", price: order.price.ln() }])
}

#[test]
fn a_type_implements_no_more_than_its_handler_needs() {
    const TASKS: &[brrr::Task] = &[<offers as Handler>::TASK, <offers_all as Handler>::TASK];
    let call = Call::named("offers").arg("order", serde_json::json!({"price": 2}));
    assert_eq!(run::<serde_json::Value>(TASKS, call), Ok(serde_json::json!({"name": "apple", "price": 2.0})));
    // And what JSON can't hold is refused, with its place.
    let failure = run::<serde_json::Value>(TASKS, Call::named("offers_all").arg("price", -1)).unwrap_err();
    let why = "the value cannot be written as JSON: NaN at [1].price, which JSON does not have";
    assert_eq!((failure.message.as_str(), failure.attempts), (why, 1));
    let failure = run::<u64>(TASKS, Call::named("offers_all").arg("price", f64::NAN)).unwrap_err();
    assert_eq!(failure.message, "cannot write its arguments: NaN, which JSON does not have");
}

/// What another SDK's handler gives that returns nothing.
#[brrr::handler(raw)]
fn gives_no_bytes(_payload: Vec<u8>) -> Vec<u8> {
    Vec::new()
}

#[test]
fn no_bytes_are_null() {
    const TASKS: &[brrr::Task] = &[<gives_no_bytes as Handler>::TASK];
    assert_eq!(run(TASKS, Call::<()>::named("gives_no_bytes")), Ok(()));
    assert_eq!(run(TASKS, Call::<Option<u8>>::named("gives_no_bytes")), Ok(None));
    assert_eq!(run(TASKS, Call::<u8>::named("gives_no_bytes")).unwrap_err().kind, FailureKind::Codec);
    assert_eq!(run(TASKS, Call::<()>::named("gives_no_bytes").raw()), Ok(Vec::new()));
}

#[derive(Debug)]
struct Outer(std::num::ParseIntError, &'static str);

impl std::fmt::Display for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "outer{}", self.1)
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn a_cause_is_told_once() {
    let inner = "x".parse::<u8>().unwrap_err();
    assert_eq!(Error::from(Outer(inner.clone(), "")).to_string(), "outer: invalid digit found in string");
    let told = Outer(inner, ": invalid digit found in string");
    assert_eq!(Error::from(told).to_string(), "outer: invalid digit found in string");
}

#[brrr::handler(max_retries = 3)]
async fn by_anyhow(context: bool) -> anyhow::Result<i32> {
    use anyhow::Context as _;
    let parsed = parses("never".into()).await;
    if context { parsed.context("no price today") } else { Ok(parsed?) }
}

#[test]
fn a_childs_failure_goes_through_anyhow() {
    const TASKS: &[brrr::Task] = &[<by_anyhow as Handler>::TASK, <parses as Handler>::TASK];
    let failure = run(TASKS, by_anyhow(false)).unwrap_err();
    assert_eq!((failure.attempts, failure.chain.len()), (1, 2), "{failure:?}");
    assert_eq!(failure.chain[1], "parses: it will never be a number");
    // With a context it is an error of the handler's own, which has the cause in its message.
    let failure = run(TASKS, by_anyhow(true)).unwrap_err();
    assert_eq!(failure.message, "no price today: parses failed (error): it will never be a number");
    assert_eq!((failure.attempts, failure.chain.len()), (4, 1), "{failure:?}");
}

#[brrr::handler(timeout = "1h")]
async fn looks_at_the_clock(app: App) -> Result<(bool, u64, u64)> {
    let own = app.time_left().as_secs();
    let childs = time_of_child().timeout(Duration::from_secs(120)).await?;
    Ok((app.is_active(), own, childs))
}

#[brrr::handler(timeout = "5m")]
fn time_of_child(app: App) -> u64 {
    app.time_left().as_secs()
}

#[brrr::handler(timeout = "0s")]
fn too_late(app: App) -> bool {
    app.is_active()
}

#[test]
fn the_time_left_is_that_of_the_run() {
    const TASKS: &[brrr::Task] =
        &[<looks_at_the_clock as Handler>::TASK, <time_of_child as Handler>::TASK, <too_late as Handler>::TASK];
    let (active, own, childs) = run(TASKS, looks_at_the_clock()).unwrap();
    assert!(active);
    assert!((3590..=3600).contains(&own), "{own}");
    // The call's own option stands over the task's.
    assert!((110..=120).contains(&childs), "{childs}");
    assert_eq!(run(TASKS, too_late()), Ok(false));
}

#[test]
fn all_that_waits_is_asked_for_together() {
    assert_eq!(run(TASKS, mixes()), Ok(1 + 2 + 3 + 4 + 10));
    // "1", "3", "4" and both of the race; then "2".
    assert_eq!(batches(), [5, 1]);
}

#[test]
fn what_nobody_waits_for_is_not_asked_for() {
    assert_eq!(run(TASKS, drops()), Ok(2));
    assert_eq!(batches(), [1]);
}
