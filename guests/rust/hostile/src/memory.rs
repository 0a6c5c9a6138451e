//! More memory, and more stack, than there is.

use std::hint::black_box;

use brrr::log::{Level, write};

/// Large pieces.
#[brrr::handler]
pub fn grow() -> usize {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1_u8; 1 << 20]);
        black_box(&kept);
    }
}

/// Small pieces.
#[brrr::handler]
pub fn crumbs() -> usize {
    let mut kept: Vec<Box<[u8; 24]>> = Vec::new();
    loop {
        kept.push(Box::new([1; 24]));
        black_box(&kept);
    }
}

/// All that there are addresses for, at once; as often as it likes.
#[brrr::handler]
pub fn four_gib() -> usize {
    #[cfg(target_family = "wasm")]
    loop {
        black_box(core::arch::wasm32::memory_grow::<0>(65_535));
    }
    #[cfg(not(target_family = "wasm"))]
    0
}

#[brrr::handler]
pub fn recurse() -> u64 {
    deeper(0, false)
}

/// Calls the host from every depth, so also from the last one.
#[brrr::handler]
pub fn recurse_in_host() -> u64 {
    deeper(0, true)
}

fn deeper(n: u64, tell: bool) -> u64 {
    if tell {
        write(Level::Trace, format_args!(""), &[]);
    }
    if black_box(n) == u64::MAX {
        return n;
    }
    black_box(deeper(n + 1, tell) + 1)
}
