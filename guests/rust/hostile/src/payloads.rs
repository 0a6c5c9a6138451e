//! Bytes: too many, too deep.

use brrr::{Call, Error, Failure, Result, try_join_all};

/// So many bytes as a result.
#[brrr::handler(raw)]
pub fn result(payload: Vec<u8>) -> Vec<u8> {
    let text = std::str::from_utf8(&payload).unwrap_or_default();
    let number = text.trim_matches(['[', ']']).split(' ').next_back().and_then(|n| n.parse().ok());
    vec![b'1'; number.unwrap_or(0)]
}

fn megabytes(n: u64, call: u64) -> Call<Vec<u8>> {
    Call::raw_named("result", format!("{call} {}", n << 20).into_bytes())
}

/// So many results of so many megabytes, at once. They are few bytes to ask for.
#[brrr::handler]
pub async fn results(calls: u64, megabytes_each: u64) -> Result<usize> {
    let all = try_join_all((0..calls).map(|call| megabytes(megabytes_each, call))).await?;
    Ok(all.iter().map(Vec::len).sum())
}

/// The same, one by one: this guest keeps none of them.
#[brrr::handler]
pub async fn results_in_turn(calls: u64, megabytes_each: u64) -> Result<usize> {
    let mut sum = 0;
    for call in 0..calls {
        sum += megabytes(megabytes_each, call).await?.len();
    }
    Ok(sum)
}

/// A result so many arrays deep.
#[brrr::handler(raw)]
pub fn nested(payload: Vec<u8>) -> Vec<u8> {
    let depth = std::str::from_utf8(&payload).ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut json = vec![b'['; depth];
    json.resize(2 * depth, b']');
    json
}

/// Such a payload, whose identity the host derives.
#[brrr::handler]
pub async fn nested_child(depth: usize) -> Result<usize> {
    let json = nested_json(depth);
    Ok(Call::raw_named("quiet", json).await?.len())
}

fn nested_json(depth: usize) -> Vec<u8> {
    let mut json = vec![b'['; depth];
    json.resize(2 * depth, b']');
    json
}

/// So many bytes to a call.
#[brrr::handler]
pub async fn payload(bytes: usize) -> Result<usize> {
    Ok(Call::raw_named("quiet", vec![b'1'; bytes]).await?.len())
}

/// So many bytes of a reason.
#[brrr::handler]
pub fn message(bytes: usize) -> Result<u64> {
    Err("no ".repeat(bytes / 3))?
}

/// So many bytes of an error's details.
#[brrr::handler(max_retries = 0)]
pub fn details(bytes: usize) -> Result<u64> {
    Err(Error::permanent("no").details(&"x".repeat(bytes)))
}

/// Promises that nobody answers: so many at once.
#[brrr::handler]
pub async fn promises(n: u64) -> Result<u64> {
    let promises = (0..n).map(|n| Call::<u64>::promise(n.to_string()));
    Ok(try_join_all(promises).await?.into_iter().sum())
}

/// A child's failure that no child had, with so many bytes in each part and so many links.
#[brrr::handler]
pub fn made_up_failure(bytes: usize, links: usize) -> Result<u64> {
    let long = "x".repeat(bytes);
    let mut failure = Failure::new(long.clone().into(), long.clone(), long.clone());
    failure.attempts = u32::MAX;
    failure.details = Some(long.clone().into_bytes().into());
    failure.chain = vec![long; links];
    Err(Error::Child(failure))
}
