//! What differs between worlds, though a handler should not notice: who makes the batches, and who sees that nothing goes on.

use std::time::Instant;

use brrr_protocol::model::FailureKind;
use serde_json::{Value, json};

use crate::fleet::Fleet;

/// Half a minute is what a run may take; that a handler waits for nothing shows at once.
pub async fn a_handler_that_waits_for_nothing(fleet: &Fleet) {
    let began = Instant::now();
    let failure = fleet.call("waits_for_nothing", json!({})).await.unwrap_err();
    assert_eq!((&failure.kind, failure.attempts), (&FailureKind::Error, 1), "{failure}");
    assert!(failure.message.contains("nothing could wake it"), "{failure}");
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

pub async fn a_call_let_go_of_is_not_made(fleet: &Fleet) {
    assert_eq!(fleet.value("lets_go", json!({})).await, json!(8));
    assert_eq!(fleet.messages().await, 1 + 1 + 1);
}

/// Chains of different lengths, and a race beside them: a batch takes all that waits, and a race comes after it.
pub async fn batches_of_a_ragged_handler(fleet: &Fleet) {
    assert_eq!(fleet.value("ragged", json!({})).await, json!([[0, 1, 3, 6], 1]));
    // Three chains and a race: batches of 3, 2 and 1 calls, then the race, whose two calls are one.
    assert_eq!(fleet.messages().await, 1 + (3 + 1) + (2 + 1) + (1 + 1) + (1 + 1));
}

pub async fn a_leaf_that_calls(fleet: &Fleet) {
    let failure = fleet.call("leaf_calls", json!({})).await.unwrap_err();
    assert!(failure.message.contains("it is a leaf"), "{failure}");
}

/// What waits is kept by the host, beyond the guest's own memory; so it has a bound of its own.
pub async fn more_calls_than_fit(fleet: &Fleet) {
    let failure = fleet.call("gather", json!({"n": 2_000_000})).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Limit, "{failure}");
    assert_eq!(fleet.value("noop", json!({})).await, Value::Null);
}
