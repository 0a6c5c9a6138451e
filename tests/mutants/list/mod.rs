//! The mutants: the rule that each mutant breaks, and the edits that break it.

mod abandon;
mod completion;
mod doctor;
mod failures;
mod gc;
mod jobs;
mod joining;
mod logs;
mod progress;
mod registration;
mod runs;
mod schedules;
mod shipping;
mod starting;
mod timers;
mod traces;
mod transactions;

/// A mutant: one rule, and the edits that break it.
pub struct Mutant {
    pub name: &'static str,
    /// The rule in its correct form.
    pub rule: &'static str,
    pub edits: Vec<Edit>,
    /// The test of the simulation that finds the mutant, if the default tests do not find it.
    pub look: &'static str,
    /// The number of random histories that are run for it.
    pub histories: u32,
    pub claim: Claim,
}

/// The expected result for a mutant.
#[derive(Clone, Copy)]
pub enum Claim {
    /// The simulation finds it.
    Found,
    /// The mutant does not change the behaviour in a way that a test could see. The text says why.
    Harmless(&'static str),
    /// The simulation cannot find it. The text names the test that does.
    Elsewhere(&'static str),
    /// It is not found yet. The text says what would find it.
    Open(&'static str),
}

/// A text that occurs exactly once in a file of `host/protocol/src`, and its replacement.
///
/// In the replacement, `$right` is the original text and `$on` is the mutant's switch. If the replacement does not contain `$on`,
/// the switch selects the whole replacement.
pub struct Edit {
    pub file: &'static str,
    pub right: &'static str,
    pub broken: &'static str,
}

/// Most mutants are found in the first thousand histories.
pub const HISTORIES: u32 = 6_000;

/// Creates a mutant without edits. The edits are added to it.
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

    /// Random histories find this mutant late, so it gets more of them.
    fn found_late(self) -> Self {
        Self { histories: 24 * HISTORIES, ..self }
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
        timers::all(),
        jobs::all(),
        joining::all(),
        logs::all(),
        traces::all(),
        schedules::all(),
        shipping::all(),
        starting::all(),
        progress::all(),
        doctor::all(),
        gc::all(),
        transactions::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
