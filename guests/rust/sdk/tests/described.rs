//! What a component says of its tasks, and what an error carries.

use brrr::{Error, Handler, Result, Task};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Repeats a text.
///
/// As often as it is told.
#[brrr::handler(max_retries = 0, schema)]
fn repeats(text: String, times: u32, between: Option<String>) -> Result<String> {
    Ok(vec![text; times as usize].join(&between.unwrap_or_default()))
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct Point {
    x: i32,
}

#[brrr::handler(schema)]
fn mirrors(#[args] point: Point) -> Point {
    Point { x: -point.x }
}

#[brrr::handler(input_schema = r#"{"type":"object"}"#)]
fn by_hand() {}

fn described(task: Task, key: &str) -> Option<String> {
    task.described().into_iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

fn schema(task: Task, key: &str) -> Value {
    serde_json::from_str(&described(task, key).unwrap()).unwrap()
}

#[test]
fn a_doc_comment_is_the_description() {
    let task = <repeats as Handler>::TASK;
    assert_eq!(described(task, "description").unwrap(), "Repeats a text.\n\nAs often as it is told.");
    assert_eq!(described(task, "max-retries").unwrap(), "0");
    assert_eq!(described(<mirrors as Handler>::TASK, "description"), None);
}

#[test]
fn schemas_come_from_the_types() {
    let task = <repeats as Handler>::TASK;
    let input = schema(task, "input-schema");
    assert_eq!(input["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(input["properties"]["text"]["type"], "string");
    assert_eq!(input["properties"]["times"]["type"], "integer");
    assert_eq!((&input["required"], &input["additionalProperties"]), (&json!(["text", "times"]), &json!(false)));
    assert_eq!(schema(task, "output-schema")["type"], "string");

    let task = <mirrors as Handler>::TASK;
    assert_eq!(schema(task, "input-schema")["properties"]["x"]["type"], "integer");
    assert_eq!(schema(task, "output-schema")["required"], json!(["x"]));

    let task = <by_hand as Handler>::TASK;
    assert_eq!((schema(task, "input-schema"), described(task, "output-schema")), (json!({"type": "object"}), None));
}

#[brrr::handler(max_retries = 1)]
fn refused(code: u64, how: String) -> Result<()> {
    let error = match how.as_str() {
        "permanent" => Error::permanent("refused"),
        _ => Error::retryable("refused"),
    };
    Err(error.details(&json!({"code": code})))
}

#[derive(Deserialize)]
struct Details {
    code: u64,
}

#[brrr::handler]
async fn reads(how: String) -> Result<u64> {
    let failure = refused(7, how).await.unwrap_err();
    assert!(failure.details::<String>().is_err());
    Ok(failure.details::<Details>()?.code)
}

/// The details go through a parent that does not catch the failure.
#[brrr::handler]
async fn passes_on() -> Result<()> {
    Ok(refused(8, "permanent".into()).await?)
}

#[test]
fn a_failure_has_the_details_of_the_error() {
    const TASKS: &[Task] = &[
        <refused as Handler>::TASK,
        <reads as Handler>::TASK,
        <passes_on as Handler>::TASK,
        <by_hand as Handler>::TASK,
    ];
    assert_eq!(brrr::testing::run(TASKS, reads("permanent".into())), Ok(7));
    assert_eq!(brrr::testing::run(TASKS, reads("retryable".into())), Ok(7));
    let failure = brrr::testing::run(TASKS, passes_on()).unwrap_err();
    assert_eq!(failure.details::<Details>().unwrap().code, 8);
    // NaN is no JSON. The error stays what it is.
    let error = Error::permanent("refused").details(&f64::NAN);
    assert_eq!(error.to_string(), "refused (its details cannot be written as JSON: NaN, which JSON does not have)");
}
