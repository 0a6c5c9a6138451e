//! Checks that the server does not evict keys. A server that evicts keys deletes records of jobs. A job would then
//! stop, and nobody would know why.

use brrr_protocol::error::{Error, ErrorKind, Result};
use redis::aio::ConnectionLike;
use redis::cmd;

/// # Errors
/// `Config` if the server may evict keys.
pub(super) async fn check(connection: &mut impl ConnectionLike, name: &str) -> Result<()> {
    match policy(connection).await {
        Some((limit, policy)) if limit > 0 && policy != "noeviction" => {
            let reason = format!(
                "its maxmemory-policy is {policy}, so it deletes records of jobs when its memory is full; set it to noeviction: \
                 CONFIG SET maxmemory-policy noeviction"
            );
            Err(Error::new(ErrorKind::Config, "redis", format!("use {name}"), reason))
        }
        Some(_) => Ok(()),
        None => {
            tracing::warn!(
                "{name} does not say what it does when its memory is full; its maxmemory-policy must be noeviction, or it may \
                 delete records of jobs"
            );
            Ok(())
        }
    }
}

/// `maxmemory` in bytes (0: no limit) and its policy. `None` if the server does not say, or does not say so to this
/// user.
async fn policy(connection: &mut impl ConnectionLike) -> Option<(u64, String)> {
    let info = cmd("INFO").arg("memory").query_async::<String>(connection).await.unwrap_or_default();
    let said = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    if let (Some(limit), Some(policy)) = (said("maxmemory"), said("maxmemory_policy")) {
        return Some((limit.trim().parse().ok()?, policy.trim().to_owned()));
    }
    let mut ask = cmd("CONFIG");
    let pairs: Vec<(String, String)> = ask.arg("GET").arg("maxmemory*").query_async(connection).await.ok()?;
    let said = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    Some((said("maxmemory")?.parse().ok()?, said("maxmemory-policy")?))
}
