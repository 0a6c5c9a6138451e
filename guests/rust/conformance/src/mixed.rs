//! One job over components in several languages: its tasks carry the language in their names.

use brrr::{App, Error, Result, try_join_all};

#[brrr::handler]
pub fn rust_greet(name: String) -> String {
    format!("{name} from rust")
}

/// One child for each task, each on its topic, in one batch.
#[brrr::handler]
pub async fn rust_gather(
    app: App,
    name: String,
    tasks: Vec<String>,
    topics: Vec<Option<String>>,
) -> Result<Vec<String>> {
    if tasks.len() != topics.len() {
        return Err(Error::permanent("a topic for each task, or null"));
    }
    let children = tasks.into_iter().zip(topics).map(|(task, topic)| {
        let call = app.call::<String>(task).arg("name", name.as_str());
        match topic {
            Some(topic) => call.topic(topic),
            None => call,
        }
    });
    Ok(try_join_all(children).await?)
}
