//! Leads what libraries log by the crates `log` and `tracing` to the worker's output.

#[cfg(feature = "log")]
mod log;
#[cfg(feature = "tracing")]
mod tracing;

/// Connects the bridges that are built in. A handler that has set a logger of its own keeps it.
pub(crate) fn connect() {
    #[cfg(feature = "log")]
    log::connect();
    #[cfg(feature = "tracing")]
    tracing::connect();
}
