//! Progress on stderr, only if that is a terminal: nothing of it ends up in a log file.

use std::fmt;
use std::time::Duration;

use brrr_worker::wasm::LoadStage;
use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::say;

/// What is being done to the component `name`.
pub fn stage(stage: LoadStage, name: &impl fmt::Display) -> String {
    match stage {
        LoadStage::Reading => format!("reading {name}"),
        LoadStage::Compiling { size } => format!("compiling {name} ({}), once", ByteSize(size)),
        LoadStage::Cached => format!("loading {name}"),
        LoadStage::Describing => format!("asking {name} for its tasks"),
    }
}

/// A line that moves while something takes long. Gone when dropped.
pub struct Spinner {
    bar: ProgressBar,
}

impl Spinner {
    /// Shows `text` once `quiet` has passed without an end: what is quick needs no progress.
    pub fn after(quiet: Duration, text: String) -> Self {
        // Hidden off a terminal by indicatif itself.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        // The template is a constant, and a spinner without a style still spins.
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

    /// Tells of steps that one wants to have seen: a line each, on any stderr, and then the text that moves.
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
