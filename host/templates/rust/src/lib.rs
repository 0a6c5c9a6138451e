//! Handlers of tasks; `brrr-host build` makes one component of this crate.

use brrr::{Result, try_join_all};
use serde::{Deserialize, Serialize};

#[brrr::handler]
fn hello(greetee: String) -> String {
    let greeting = format!("Hello, {greetee}!");
    brrr::println!("{greeting}"); // appears on the worker's output
    greeting
}

#[derive(Serialize, Deserialize)]
pub struct Dice {
    rolls: Vec<u64>,
    sum: u64,
}

/// Run again from its beginning once the rolls are there, so it must come to the same calls again. The rolls are queued
/// together, and each is run once, by whichever worker is free.
#[brrr::handler]
async fn dice(count: u64) -> Result<Dice> {
    let rolls = try_join_all((0..count).map(roll)).await?;
    let sum = rolls.iter().sum();
    Ok(Dice { rolls, sum })
}

/// A leaf has the real clock and real random numbers: the place for all that is not the same every time.
#[brrr::handler(leaf)]
fn roll(nth: u64) -> u64 {
    // The number of the roll only makes each a call of its own: the same call made twice is run once.
    let _ = nth;
    1 + brrr::system::random() % 6
}

brrr::worker!(hello, dice, roll);
