//! Runs a case in every useful order of arrival.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use brrr_protocol::Result;
use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, JobId, Outcome};
use brrr_worker::wasm::Touch;

use super::cases::Case;
use super::children::{Children, Unanswered};
use super::life::{Life, Ran, RunEnd, Runner};
use super::orders::{EVERY_POINT, Order, plan, sample};
use super::payload::show_call;
use super::report::CaseReport;
use super::trace::{Trace, not_continued, parted};
use super::verdict;

/// The limits of the search.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The number of shuffled orders of arrival.
    pub shuffles: u64,
    /// The seed of the first shuffled order.
    pub seed: u64,
    /// The most calls that a case may make.
    pub max_calls: usize,
}

/// A callback that reports the progress of a case.
pub type Watcher<'a> = &'a (dyn Fn(&str) + Sync);

/// The most runs of one call in one order. Each run begins from the start and asks again for all earlier calls. So the
/// effort is quadratic for a handler that makes its calls one by one.
const MAX_RUNS: usize = 2_000;

/// The most winners of a race that are tested, and the most children that are made to fail.
const MAX_WINNERS: usize = 8;
const MAX_FAILING: usize = 12;

/// The most children that are made to fail in a case with many children, because a run takes long there.
const FAILING_OF_MANY: usize = 5;

/// The time left that the guest sees in the two runs of one state. Every threshold of a handler lies between the two.
const PLENTY: Duration = Duration::from_hours(24);
const NO_TIME: Duration = Duration::ZERO;

/// One order of arrival, from the first run to the end.
pub(super) struct History {
    pub order: Order,
    /// `None`: the call did not end.
    pub end: Option<Outcome>,
    /// The trace of the last run.
    pub trace: Trace,
    pub output: Vec<String>,
    /// The most calls that a run waited for at once.
    pub widest: usize,
    /// The most calls of a race.
    pub widest_race: usize,
    /// How many waits had calls and a time.
    pub timed: usize,
    /// The calls that were asked for, in this order.
    pub asked: Vec<Call>,
}

/// Tests a case.
///
/// # Errors
/// When the cause is not the case: a bug of this program.
pub async fn explore(runner: &Runner, case: &Case, settings: &Settings, watch: Watcher<'_>) -> Result<CaseReport> {
    let start = Instant::now();
    if runner.task(&case.call.task).is_none() {
        return Ok(verdict::unknown_task(case, runner.handler()));
    }
    let mut explorer = Explorer {
        runner,
        case,
        children: Children::new(runner, case, settings.max_calls),
        report: verdict::empty(case),
        calls: HashMap::new(),
        touched: Vec::new(),
        watch,
    };
    explorer.all(settings).await?;
    let Explorer { children, mut report, touched, .. } = explorer;
    report.child_runs = children.runs;
    for (task, finding) in &children.findings {
        verdict::sdk_finding(&mut report, task, finding, &Order::AtOnce);
    }
    report.calls = children.seen.len();
    verdict::touched(&mut report, &touched, runner.is_leaf(&case.call.task));
    if report.end.is_some() {
        verdict::unused(&mut report, &children);
    }
    report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    report.time = start.elapsed();
    Ok(report)
}

struct Explorer<'a> {
    runner: &'a Runner,
    case: &'a Case,
    children: Children<'a>,
    report: CaseReport,
    /// The calls that any run of the task has asked for, for messages.
    calls: HashMap<CallHash, Call>,
    touched: Vec<Touch>,
    watch: Watcher<'a>,
}

