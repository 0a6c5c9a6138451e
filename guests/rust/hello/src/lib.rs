//! A first worker: `brrr-host run --topic demo rust-hello.wasm`, then `brrr-host call --topic demo fib '{"n": 30}'`.

use brrr::{Result, try_join};

#[brrr::handler]
fn hello(greetee: String) -> String {
    let greeting = format!("Hello, {greetee}!");
    brrr::println!("{greeting}");
    greeting
}

/// Looks recursive, runs as a graph: every `fib(n)` is a call of its own, run once and remembered.
#[brrr::handler]
async fn fib(n: u64) -> Result<u64> {
    if n < 2 {
        return Ok(n);
    }
    let (a, b) = try_join!(fib(n - 1), fib(n - 2))?;
    Ok(a + b)
}

brrr::worker!(hello, fib);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fib_of_30() {
        assert_eq!(brrr::testing::run(TASKS, fib(30)), Ok(832_040));
    }
}
