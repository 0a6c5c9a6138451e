//! The parts of paths, as the OpenAPI document describes them. The routes read them as texts.

#![expect(dead_code, reason = "the fields are only described")]

use utoipa::IntoParams;

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct JobParam {
    /// The job's id
    #[param(pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$")]
    job: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct CallParam {
    /// The call's hash
    #[param(pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$")]
    call: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PromiseParam {
    /// The promise's name
    #[param(pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$")]
    name: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TopicParam {
    /// The topic
    #[param(pattern = "^[A-Za-z0-9_-]{1,75}$")]
    topic: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct RevisionParam {
    /// The number of the revision
    revision: u64,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ScheduleParam {
    /// The schedule's name
    #[param(pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$")]
    name: String,
}
