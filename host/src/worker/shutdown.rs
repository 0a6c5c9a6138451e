//! Ctrl-C and SIGTERM: the first one asks to drain, the second one ends the process at once.

use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit::Exit;

/// Something that can be told to stop, and waited for.
#[derive(Clone, Debug)]
pub struct Shutdown {
    // The sender is kept in every clone, so that waiting never ends because the other side went away.
    sender: watch::Sender<Option<Exit>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { sender: watch::Sender::new(None) }
    }
}

impl Shutdown {
    /// One that listens to signals. `first` is called at the first one, `second` just before the process ends.
    ///
    /// A thread of its own listens: a runtime whose threads are all busy with guests would hear a signal late.
    ///
    /// # Errors
    /// When the operating system refuses the thread or the handlers.
    pub fn on_signals(
        first: impl Fn(&str) + Send + 'static,
        second: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shutdown = Self::default();
        let told = shutdown.clone();
        let mut begun = false;
        listen(move |name, exit| {
            if !begun {
                begun = true;
                first(name);
                told.begin(exit);
            } else {
                second(name);
                // Nothing is lost: what was being worked on comes back when its lease runs out.
                std::process::exit(exit.code().into());
            }
        })?;
        Ok(shutdown)
    }

    /// One that takes a further signal for the same request: for a process that somebody else watches over.
    ///
    /// # Errors
    /// As `on_signals`.
    pub fn on_any_signal() -> std::io::Result<Self> {
        let shutdown = Self::default();
        let told = shutdown.clone();
        listen(move |_, exit| told.begin(exit))?;
        Ok(shutdown)
    }

    /// Asks to stop; the first reason stands.
    pub fn begin(&self, why: Exit) {
        self.sender.send_if_modified(|reason| {
            reason.is_none() && {
                *reason = Some(why);
                true
            }
        });
    }

    /// Why it was asked to stop; `None`: it was not.
    #[must_use]
    pub fn begun(&self) -> Option<Exit> {
        *self.sender.borrow()
    }

    /// Returns once it was asked to stop, with the reason.
    pub async fn wait(&self) -> Exit {
        let mut receiver = self.sender.subscribe();
        match receiver.wait_for(Option::is_some).await {
            Ok(reason) => reason.unwrap_or(Exit::Fault),
            // Can't be: `self` holds a sender.
            Err(_) => Exit::Fault,
        }
    }
}

/// Calls `heard` at each signal, with its name and the exit code that stands for it.
fn listen(mut heard: impl FnMut(&str, Exit) + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    // Registered before anybody can rely on it, not whenever the thread gets to run.
    let (mut interrupt, mut terminate) = {
        let _guard = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new().name("brrr-signals".into()).spawn(move || {
        runtime.block_on(async {
            loop {
                let (name, exit) = tokio::select! {
                    _ = interrupt.recv() => ("Ctrl-C", Exit::Interrupted),
                    _ = terminate.recv() => ("SIGTERM", Exit::Terminated),
                };
                heard(name, exit);
            }
        });
    })?;
    Ok(())
}
