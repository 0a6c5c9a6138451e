//! The mutants: what each breaks, and how.

mod abandon;
mod completion;
mod doctor;
mod failures;
mod gc;
mod jobs;
mod joining;
mod registration;
mod runs;
mod transactions;

/// One rule, broken.
pub struct Mutant {
    pub name: &'static str,
    /// The rule, as it ought to be kept.
    pub rule: &'static str,
    pub edits: Vec<Edit>,
    /// The test of the simulation that finds it, if those that are tried anyhow don't.
    pub look: &'static str,
    /// Random histories that it gets.
    pub histories: u32,
    pub claim: Claim,
}

/// What is said of a mutant.
#[derive(Clone, Copy)]
pub enum Claim {
    /// The simulation finds it.
    Found,
    /// Nobody can tell it from what is right; why.
    Harmless(&'static str),
    /// The simulation can't see it; which test does.
    Elsewhere(&'static str),
    /// It is not found yet; what would find it.
    Open(&'static str),
}

/// A piece of text that stands exactly once in a file of `host/protocol/src`, and what stands there instead.
///
/// `$right` in the replacement is that text, `$on` the mutant's switch. Without `$on` the whole replacement stands behind the
/// switch.
pub struct Edit {
    pub file: &'static str,
    pub right: &'static str,
    pub broken: &'static str,
}

/// Most mutants are found in the first thousand.
pub const HISTORIES: u32 = 6_000;

/// A mutant to which its edits are added.
const fn breaks(name: &'static str, rule: &'static str) -> Mutant {
    Mutant { name, rule, edits: Vec::new(), look: "", histories: HISTORIES, claim: Claim::Found }
}

impl Mutant {
    fn edit(mut self, file: &'static str, right: &'static str, broken: &'static str) -> Self {
        self.edits.push(Edit { file, right, broken });
        self
    }

    fn found_by(self, look: &'static str) -> Self {
        Self { look, ..self }
    }

    /// Random histories find it late.
    fn found_late(self) -> Self {
        Self { histories: 5 * HISTORIES, ..self }
    }

    fn harmless(self, why: &'static str) -> Self {
        Self { claim: Claim::Harmless(why), ..self }
    }

    fn elsewhere(self, test: &'static str) -> Self {
        Self { claim: Claim::Elsewhere(test), ..self }
    }

    fn open(self, wanted: &'static str) -> Self {
        Self { claim: Claim::Open(wanted), ..self }
    }
}

/// Every mutant.
pub fn all() -> Vec<Mutant> {
    [
        registration::all(),
        completion::all(),
        failures::all(),
        abandon::all(),
        runs::all(),
        jobs::all(),
        joining::all(),
        doctor::all(),
        gc::all(),
        transactions::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
