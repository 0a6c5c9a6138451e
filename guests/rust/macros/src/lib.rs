//! The attribute macros of the crate `brrr`; use them from there.

mod attributes;
mod handler;
mod signature;

use proc_macro::TokenStream;

/// Makes a function a task handler: `#[brrr::handler] async fn fib(n: u64) -> brrr::Result<u64> { … }`
///
/// The parameters are the task's arguments by name; each type implements serde's `Deserialize`, and
/// `Serialize` if the function is called. Its value implements `Serialize`, and `Deserialize` if a call of it is awaited. An
/// `Option` may be left out by callers, and serde's field attributes work (`#[serde(default)] n: u64`).
/// `#[args] all: MyStruct` as the only parameter takes all arguments as one struct or map. A first parameter of type
/// `brrr::App` is the call at hand, and no argument.
///
/// It gives a `Result` with any error that `brrr::Error` can be made of, or a plain value; both as JSON.
///
/// Afterwards `fib(11)` is a `brrr::Call<u64>`: awaited inside another handler (or itself), it calls the task.
///
/// # Options
/// ```ignore
/// #[brrr::handler(name = "…", timeout = "10s", max_retries = 3, retry_delay = "1s", backoff = "fixed",
///     max_retry_delay = "1m", max_running = 2, memory = "64MiB", scope = "job", leaf, raw, schema)]
/// ```
/// What is not given is the worker's choice. A duration is a whole number of `ms`, `s`, `m`, `h` or `d`.
/// The doc comment is the task's description, which `brrr-host inspect` shows.
///
/// - `name`: the task's name, where it is not the function's.
/// - `timeout`: how long one run may take.
/// - `max_retries`: how often it is run again after a failure that may pass: a retryable error, a trap, or running out
///   of time or memory.
/// - `retry_delay`: the pause before the first of those.
/// - `backoff`: `"exponential"` (each pause is twice the one before, `max_retry_delay` at most) or `"fixed"`.
/// - `max_running`: how many runs of this task one worker has at once.
/// - `memory`: what one run may have, as a whole number of `KiB`, `MiB` or `GiB`. The worker may allow less.
/// - `scope`: who shares its values: `"fleet"` (every job), `"job"` (one job, and the jobs that retry it), or a duration (every
///   job, for at most that long).
/// - `schema`: JSON Schemas of arguments and result, from their types, which implement `schemars::JsonSchema`. It needs the
///   feature `schema` of `brrr`. Without it they can be given as text: `input_schema = "{…}"`, `output_schema = "{…}"`.
/// - `leaf`: it calls nobody, and has the real clock, sleep and random numbers.
/// - `raw`: its one parameter and its value are `Vec<u8>`, not JSON.
#[proc_macro_attribute]
pub fn handler(attribute: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Declares a task that another worker serves, to call it with types:
/// `#[brrr::remote(topic = "brrr-ts-demo")] async fn lucas(n: u64) -> u64;`
///
/// Then `lucas(11)` is a `brrr::Call<u64>`. Options: `name`, `topic`, `raw`, as for `handler`.
#[proc_macro_attribute]
pub fn remote(attribute: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand_remote(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
