//! What the SDK does not retry by itself, and what it does not say: how often it tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;

/// Tries of what others were in the way of. With the pauses below the last one comes after about ten seconds.
pub(super) const TRIES: u32 = 12;

/// Waits after the try of this number, the first being 0: up to 20 ms, 40 ms, …, 2 s; at random, so that those who were in
/// each other's way don't meet again.
pub(super) async fn pause(tried: u32) {
    let most = Duration::from_millis(20).saturating_mul(1 << tried.min(10)).min(Duration::from_secs(2));
    tokio::time::sleep(most.mul_f64(fastrand::f64())).await;
}

/// Counts the attempts of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts(Arc<AtomicU32>);

impl Attempts {
    /// An answer may have been lost: what is found now may be what an earlier attempt wrote.
    pub fn several(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

#[dyn_dispatch_hint]
impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "Attempts"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
