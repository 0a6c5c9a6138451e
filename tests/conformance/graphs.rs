//! Children: batches, chains, races, and how many runs they cost. The memory backend has transactional transitions, so
//! the number of messages is exact: one for the job, one for each child, and one for each time the parent is notified.

use serde_json::{Value, json};

use crate::fleet::{Fleet, eventually};

/// A wait for progress, of several awaiters that go on independently of each other, sends a delayed message once the first call
/// has ended. When it is due, a worker looks whether the parent should go on. On a machine that is so busy that the other calls
/// have not ended by then, the parent goes on, and waits once more. This is how many messages such a wait may cost.
pub const LOOKS: u64 = 2;

pub async fn hello(fleet: &Fleet) {
    assert_eq!(fleet.value("hello", json!({"greetee": "John"})).await, json!("Hello, John!"));
    assert_eq!(fleet.value("noop", json!({})).await, Value::Null);
}

pub async fn fib(fleet: &Fleet) {
    assert_eq!(fleet.value("fib", json!({"n": 20, "salt": null})).await, json!(6765));
    // Equal calls are one call. So there are 21 calls, and 19 parents that waited.
    assert!(fleet.messages().await <= 21 + 19 * 2, "{}", fleet.messages().await);
    assert_eq!(fleet.value("fib", json!({"n": 9, "salt": "s"})).await, json!(34));
}

pub async fn gather_of_2000_in_order(fleet: &Fleet) {
    let values = fleet.value("gather", json!({"n": 2000})).await;
    assert_eq!(values, (0..2000).collect::<Value>());
    // A record names only the last 1,024 children. If another child ends last, this costs one more notification.
    assert!((2002..=2010).contains(&fleet.messages().await), "{}", fleet.messages().await);
    assert_eq!(fleet.value("fan_out", json!({"n": 100})).await, json!(4950));
}

pub async fn three_sequential_calls(fleet: &Fleet) {
    assert_eq!(fleet.value("sequential", json!({"n": 3})).await, json!(3));
    assert_eq!(fleet.messages().await, 1 + 3 + 3);
}

pub async fn chains_cost_three_runs(fleet: &Fleet) {
    assert_eq!(fleet.value("chains", json!({"n": 10})).await, (10..20).collect::<Value>());
    // The parent is notified twice, so it runs three times. The chains go on independently of each other.
    let messages = fleet.messages().await;
    assert!((23..=23 + 2 * LOOKS).contains(&messages), "{messages}");
}

pub async fn some_children_are_there_already(fleet: &Fleet) {
    for i in 3..6 {
        assert_eq!(fleet.value("leaf", json!({"i": i})).await, json!(i));
    }
    assert_eq!(fleet.value("gather", json!({"n": 10})).await, (0..10).collect::<Value>());
    // In the asynchronous world each call of the batch is a poll of its own.
    let looks = if fleet.language.name.ends_with("_async") { LOOKS } else { 0 };
    assert!((9..=9 + looks).contains(&fleet.messages().await), "{}", fleet.messages().await);
    // All children have values, so the parent runs once.
    assert_eq!(fleet.value("fan_out", json!({"n": 10})).await, json!(45));
    assert_eq!(fleet.messages().await, 1);
}

/// The second call wins, because no worker serves the first call's topic. Later the first call ends too, and the parent
/// is run again.
pub async fn a_race_has_one_winner_in_every_replay(fleet: &Fleet) {
    let handler = || fleet.program.handler.clone();
    let (job_id, race) = fleet.schedule("race", json!({"slow": "slow", "gate": "gate"})).await;
    eventually("the race is decided", async || fleet.backend.queue().depth(&"gate".into()).await.unwrap() > 0).await;
    let loser = fleet.hash("leaf", &json!({"i": 0}));
    assert_eq!(fleet.client.outcome(&job_id, &loser).await.unwrap(), None);
    fleet.serve("slow", handler());
    eventually("the other child ends", async || fleet.client.outcome(&job_id, &loser).await.unwrap().is_some()).await;
    fleet.serve("gate", handler());
    assert_eq!(crate::fleet::json(fleet.wait(&job_id, &race).await), json!([1, 1, 2]));
}

pub async fn a_race_of_several(fleet: &Fleet) {
    let values = fleet.value("race_of", json!({"need": 2, "n": 5})).await;
    let values = values.as_array().unwrap();
    let there: Vec<_> = values.iter().enumerate().filter(|(_, value)| !value.is_null()).collect();
    assert_eq!((values.len(), there.len()), (5, 2), "{values:?}");
    assert!(there.iter().all(|(i, value)| **value == json!(i)), "{values:?}");
}
