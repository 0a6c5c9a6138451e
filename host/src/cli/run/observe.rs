//! Connects a worker with the outlets for its events.

use std::sync::Arc;

use brrr_protocol::events::Observer;
use brrr_protocol::ports::Backend;
use brrr_worker::events::{Events, Outlets};
use brrr_worker::topic_worker::Shutdown;

use super::RunCommand;
use crate::cli::ExitError;
use crate::exit::Exit;

/// The observer of the events of the worker of this name, if there is an outlet, and the outlets themselves.
pub fn observe(
    args: &RunCommand,
    name: &str,
    backend: &Arc<dyn Backend>,
    shutdown: &Shutdown,
) -> anyhow::Result<(Option<Arc<dyn Observer>>, Outlets)> {
    let mut outlets = Outlets::default();
    // Clients of the gateway follow the events.
    let publishes = args.publish_events || args.http.is_some() && backend.events().is_some();
    if args.events.is_none() && !publishes {
        return Ok((None, outlets));
    }
    let mut events = Events::new(name.to_owned());
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