impl Explorer<'_> {
    async fn all(&mut self, settings: &Settings) -> Result<()> {
        let base = self.history(Order::AtOnce).await?;
        self.report.end.clone_from(&base.end);
        self.report.output.clone_from(&base.output);
        let leaf = self.runner.is_leaf(&self.case.call.task);
        verdict::expected(&mut self.report, self.case, &base, leaf);
        // If the first order does not end, or runs out of time or memory, the other orders would do the same.
        let hopeless = match &base.end {
            None => true,
            // The failure began in this call, and not in a child.
            Some(Err(failure)) => {
                matches!(failure.kind, FailureKind::Timeout | FailureKind::Limit) && failure.chain.len() <= 1
            }
            Some(Ok(_)) => false,
        };
        // A leaf makes no calls, so there is only one order.
        if hopeless || leaf {
            return Ok(());
        }
        for order in orders(&base, settings) {
            (self.watch)(&order.to_string());
            let history = self.history(order).await?;
            if history.end.is_none() {
                return Ok(());
            }
            verdict::same_as(&mut self.report, self.case, &base, &history, &self.calls);
        }
        for wait in sample(&(0..base.timed).collect::<Vec<_>>(), MAX_WINNERS) {
            let order = Order::Late(wait);
            (self.watch)(&order.to_string());
            let history = self.history(order).await?;
            verdict::late(&mut self.report, self.case, &base, &history);
        }
        let other = self.history(Order::OtherJob).await?;
        verdict::other_job(&mut self.report, &base, &other, &self.calls);
        if self.case.fail_children {
            self.fail_each(&base).await?;
        }
        Ok(())
    }

    /// Tests what happens if one of the calls fails.
    async fn fail_each(&mut self, base: &History) -> Result<()> {
        let most = if base.asked.len() > EVERY_POINT { FAILING_OF_MANY } else { MAX_FAILING };
        for call in sample(&base.asked, most) {
            let order = Order::Fails(call.hash.clone(), show_call(&call));
            (self.watch)(&order.to_string());
            let history = self.history(order).await?;
            if !verdict::after_failure(&mut self.report, &call, base, &history) {
                break;
            }
        }
        Ok(())
    }

    async fn history(&mut self, order: Order) -> Result<History> {
        let (job_id, clock) = match order {
            Order::OtherJob => (JobId::from_random(2), self.case.clock + 7 * 86_400_000 + 12_345_678),
            _ => (JobId::from_random(1), self.case.clock),
        };
        let mut life = Life::new(self.case.call.clone(), job_id.clone(), clock);
        if order == Order::KnownBefore {
            self.children.known().for_each(|(call, outcome)| life.arrive(call, outcome.clone()));
        }
        self.report.orders += 1;
        let mut history = History {
            order,
            end: None,
            trace: Vec::new(),
            output: Vec::new(),
            widest: 0,
            widest_race: 0,
            timed: 0,
            asked: Vec::new(),
        };
        let mut plan: VecDeque<Vec<Call>> = VecDeque::new();
        let mut before: Option<Trace> = None;
        let mut asked: HashSet<CallHash> = HashSet::new();
        for runs in 0.. {
            if runs >= MAX_RUNS {
                let text = format!("it was run {MAX_RUNS} times, and still asks for more calls");
                verdict::no_end(&mut self.report, &history.order, &text);
                return Ok(history);
            }
            let Some(ran) = self.run(&life, &history, before.as_ref()).await? else { return Ok(history) };
            for finding in &ran.findings {
                verdict::sdk_finding(&mut self.report, &life.call.task, finding, &history.order);
            }
            life.go_on(&ran);
            history.output.extend(ran.lines);
            history.trace = ran.trace;
            before = Some(history.trace.clone());
            let wait = match ran.end {
                RunEnd::Ended(end) => {
                    history.end = Some(end);
                    return Ok(history);
                }
                RunEnd::TryAgain(_) => {
                    before = None;
                    continue;
                }
                RunEnd::Waits(wait) if wait.calls.is_empty() => {
                    life.sleep(wait.until);
                    continue;
                }
                RunEnd::Waits(wait) => wait,
            };
            if wait.until > 0 {
                history.timed += 1;
                if history.order == Order::Late(history.timed - 1) {
                    life.sleep(wait.until);
                    continue;
                }
            }
            history.widest = history.widest.max(wait.calls.len());
            if let Some(race) = history.trace.last().filter(|poll| poll.is_race()) {
                history.widest_race = history.widest_race.max(race.calls.len());
            }
            history.asked.extend(wait.calls.iter().filter(|call| asked.insert(call.hash.clone())).cloned());
            if history.asked.len() > self.children.most() {
                let (most, last) = (self.children.most(), history.asked[self.children.most()].clone());
                return Ok(self.unanswered(history, Unanswered::TooMany { most, last }));
            }
            // A race ends without its losers. A missing call is either a planned call or a new one.
            let missing: HashSet<&CallHash> = wait.calls.iter().map(|call| &call.hash).collect();
            for batch in &mut plan {
                batch.retain(|call| missing.contains(&call.hash));
            }
            plan.retain(|batch| !batch.is_empty());
            if plan.iter().map(Vec::len).sum::<usize>() != wait.calls.len() {
                plan = self::plan(&history.order, &wait).into();
                if plan.len() > 1 && plan.len() < wait.calls.len() {
                    self.report.sampled = Some((plan.len(), wait.calls.len()));
                }
            }
            for call in plan.pop_front().unwrap_or_default() {
                let outcome = match self.children.outcome(&call, &job_id).await? {
                    Ok(outcome) => outcome,
                    Err(why) => return Ok(self.unanswered(history, why)),
                };
                let outcome = match &history.order {
                    Order::Fails(failing, _) if *failing == call.hash => Err(planted(&call)),
                    _ => outcome,
                };
                life.arrive(&call.hash, outcome);
            }
        }
        Ok(history)
    }

    /// Runs the call twice in the same state, the second time with no time left, and compares the runs. `None`: the
    /// case has failed, and further runs are of no use.
    async fn run(&mut self, life: &Life, history: &History, before: Option<&Trace>) -> Result<Option<Ran>> {
        let leaf = self.runner.is_leaf(&life.call.task);
        let ran = self.once(life, (!leaf).then_some(PLENTY)).await?;
        if let Some(difference) = before.and_then(|before| not_continued(before, &ran.trace)) {
            let failed = matches!(ran.end, RunEnd::TryAgain(_) | RunEnd::Ended(Err(_)));
            // A run that failed may have asked for fewer calls.
            if !(failed && difference.now.is_none()) {
                verdict::nondeterminism(&mut self.report, history, &difference, &ran.touched, &self.calls);
                return Ok(None);
            }
        }
        if !leaf && !ran.is_out_of_time() && history.order.is_worth_two_runs() {
            let again = self.once(life, Some(NO_TIME)).await?;
            let gave_up = again.asked_time_left && matches!(again.end, RunEnd::TryAgain(_) | RunEnd::Ended(Err(_)));
            if !gave_up && (again.end != ran.end || again.trace != ran.trace) {
                let difference = parted(&ran.trace, &again.trace);
                verdict::twice(&mut self.report, history, (&ran, &again), difference, &self.calls);
                return Ok(None);
            }
        }
        Ok(Some(ran))
    }

    async fn once(&mut self, life: &Life, time_left: Option<Duration>) -> Result<Ran> {
        let ran = self.runner.run(life, time_left).await?;
        self.report.runs += 1;
        self.report.memory = self.report.memory.max(ran.memory);
        if let RunEnd::Waits(wait) = &ran.end {
            for call in &wait.calls {
                self.calls.entry(call.hash.clone()).or_insert_with(|| call.clone());
            }
        }
        for touch in &ran.touched {
            if !self.touched.contains(touch) {
                self.touched.push(*touch);
            }
        }
        Ok(ran)
    }

    fn unanswered(&mut self, history: History, why: Unanswered) -> History {
        match why {
            Unanswered::Nobody(call) => verdict::nobody(&mut self.report, &history.order, &call),
            Unanswered::TooMany { most, last } => {
                let text = format!("it came to more than {most} calls, the last one {}", show_call(&last));
                verdict::no_end(&mut self.report, &history.order, &text);
            }
        }
        history
    }
}

/// The other orders, in addition to the first order.
fn orders(base: &History, settings: &Settings) -> Vec<Order> {
    if base.asked.is_empty() {
        return Vec::new();
    }
    // The outcome of a call that is limited in time is there in all these orders.
    let mut orders = vec![Order::KnownBefore];
    // If a run never waits for more than one call, all orders are the same.
    if base.widest > 1 {
        orders.extend([Order::FirstToLast, Order::LastToFirst]);
        orders.extend((0..settings.shuffles).map(|n| Order::Shuffled(settings.seed.wrapping_add(n))));
    }
    let winners: Vec<usize> = (0..base.widest_race).collect();
    orders.extend(sample(&winners, MAX_WINNERS).into_iter().map(Order::Wins));
    orders
}

/// The failure of a child that is made to fail on purpose.
fn planted(call: &Call) -> Failure {
    Failure::new(FailureKind::Error, &call.task, PLANTED)
}

pub(super) const PLANTED: &str = "brrr-host test made this call fail";
