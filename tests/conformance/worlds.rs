//! Differences between the worlds that a handler should not notice: which side makes the batches, and which side
//! detects that a handler can't go on.

use std::time::Instant;

use brrr_protocol::model::FailureKind;
use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::graphs::LOOKS;

/// A run may take half a minute. A handler that waits for nothing must fail at once.
pub async fn a_handler_that_waits_for_nothing(fleet: &Fleet) {
    let began = Instant::now();
    let failure = fleet.call("waits_for_nothing", json!({})).await.unwrap_err();
    assert_eq!((&failure.kind, failure.attempts), (&FailureKind::Error, 1), "{failure}");
    assert!(failure.message.contains("nothing can end that wait"), "{failure}");
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

pub async fn a_call_let_go_of_is_not_made(fleet: &Fleet) {
    assert_eq!(fleet.value("lets_go", json!({})).await, json!(8));
    assert_eq!(fleet.messages().await, 1 + 1 + 1);
}

/// Chains of different lengths, and a race beside them. A batch has all calls that wait. The race comes after the batch.
pub async fn batches_of_a_ragged_handler(fleet: &Fleet) {
    assert_eq!(fleet.value("ragged", json!({})).await, json!([[0, 1, 3, 6], 1]));
    // Three chains and a race: batches of 3, 2 and 1 calls, then the race, whose two calls are equal.
    let (messages, least) = (fleet.messages().await, 1 + (3 + 1) + (2 + 1) + (1 + 1) + (1 + 1));
    assert!((least..=least + 2 * LOOKS).contains(&messages), "{messages}");
}

pub async fn a_leaf_that_calls(fleet: &Fleet) {
    let failure = fleet.call("leaf_calls", json!({})).await.unwrap_err();
    assert!(failure.message.contains("it is a leaf"), "{failure}");
}

/// The host keeps waiting calls outside of the guest's memory. So they have a separate limit.
pub async fn more_calls_than_fit(fleet: &Fleet) {
    let failure = fleet.call("gather", json!({"n": 2_000_000})).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Limit, "{failure}");
    assert_eq!(fleet.value("noop", json!({})).await, Value::Null);
}
