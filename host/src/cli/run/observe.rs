//! What a worker tells of what happens.

use std::sync::Arc;

use brrr_protocol::events::Observer;
use brrr_protocol::model::hex;
use brrr_protocol::ports::Backend;
use brrr_worker::events::{Events, Outlets};
use brrr_worker::topic_worker::Shutdown;

use super::Args;
use crate::cli::Told;
use crate::exit::Exit;

/// Where events go, if anywhere, and what takes them there.
pub fn observe(
    args: &Args,
    backend: &Arc<dyn Backend>,
    shutdown: &Shutdown,
) -> anyhow::Result<(Option<Arc<dyn Observer>>, Outlets)> {
    let mut outlets = Outlets::default();
    if args.events.is_none() && !args.publish_events {
        return Ok((None, outlets));
    }
    let mut bits = [0; 3];
    // Only a name.
    let _ = getrandom::fill(&mut bits);
    let mut events = Events::new(format!("{}-{}", std::process::id(), hex(&bits)));
    if let Some(path) = &args.events {
        events.to_file(path, &mut outlets, shutdown.clone()).map_err(|error| {
            Told::new(Exit::Usage, format!("--events {}: can't be written: {error}", path.display()))
        })?;
    }
    if args.publish_events {
        if backend.events().is_none() {
            let text = format!("--publish-events: {} has no place for events; use --events FILE", backend.name());
            return Err(Told::new(Exit::BadBackend, text).into());
        }
        events.to_backend(backend.clone(), &mut outlets);
    }
    Ok((Some(Arc::new(events)), outlets))
}
