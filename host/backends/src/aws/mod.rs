//! The settings that all AWS services share: credentials, region, endpoint, HTTP, retries.
//!
//! All settings come from the usual sources of AWS tools: the environment (`AWS_ACCESS_KEY_ID`, `AWS_PROFILE`,
//! `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL_SQS`, …), the files in `~/.aws`,
//! the role of a container or a machine. This program has no option for a secret.

mod error;
mod retry;

use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use brrr_protocol::error::{Error, ErrorKind, Result};

pub(crate) use error::caught;
pub(crate) use retry::{TRIES, pause};

/// The longest time to connect. It is far below the lease, so that there is time for another server if one is away.
const CONNECT: Duration = Duration::from_secs(3);

/// The longest time for one attempt. DynamoDB's largest answer, 16 MB, takes less time even over a slow line.
const ATTEMPT: Duration = Duration::from_secs(10);

/// The most attempts at a request. With the pauses below, the last attempt comes about six seconds after the first. The
/// caller retries anyway, but it gives its message back before that.
const ATTEMPTS: u32 = 8;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The longest time to wait for the metadata service of EC2. On a machine of EC2 it answers within milliseconds. On a
/// laptop nothing answers.
const METADATA: Duration = Duration::from_millis(300);

/// An HTTP client with its own connections.
///
/// It uses ring for cryptography, like all other code here. The SDK's own choice, aws-lc, would be a second library.
pub(crate) fn http() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// The settings of both services, without region and credentials.
#[must_use]
pub fn loader() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http()).timeout_config(timeouts);
    // If the user sets these variables, they take precedence.
    if ["AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"].iter().any(|name| std::env::var_os(name).is_some()) {
        return loader;
    }
    // Exponential with full jitter. Not the adaptive mode, because it slows down all requests of a client when one key
    // is hot.
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_PAUSE)
        .with_max_backoff(LONGEST_PAUSE);
    loader.retry_config(retries)
}

/// The configuration of this process. Checks that there is a region and that there are credentials.
///
/// # Errors
/// `Config`, with the missing setting.
pub async fn config(backend: &'static str) -> Result<SdkConfig> {
    let provider = ProviderConfig::default().with_http_client(http());
    let metadata = imds::Client::builder()
        .configure(&provider)
        .connect_timeout(METADATA)
        .read_timeout(METADATA)
        .max_attempts(1)
        .build();
    let of_machine = imds::region::Builder::default().imds_client(metadata.clone()).build();
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(of_machine)
        .region()
        .await;
    let Some(region) = region else {
        let reason = "no AWS region is set; set AWS_REGION (for a server on this machine any will do: us-east-1)";
        return Err(Error::new(ErrorKind::Config, backend, "connect", reason));
    };
    let credentials = DefaultCredentialsChain::builder()
        .region(region.clone())
        .imds_client(metadata)
        .configure(provider.with_region(Some(region.clone())))
        .build()
        .await;
    // The credentials are requested here once. So a user without credentials gets an error that says so, not an error
    // that a table can't be read.
    credentials.provide_credentials().await.map_err(|error| error::of_credentials(backend, "connect", &error))?;
    Ok(loader().region(region).credentials_provider(credentials).load().await)
}
