//! Options of tasks and of calls, and the time that a run has.

use std::time::Duration;

use brrr::{App, Error, Result};

use crate::graph::hello;
use crate::hostile::{loops, spin};

/// Has every option that there is.
#[brrr::handler(
    timeout = "10s",
    max_retries = 1,
    retry_delay = "10ms",
    backoff = "exponential",
    max_retry_delay = "1s",
    max_running = 2,
    memory = "128MiB"
)]
pub fn full_options() {}

/// Never ends, and is stopped soon.
#[brrr::handler(timeout = "300ms", max_retries = 0)]
pub fn spin_briefly_limited() {
    spin();
}

/// Works until its time is nearly over, and stops by itself.
#[brrr::handler(leaf, timeout = "500ms")]
pub fn patient(app: App) -> String {
    while app.is_active() && app.time_left() > Duration::from_millis(100) {
        brrr::system::sleep(Duration::from_millis(5));
    }
    "stopped in time".into()
}

/// Really sleeps, being a leaf; the seconds by which the clock moved.
#[brrr::handler(leaf)]
pub async fn sleeper(seconds: f64) -> f64 {
    let before = brrr::system::now();
    brrr::sleep(Duration::from_secs_f64(seconds)).await;
    brrr::system::now().duration_since(before).map_or(0.0, |moved| moved.as_secs_f64())
}

/// Calls what never ends, with options of its own; the kind of its failure.
#[brrr::handler]
pub async fn with_options() -> Result<String> {
    match loops().timeout(Duration::from_millis(200)).max_retries(0).label("brief").await {
        Ok(()) => Err(Error::permanent("it never ends")),
        Err(failure) => Ok(failure.kind.to_string()),
    }
}

/// Asks for a child by the time that is left, which is what no handler may do: no replay can ask for the same again.
/// Needs a job with a time limit; without one each run has as much time as the one before.
#[brrr::handler]
pub async fn wavers(app: App) -> Result<String> {
    let left = app.time_left().as_millis().to_string();
    let (greeting, _) = brrr::try_join!(hello(left), sleeper(0.05))?;
    Ok(greeting)
}
