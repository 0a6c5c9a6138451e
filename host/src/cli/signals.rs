//! What the user sees after Ctrl-C and SIGTERM.

use std::io;

use brrr_worker::topic_worker::{Shutdown, StopReason};

use crate::exit::Exit;

/// Listens to signals. Each closure gets the name of the signal. `first` is called at the first signal, which asks to
/// stop.
/// `second` is called at the second signal, just before the process ends.
///
/// # Errors
/// When the operating system refuses the thread or the handlers.
pub fn on_signals(
    first: impl Fn(&str) + Send + 'static,
    second: impl Fn(&str) + Send + 'static,
) -> io::Result<Shutdown> {
    let name = |reason: StopReason| reason.signal().unwrap_or("a signal");
    Shutdown::on_signals(
        move |reason| first(name(reason)),
        move |reason| {
            second(name(reason));
            std::process::exit(Exit::from(reason).code().into());
        },
    )
}
