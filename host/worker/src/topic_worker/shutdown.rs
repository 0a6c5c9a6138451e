//! Ctrl-C and SIGTERM: the first one asks to drain, the second one ends the process at once. SIGHUP, which a terminal sends
//! when it closes, asks to drain as well, however often it comes: the terminal and its shell may both send it. A process
//! that was started to ignore it (`nohup`) does.

use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Why a worker stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Ctrl-C (SIGINT).
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    HangUp,
    /// The program that the worker is part of asked for it.
    Requested,
    /// Nobody reads the worker's output any more.
    OutputClosed,
    /// The backend needs a person. The worker returns the error.
    Failed,
}

impl StopReason {
    /// The signal's name, if it was one.
    #[must_use]
    pub fn signal(self) -> Option<&'static str> {
        match self {
            Self::Interrupt => Some("Ctrl-C"),
            Self::Terminate => Some("SIGTERM"),
            Self::HangUp => Some("SIGHUP"),
            Self::Requested | Self::OutputClosed | Self::Failed => None,
        }
    }

    /// Does a second one mean that the process is to stop at once?
    fn counts_twice(self) -> bool {
        self != Self::HangUp
    }
}

/// Something that can be told to stop, and waited for.
#[derive(Clone, Debug)]
pub struct Shutdown {
    // The sender is kept in every clone, so that waiting never ends because the other side went away.
    sender: watch::Sender<Option<StopReason>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { sender: watch::Sender::new(None) }
    }
}

impl Shutdown {
    /// One that listens to signals. `first` is called at the first one. `second` is called at the second one, and may end the
    /// process: nothing is lost, because what is being worked on comes back when its lease runs out.
    ///
    /// A thread of its own listens: a runtime whose threads are all busy with guests would hear a signal late.
    ///
    /// # Errors
    /// When the operating system refuses the thread or the handlers.
    pub fn on_signals(
        first: impl Fn(StopReason) + Send + 'static,
        second: impl Fn(StopReason) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shutdown = Self::default();
        let told = shutdown.clone();
        let mut begun = false;
        let mut asked = false;
        listen(move |signal| {
            let again = asked;
            asked |= signal.counts_twice();
            if !begun {
                begun = true;
                first(signal);
                told.begin(signal);
            } else if again && signal.counts_twice() {
                second(signal);
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
        listen(move |signal| told.begin(signal))?;
        Ok(shutdown)
    }

    /// Asks to stop; the first reason stands.
    pub fn begin(&self, why: StopReason) {
        self.sender.send_if_modified(|reason| {
            reason.is_none() && {
                *reason = Some(why);
                true
            }
        });
    }

    /// Why it was asked to stop; `None`: it was not.
    #[must_use]
    pub fn begun(&self) -> Option<StopReason> {
        *self.sender.borrow()
    }

    /// Returns once it was asked to stop, with the reason.
    pub async fn wait(&self) -> StopReason {
        let mut receiver = self.sender.subscribe();
        match receiver.wait_for(Option::is_some).await {
            Ok(reason) => reason.unwrap_or(StopReason::Requested),
            // Can't be: `self` holds a sender.
            Err(_) => StopReason::Requested,
        }
    }
}

/// Calls `heard` at each signal.
fn listen(mut heard: impl FnMut(StopReason) + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    // Registered before anybody can rely on it, not whenever the thread gets to run.
    let (mut interrupt, mut terminate, mut hang_up) = {
        let _guard = runtime.enter();
        let hang_up = if ignores_hang_up() { None } else { Some(signal(SignalKind::hangup())?) };
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, hang_up)
    };
    thread::Builder::new().name("brrr-signals".into()).spawn(move || {
        runtime.block_on(async {
            loop {
                let signal = tokio::select! {
                    _ = interrupt.recv() => StopReason::Interrupt,
                    _ = terminate.recv() => StopReason::Terminate,
                    Some(_) = async { hang_up.as_mut()?.recv().await } => StopReason::HangUp,
                };
                heard(signal);
            }
        });
    })?;
    Ok(())
}

/// Was this process started with SIGHUP ignored? To listen to a signal would end that.
fn ignores_hang_up() -> bool {
    let mut found = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    #[expect(unsafe_code, reason = "neither the standard library nor rustix can ask for a signal's disposition")]
    // SAFETY: nothing is changed, and `found` is only read if the call has filled it.
    unsafe {
        libc::sigaction(libc::SIGHUP, std::ptr::null(), found.as_mut_ptr()) == 0
            && found.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
