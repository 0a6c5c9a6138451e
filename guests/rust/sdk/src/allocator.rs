//! A global allocator that starts inside the initial memory.
//!
//! Rust's own for WebAssembly grows the memory at its first allocation, hence in every run. That is an `mprotect` in the
//! host, and another when the instance is reset, which double the cost of a run and take turns on one lock: two threads
//! ran fewer handlers than one.

use core::alloc::Layout;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use std::arch::wasm32::memory_grow;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

/// Enough for the handlers that juggle calls and JSON. It is zero-initialised memory: it takes no room in the component,
/// and pages that a run does not touch cost nothing.
const ARENA_BYTES: usize = 512 * 1024;

/// The least by which memory grows once the arena is full: few, large steps.
const GROW_PAGES: usize = 16;

const PAGE_BYTES: usize = 64 * 1024;

static mut ARENA: [MaybeUninit<u8>; ARENA_BYTES] = [MaybeUninit::uninit(); ARENA_BYTES];

#[global_allocator]
static ALLOCATOR: TalcSyncCell<ArenaThenGrow, WasmBinning> =
    TalcSyncCell::new_wasm(ArenaThenGrow { arena_claimed: false, end: None });

/// First the arena, then ever more of the linear memory.
#[derive(Debug)]
struct ArenaThenGrow {
    arena_claimed: bool,
    /// Where the memory that we grew last ends; more right behind it extends it.
    end: Option<NonNull<u8>>,
}

// SAFETY: it allocates nothing itself, and touches the allocator only through the reference that it is given.
unsafe impl Source for ArenaThenGrow {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        if !talc.source.arena_claimed {
            talc.source.arena_claimed = true;
            // SAFETY: nothing else refers to ARENA, and this runs once.
            unsafe { talc.claim((&raw mut ARENA).cast(), ARENA_BYTES) };
            return Ok(());
        }
        // Twice the alignment covers the allocator's own tags at both ends of a region.
        let bytes = layout.size().checked_add(layout.align().max(64) * 2).ok_or(())?;
        let pages = bytes.div_ceil(PAGE_BYTES).max(GROW_PAGES);
        let before = memory_grow::<0>(pages);
        if before == usize::MAX {
            return Err(());
        }
        let base = (before * PAGE_BYTES) as *mut u8;
        let end = base.wrapping_add(pages * PAGE_BYTES);
        let last = talc.source.end.take();
        // SAFETY: the pages from `base` to `end` are new, hence nobody else's.
        talc.source.end = unsafe {
            match last {
                Some(last) if last.as_ptr() == base => Some(talc.extend(last, end)),
                _ => talc.claim(base, pages * PAGE_BYTES),
            }
        };
        Ok(())
    }
}
