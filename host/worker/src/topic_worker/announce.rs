//! Records the tasks that the workers of a topic handle, for gateways in other processes.

use brrr_protocol::Result;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Backend, Key, Swap};
use brrr_protocol::records::{decode_tasks, encode_tasks};

/// Adds `tasks` to the announced tasks of the topic. No task is ever removed, because another worker may handle it.
///
/// # Errors
/// When the store fails.
pub async fn announce(backend: &dyn Backend, topic: &Topic, tasks: &[String]) -> Result<()> {
    let key = Key::tasks(topic);
    let mut found = backend.store().get(&key).await?;
    loop {
        let mut all = match found.as_deref().map(decode_tasks).transpose().map_err(|e| e.of(&key)) {
            Ok(all) => all.unwrap_or_default(),
            // The list is damaged, or of a newer version. It must not be replaced then. The worker can work without it,
            // because only
            // gateways use it.
            Err(error) if error.is_unreadable() => {
                tracing::warn!("the tasks of topic {topic} are not announced: {error}");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let before = all.len();
        all.extend(tasks.iter().cloned());
        if all.len() == before && found.is_some() {
            return Ok(());
        }
        match backend.store().swap(&key, found.as_ref(), Some(encode_tasks(&all))).await? {
            Swap::Done => return Ok(()),
            Swap::Mismatch(other) => found = other,
        }
    }
}
