//! Progress on stderr, only if stderr is a terminal, so that no progress is written to log files.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use brrr_worker::signatures::TrustedKeys;
use brrr_worker::wasm::{Engine, Guest, LoadError, LoadStage};
use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::say;

/// The text for a stage of loading the component `name`.
fn stage(stage: LoadStage, name: &impl fmt::Display) -> String {
    match stage {
        LoadStage::Reading => format!("reading {name}"),
        LoadStage::Compiling { size } => format!("compiling {name} ({}), once", ByteSize(size)),
        LoadStage::Cached => format!("loading {name}"),
        LoadStage::Describing => format!("asking {name} for its tasks"),
    }
}

/// Loads a component that is in memory, if one of these keys has signed it, and shows the progress. `path` names it.
///
/// # Errors
/// When this host can't serve it, or no trusted key has signed it.
pub async fn load_signed(
    engine: &Arc<Engine>,
    path: &Path,
    bytes: Vec<u8>,
    trust: (&TrustedKeys, Vec<String>),
) -> Result<Guest, LoadError> {
    let name = path.display();
    let spinner = Spinner::after(Duration::from_millis(300), format!("loading {name}"));
    Guest::from_signed(engine, path, bytes, trust, &|of| spinner.say(stage(of, &name))).await
}

/// A line that is animated while an operation takes long. It disappears when dropped.
pub struct Spinner {
    bar: ProgressBar,
}

impl Spinner {
    /// Shows `text` after `quiet`, unless it was dropped before: a quick operation needs no progress.
    pub fn after(quiet: Duration, text: String) -> Self {
        // indicatif itself hides the line if stderr is no terminal.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        // The template is a constant, so this does not fail. If it did, the spinner would work without a style.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(text);
        let shown = bar.clone();
        tokio::spawn(async move {
            tokio::time::sleep(quiet).await;
            if !shown.is_finished() {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(Duration::from_millis(120));
            }
        });
        Self { bar }
    }

    pub fn say(&self, text: String) {
        self.bar.set_message(text);
    }

    /// A callback that reports steps. Each step is printed as a line on stderr, whether or not stderr is a terminal,
    /// and then becomes the animated text.
    pub fn steps(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let bar = self.bar.clone();
        move |step| {
            bar.suspend(|| say(format_args!("{step}")));
            bar.set_message(step.to_owned());
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
