//! The server's time, from the header `date` of its answers. It has whole seconds.

use std::sync::Arc;

use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{Builder, ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use aws_smithy_types::date_time::{DateTime, Format};
use brrr_protocol::model::{CallHash, Millis, system_now};
use brrr_protocol::ports::Key;

use super::DynamoDb;
use crate::clock::ServerClock;

/// Reads the time from each answer.
#[derive(Debug)]
pub(super) struct ReadDate(pub Arc<ServerClock>);

/// The time when a request was sent.
#[derive(Debug)]
struct Asked(Millis);

impl Storable for Asked {
    type Storer = StoreReplace<Self>;
}

impl Intercept for ReadDate {
    fn name(&self) -> &'static str {
        "ReadDate"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        request: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        request.interceptor_state().store_put(Asked(system_now()));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        request: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let server_time = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        if let Some(server_time) = server_time.and_then(|time| u64::try_from(time.secs()).ok()) {
            let answered = system_now();
            let asked = request.load::<Asked>().map_or(answered, |asked| asked.0);
            self.0.measure(asked, answered, server_time * 1_000, 1_000);
        }
        Ok(())
    }
}

impl DynamoDb {
    /// Sends any request, because each answer contains the time. An error is not reported here: the first access meets
    /// it again and reports it.
    pub(super) async fn read_clock(&self) {
        let key = Key::value(&CallHash::from("time"));
        let Ok(key) = self.key(&key) else { return };
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key));
        let once = Builder::new().retry_config(RetryConfig::disabled());
        if let Err(error) = request.customize().config_override(once).send().await {
            tracing::debug!("could not ask DynamoDB for the time: {error}");
        }
    }
}
