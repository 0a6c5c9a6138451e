//! Connects a worker with the outlets for its events.

use std::sync::Arc;

use brrr_protocol::events::Observer;
use brrr_protocol::model::hex;
use brrr_protocol::ports::Backend;
use brrr_worker::events::{Events, Outlets};
use brrr_worker::topic_worker::Shutdown;

use super::RunCommand;
use crate::cli::ExitError;
use crate::exit::Exit;

/// The observer of the events, if there is an outlet, and the outlets themselves.
pub fn observe(
    args: &RunCommand,
    backend: &Arc<dyn Backend>,
    shutdown: &Shutdown,
) -> anyhow::Result<(Option<Arc<dyn Observer>>, Outlets)> {
    let mut outlets = Outlets::default();
    // Clients of the gateway follow the events.
    let publishes = args.publish_events || args.http.is_some() && backend.events().is_some();
    if args.events.is_none() && !publishes {
        return Ok((None, outlets));
    }
    let mut bits = [0; 3];
    // The random bits are only part of a name, so a failure does not matter.
    let _ = getrandom::fill(&mut bits);
    let mut events = Events::new(format!("{}-{}", std::process::id(), hex(&bits)));
    if let Some(path) = &args.events {
        events.to_file(path, &mut outlets, shutdown.clone()).map_err(|error| {
            ExitError::new(Exit::Usage, format!("--events {}: can't be written: {error}", path.display()))
        })?;
    }
    if publishes {
        if backend.events().is_none() {
            let text = format!("--publish-events: {} keeps no events; use --events FILE", backend.name());
            return Err(ExitError::new(Exit::BadBackend, text).into());
        }
        events.to_backend(backend.clone(), &mut outlets);
    }
    Ok((Some(Arc::new(events)), outlets))
}
