use super::*;

/// Texts by which cases are recognised that `serde_json` can't hold. No worker of ours can receive such a case.
const UNREPRESENTABLE: [&str; 3] = ["\\ud800\"", "Infinity", "NaN"];

fn vectors(name: &str) -> Vec<Value> {
    let path = format!("{}/../../tests/support/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// (task, payload, call hash) of every vector that can be written in JSON, and the number of the other vectors.
fn cases(name: &str) -> (Vec<(String, String, String)>, usize) {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let mut skipped = 0;
    let mut cases = Vec::new();
    for vector in vectors(name) {
        // An entry without a payload means that the peer itself refused the value.
        let Some(payload) = vector.get("payload") else { continue };
        let payload = text(&payload["text"]);
        if UNREPRESENTABLE.iter().any(|what| payload.contains(what)) {
            skipped += 1;
        } else {
            cases.push((text(&vector["task_name"]), payload, text(&vector["call_hash"])));
        }
    }
    (cases, skipped)
}

/// True if `serde_json` keeps the digits of an integer beyond 64 bits in this build.
fn big_integers() -> bool {
    let big = "10000000000000000000000000";
    serde_json::from_str::<Value>(big).expect("a number").to_string().as_bytes() == big.as_bytes()
}

#[test]
fn python_vectors() {
    let (cases, skipped) = cases("json_calls_python.json");
    assert!(cases.len() >= 18, "only {} cases, {skipped} skipped", cases.len());
    for (task, expected, hash) in cases {
        if expected.contains("10000000000000000000000000") && !big_integers() {
            continue;
        }
        let Arguments::Named(kwargs) = decode(expected.as_bytes()).expect(&expected) else {
            panic!("{expected} is named")
        };
        let kwargs = Value::Object(kwargs);
        assert_eq!(String::from_utf8(python::payload(&kwargs)).expect("UTF-8"), expected);
        assert_eq!(python::call_hash(&task, &kwargs), hash, "{task} {expected}");
    }
}

#[test]
fn typescript_vectors() {
    let (cases, skipped) = cases("json_calls_typescript.json");
    assert!(cases.len() >= 12, "only {} cases, {skipped} skipped", cases.len());
    for (task, expected, hash) in cases {
        // This does not use `decode`, because `[]` and `[{}]` are two different calls in TypeScript.
        let list: Vec<Value> = serde_json::from_str(&expected).expect(&expected);
        assert_eq!(String::from_utf8(typescript::payload(&list)).expect("UTF-8"), expected);
        assert_eq!(typescript::call_hash(&task, &list), hash, "{task} {expected}");
    }
}

fn both(json: &str) -> (String, String) {
    let value: Value = serde_json::from_str(json).expect(json);
    let (mut py, mut ts) = (String::new(), String::new());
    python::write(&mut py, &value);
    typescript::write(&mut ts, &value);
    (py, ts)
}

/// The expected results come from `json.dumps(json.loads(text))` in `CPython` and from `JSON.stringify(JSON.parse(text))` in
/// V8.
#[test]
fn numbers() {
    for (json, py, ts) in [
        ("0.0", "0.0", "0"),
        ("-0.0", "-0.0", "0"),
        ("1.50", "1.5", "1.5"),
        ("1E2", "100.0", "100"),
        ("123456789012345.6", "123456789012345.6", "123456789012345.6"),
        ("1e15", "1000000000000000.0", "1000000000000000"),
        ("1e16", "1e+16", "10000000000000000"),
        ("1.2345e20", "1.2345e+20", "123450000000000000000"),
        ("1e21", "1e+21", "1e+21"),
        ("0.0001", "0.0001", "0.0001"),
        ("0.00001", "1e-05", "0.00001"),
        ("0.00000125", "1.25e-06", "0.00000125"),
        ("1.5e-7", "1.5e-07", "1.5e-7"),
        ("5e-324", "5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308", "1.7976931348623157e+308"),
        ("-2.5", "-2.5", "-2.5"),
        ("9007199254740993", "9007199254740993", "9007199254740992"),
        ("18446744073709551615", "18446744073709551615", "18446744073709552000"),
        ("-9223372036854775808", "-9223372036854775808", "-9223372036854776000"),
    ] {
        assert_eq!(both(json), (py.to_owned(), ts.to_owned()), "{json}");
    }
}

#[test]
fn keys_are_sorted_for_every_kind_of_map() {
    // Python sorts by code points, JavaScript by UTF-16 units: U+FFEE sorts before an emoji in Python and after it in
    // JavaScript.
    let (py, ts) = both(r#"{"b":1,"￮":2,"😀":3,"10":4,"9":5,"01":6,"4294967295":7,"a":{"d":1,"c":2}}"#);
    assert_eq!(
        py,
        r#"{"01": 6, "10": 4, "4294967295": 7, "9": 5, "a": {"c": 2, "d": 1}, "b": 1, "\uffee": 2, "\ud83d\ude00": 3}"#
    );
    assert_eq!(ts, r#"{"9":5,"10":4,"01":6,"4294967295":7,"a":{"c":2,"d":1},"b":1,"😀":3,"￮":2}"#);
}

#[test]
fn every_form_of_arguments_is_read() {
    let named = |json| Arguments::Named(serde_json::from_str(json).expect(json));
    assert_eq!(decode(br#"[{"n": 1}]"#).expect("named"), named(r#"{"n": 1}"#));
    assert_eq!(decode(br#"{"n":1}"#).expect("bare"), named(r#"{"n": 1}"#));
    assert_eq!(decode(b"[]").expect("none"), named("{}"));
    assert_eq!(decode(b"[1]").expect("list"), Arguments::Positional(vec![1.into()]));
    assert_eq!(decode(b"[{}, 2]").expect("list").into_list().len(), 2);
    for bad in [&b""[..], b"nope", b"[", b"1", b"\"a\"", b"null", b"true", b"\xff"] {
        assert!(decode(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn whole_numbers_that_javascript_can_not_hold_are_found() {
    let found = |text: &str| typescript::inexact(&[serde_json::from_str(text).unwrap()]);
    for exact in [
        "9007199254740991",
        "-9007199254740991",
        "0",
        "-0",
        "0.1",
        "1e300",
        "[1, {\"a\": 2.5}]",
        "\"9007199254740993\"",
    ] {
        assert_eq!(found(exact), None, "{exact}");
    }
    assert_eq!(found("9007199254740993").unwrap(), "9007199254740993 at [0]");
    assert_eq!(found("{\"a\": 1, \"b\": [0, -9007199254740995]}").unwrap(), "-9007199254740995 at [0].b[1]");
}
