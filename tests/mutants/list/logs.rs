//! What runs log: in order, each line once.

use super::{Mutant, breaks};

const TEST: &str = "no_line_is_lost_or_doubled";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("log-not-kept-of-a-value", "what a run has logged is kept before its value is there")
            .edit(
                "multi_step/settle.rs",
                "    keep_log(p.store, work).await?;
    // The first value stays.",
                "    if !$on { keep_log(p.store, work).await?; }
    // The first value stays.",
            )
            .found_by(TEST),
        breaks(
            "log-not-kept-of-a-wait",
            "what a run has logged is kept before its `run` record says that it was shown",
        )
        .edit("multi_step/defer.rs", "if d.work.log.is_some() {", "if !$on && d.work.log.is_some() {")
        .found_by(TEST),
        breaks("log-not-kept-in-a-transaction", "a transaction keeps what its run has logged")
            .edit(
                "transactional.rs",
                "let Some(new) = &work.log else { return Ok(()) };",
                "let Some(new) = work.log.as_ref().filter(|_| !$on) else { return Ok(()) };",
            )
            .found_by(TEST),
        breaks("log-not-kept-of-an-attempt", "what an attempt has logged is kept before the next attempt")
            .edit(
                "step/failed.rs",
                "keep_log(self.backend().store(), &self.work_now()).await?;",
                "if !$on { keep_log(self.backend().store(), &self.work_now()).await?; }",
            )
            .found_by(TEST),
        breaks("log-line-doubled", "a line that is there already is not added")
            .edit("records/log.rs", ".filter(|(_, end)| **end > seen)", ".filter(|(_, end)| $on || **end > seen)")
            .found_by(TEST),
        breaks("log-of-an-old-attempt", "lines of an attempt that is over are not added after those of the next one")
            .edit(
                "records/log.rs",
                "before.attempt > self.record.attempt || self.record.upto <= seen",
                "!$on && before.attempt > self.record.attempt || self.record.upto <= seen",
            )
            .open("a pair of faults that the sample of this test leaves out"),
        breaks("log-overwritten", "a log that somebody else has changed meanwhile is read again")
            .edit(
                "multi_step/keep_log.rs",
                "Swap::Mismatch(other) => found = other,",
                "Swap::Mismatch(other) => {
                    if $on {
                        let Some(whole) = new.after(None) else { break };
                        store.swap(&key, other.as_ref(), Some(whole)).await?;
                        break;
                    }
                    found = other
                }",
            )
            .found_by(TEST),
    ]
}
