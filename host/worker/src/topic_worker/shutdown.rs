//! Handles Ctrl-C and SIGTERM: the first signal asks to drain, the second signal ends the process at once. SIGHUP,
//! which a terminal sends when it closes, also asks to drain. Further SIGHUPs change nothing, because the terminal and
//! its shell may both send one. A process that was started with SIGHUP ignored (`nohup`) continues to ignore it.

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
    /// The program around the worker asked for it.
    Requested,
    /// The reader of the worker's output is gone.
    OutputClosed,
    /// The backend needs to be repaired by a person. The worker returns the error.
    Failed,
}

impl StopReason {
    /// The signal's name. `None`: the reason is no signal.
    #[must_use]
    pub fn signal(self) -> Option<&'static str> {
        match self {
            Self::Interrupt => Some("Ctrl-C"),
            Self::Terminate => Some("SIGTERM"),
            Self::HangUp => Some("SIGHUP"),
            Self::Requested | Self::OutputClosed | Self::Failed => None,
        }
    }

    /// Does a second signal of this kind mean that the process must stop at once?
    fn counts_twice(self) -> bool {
        self != Self::HangUp
    }
}

/// Asks a worker to stop, and lets others wait for that.
#[derive(Clone, Debug)]
pub struct Shutdown {
    // Every clone keeps the sender, so waiting never ends because the other side was dropped.
    sender: watch::Sender<Option<StopReason>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { sender: watch::Sender::new(None) }
    }
}

impl Shutdown {
    /// A `Shutdown` that listens to signals. `first` is called at the first signal. `second` is called at the second
    /// signal, and may end the process: no work is lost, because the held messages are delivered again when their
    /// leases run out.
    ///
    /// A thread of its own listens, because a runtime whose threads are busy with guests would notice a signal late.
    ///
    /// # Errors
    /// When the operating system refuses the thread or the handlers.
    pub fn on_signals(
        first: impl Fn(StopReason) + Send + 'static,
        second: impl Fn(StopReason) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shutdown = Self::default();
        let to_stop = shutdown.clone();
        let mut begun = false;
        let mut asked = false;
        listen(move |signal| {
            let again = asked;
            asked |= signal.counts_twice();
            if !begun {
                begun = true;
                first(signal);
                to_stop.begin(signal);
            } else if again && signal.counts_twice() {
                second(signal);
            }
        })?;
        Ok(shutdown)
    }

    /// A `Shutdown` that ignores further signals, for a process that another process supervises.
    ///
    /// # Errors
    /// As `on_signals`.
    pub fn on_any_signal() -> std::io::Result<Self> {
        let shutdown = Self::default();
        let to_stop = shutdown.clone();
        listen(move |signal| to_stop.begin(signal))?;
        Ok(shutdown)
    }

    /// Asks to stop. Only the first reason is kept.
    pub fn begin(&self, why: StopReason) {
        self.sender.send_if_modified(|reason| {
            reason.is_none() && {
                *reason = Some(why);
                true
            }
        });
    }

    /// The reason to stop. `None`: nobody has asked to stop.
    #[must_use]
    pub fn begun(&self) -> Option<StopReason> {
        *self.sender.borrow()
    }

    /// Waits until somebody asks to stop, and returns the reason.
    pub async fn wait(&self) -> StopReason {
        let mut receiver = self.sender.subscribe();
        match receiver.wait_for(Option::is_some).await {
            Ok(reason) => reason.unwrap_or(StopReason::Requested),
            // This can't happen, because `self` holds a sender.
            Err(_) => StopReason::Requested,
        }
    }
}

/// Calls `heard` at each signal.
fn listen(mut heard: impl FnMut(StopReason) + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    // The handlers are registered here, before this function returns, and not when the thread starts to run.
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

/// Was this process started with SIGHUP ignored? Listening to the signal would end that.
fn ignores_hang_up() -> bool {
    let mut found = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    #[expect(unsafe_code, reason = "neither the standard library nor rustix can ask for a signal's disposition")]
    // SAFETY: the call changes nothing, and `found` is read only if the call has filled it.
    unsafe {
        libc::sigaction(libc::SIGHUP, std::ptr::null(), found.as_mut_ptr()) == 0
            && found.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
