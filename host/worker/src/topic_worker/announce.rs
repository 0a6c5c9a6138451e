//! Records the tasks that the workers of a topic handle, for other jobs and for gateways in other processes.

use bytes::Bytes;

use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Backend, Key, Swap};
use brrr_protocol::records::{TaskInfos, decode_task_infos, decode_tasks, encode_task_infos, encode_tasks};
use brrr_protocol::{ErrorKind, Result};

/// Adds tasks to the announced tasks of the topic, with what is known of them. No task is ever removed, because another worker
/// may handle it. What is known of a task is what the worker says that started last.
///
/// # Errors
/// When the store fails.
pub async fn announce(backend: &dyn Backend, topic: &Topic, tasks: &TaskInfos) -> Result<()> {
    update(backend, &Key::tasks(topic), |found| {
        let mut all = found.map(decode_tasks).transpose()?.unwrap_or_default();
        all.extend(tasks.keys().cloned());
        Ok(encode_tasks(&all))
    })
    .await?;
    let key = Key::task_info(topic);
    let infos = update(backend, &key, |found| {
        let mut all = found.map(decode_task_infos).transpose()?.unwrap_or_default();
        all.extend(tasks.clone());
        Ok(encode_task_infos(&all))
    });
    match infos.await {
        // The descriptions and schemas are too large for the store. Calls can be made without them.
        Err(error) if error.kind == ErrorKind::Limit => {
            tracing::warn!("the descriptions and schemas of topic {topic} are not announced: {error}");
            Ok(())
        }
        done => done,
    }
}

/// Changes a record. A record that is damaged, or of a newer version, is not replaced: a worker can work without it.
async fn update(backend: &dyn Backend, key: &Key, change: impl Fn(Option<&[u8]>) -> Result<Bytes>) -> Result<()> {
    let mut found = backend.store().get(key).await?;
    loop {
        let new = match change(found.as_deref()) {
            Ok(new) => new,
            Err(error) if error.is_unreadable() => {
                tracing::warn!("the tasks of topic {} are not announced: {error}", key.id);
                return Ok(());
            }
            Err(error) => return Err(error.of(key)),
        };
        if found.as_ref() == Some(&new) {
            return Ok(());
        }
        match backend.store().swap(key, found.as_ref(), Some(new)).await? {
            Swap::Done => return Ok(()),
            Swap::Mismatch(other) => found = other,
        }
    }
}
