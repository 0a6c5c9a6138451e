//! Calls: too many, of the wrong kind, by names that nobody would choose.

use brrr::{App, Call, Result, join_all, try_join, try_join_all};

fn quiet(n: u64) -> Call<Vec<u8>> {
    Call::raw_named("quiet", n.to_string().into_bytes())
}

/// So many different ones at once.
#[brrr::handler]
pub async fn many(app: App, n: u64) -> Result<usize> {
    let job = app.job_id.clone();
    Ok(join_all((0..n).map(|n| Call::raw_named("quiet", format!("{job} {n}").into_bytes()))).await.len())
}

/// One of them, so many times at once.
#[brrr::handler]
pub async fn same(n: u64) -> Result<usize> {
    Ok(join_all((0..n).map(|_| quiet(7))).await.len())
}

/// One more in every replay.
#[brrr::handler]
pub async fn endless(app: App) -> Result<u64> {
    for n in 0.. {
        Call::raw_named("quiet", format!("{} {n}", app.job_id).into_bytes()).await?;
    }
    Ok(0)
}

/// Each has two, and those have two.
#[brrr::handler]
pub async fn tree(app: App, id: u64) -> Result<u64> {
    let child = |id: u64| app.call::<u64>("tree").arg("id", id).hash(format!("{}-{id}", app.job_id));
    let (a, b) = try_join!(child(2 * id), child(2 * id + 1))?;
    Ok(a + b)
}

#[brrr::handler]
pub async fn itself(n: u64) -> Result<u64> {
    Ok(itself(n).await?)
}

#[brrr::handler]
pub async fn mutual(n: u64, of: u64) -> Result<u64> {
    Ok(mutual((n + 1) % of, of).await?)
}

/// One below the other, the last of which fails.
#[brrr::handler]
pub async fn chain(n: u64) -> Result<u64> {
    if n == 0 {
        return Err("the bottom")?;
    }
    Ok(chain(n - 1).await?)
}

/// A call with any task, topic and hash; `n` more of each letter.
#[brrr::handler]
pub async fn named(task: String, topic: String, hash: String, n: usize) -> Result<usize> {
    let mut call = Call::raw_named(task.repeat(n), b"1".to_vec());
    if !topic.is_empty() {
        call = call.topic(topic.repeat(n));
    }
    if !hash.is_empty() {
        call = call.hash(hash.repeat(n));
    }
    Ok(call.await?.len())
}

/// Calls with a long name each.
#[brrr::handler]
pub async fn labelled(label: String, n: usize) -> Result<usize> {
    let calls = (0..4).map(|i| quiet(i).label(label.repeat(n)));
    Ok(try_join_all(calls).await?.len())
}
