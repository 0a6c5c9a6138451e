//! A traced job: one span for each call, below the call that queued it, and nothing else is different.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brrr_protocol::events::{Event as Reported, Observer};
use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::ports::{Key, Kind};
use brrr_protocol::records::RunRecord;
use brrr_protocol::trace::{CallSpan, SpanEventKind};

use crate::graph::{Graph, Node};
use crate::graphs::{GRAPHS, ILL};
use crate::plan::{Event, FAULTS, Plan};
use crate::run::History;
use crate::world::World;
use crate::{WINDOW, check, ends, graphs, stride};

/// What a span told.
#[derive(Clone, Debug)]
pub struct Seen {
    job_id: JobId,
    call: String,
    parent: Option<String>,
    runs: u32,
    start: Millis,
    end: Millis,
}

/// An observer that traces every job, and keeps the spans in the world.
pub struct Tracer(pub Arc<World>);

impl Observer for Tracer {
    fn observe(&self, _: &Reported<'_>) {}

    fn traces(&self, _: &JobId) -> bool {
        true
    }

    fn span(&self, span: &CallSpan<'_>) {
        let runs = span.events.iter().filter(|event| event.what == SpanEventKind::Run).count();
        assert!(span.events.is_sorted_by_key(|event| event.at), "{span:?}");
        self.0.state().spans.push(Seen {
            job_id: span.job_id.clone(),
            call: span.call.to_string(),
            parent: span.parent.as_ref().map(ToString::to_string),
            runs: runs.try_into().expect("few runs"),
            start: span.start,
            end: span.end,
        });
    }
}

fn traced(graph: &Arc<Graph>, transactional: bool, events: &[(i64, Event)]) -> History {
    let plan = Plan { transactional, traced: true, ..Plan::of(events) };
    check(graph, plan, || format!("traced, transactional: {transactional}, {events:?}"))
}

/// The job's call of each job.
fn tops(history: &History) -> BTreeMap<JobId, String> {
    let state = history.world.state();
    state.watch.jobs.iter().map(|(job_id, job)| (job_id.clone(), job.call.to_string())).collect()
}

/// What is true of every span, whatever has failed: the top call has no parent, and each other call has a parent that waits for it.
fn check_spans(graph: &Graph, history: &History, what: &str) {
    let (tops, state) = (tops(history), history.world.state());
    for span in &state.spans {
        assert!(span.start <= span.end, "{}: {what}: {span:?}", graph.name);
        let is_top = tops.get(&span.job_id) == Some(&span.call);
        assert_eq!(span.parent.is_none(), is_top, "{}: {what}: {span:?}", graph.name);
        let Some(parent) = &span.parent else { continue };
        // A call that a job took over from another one belongs to the job's call.
        let may_be_taken_over = graph.job_ids.len() > 1 && tops.get(&span.job_id) == Some(parent);
        let is_child = graph.node(parent).children().contains(&&*span.call);
        assert!(is_child || may_be_taken_over, "{}: {what}: {span:?}", graph.name);
    }
}

/// Without faults each call has one span in each job for which it was run, with all its runs.
fn each_has_one(graph: &Graph, history: &History) {
    let spans = by_call(history);
    let state = history.world.state();
    for (call, runs) in &state.runs {
        let found = spans.get(call).map_or(&[][..], Vec::as_slice);
        // The last run of a call whose job is over is not told.
        let is_right = |told: &u32| told == runs || may_be_dropped(graph) && told + 1 == *runs;
        assert!(matches!(found, [told] if is_right(told)), "{}: {call:?}: {found:?} {runs}", graph.name);
    }
}

/// The runs that each span tells, by the span's job and call.
fn by_call(history: &History) -> BTreeMap<(JobId, String), Vec<u32>> {
    let mut spans = BTreeMap::<_, Vec<u32>>::new();
    for span in &history.world.state().spans {
        spans.entry((span.job_id.clone(), span.call.clone())).or_default().push(span.runs);
    }
    spans
}

/// Can a job of the graph be over before its calls end?
fn may_be_dropped(graph: &Graph) -> bool {
    let fails_early = |node: &Node| matches!(node, Node::Race(..) | Node::GivesUp(..) | Node::Within(..) | Node::Fail);
    graph.deadline > 0
        || graph.max_messages > 0
        || graph.has(fails_early)
        || graph.has(|node| matches!(node, Node::Moody(_)))
}

#[test]
fn each_call_has_one_span() {
    for (graph, length) in graphs() {
        for transactional in [false, true] {
            let history = traced(&graph, transactional, &[]);
            check_spans(&graph, &history, "no faults");
            each_has_one(&graph, &history);
            // What is noted for traces is noted in records that are written anyway, but for the first record of a call.
            assert!(transactional || history.runs > 0 && history.length >= length, "{}", graph.name);
        }
    }
    for graph in ILL {
        let graph = Arc::new(graph.complete());
        let history = traced(&graph, false, &[]);
        check_spans(&graph, &history, "dead letters");
    }
}

/// A fault at each access, and then a crash: no span has a wrong parent, is lost or comes twice.
#[test]
fn faults_leave_no_orphans() {
    let names = [
        "diamond",
        "two jobs share a chain",
        "three jobs share a diamond",
        "tried again after its children",
        "failure caught",
    ];
    // The graphs are many, and traces add accesses.
    let (mut histories, stride) = (0, stride() * 3);
    for graph in GRAPHS.iter().filter(|graph| names.contains(&graph.name)) {
        let graph = Arc::new(graph.complete());
        for transactional in [false, true] {
            let length = traced(&graph, transactional, &[]).length;
            for event in FAULTS.into_iter().chain(ends(&graph)) {
                for first in 0..=length {
                    let seconds = (first + first % stride as i64..=first + WINDOW).step_by(stride);
                    let twice = seconds.map(|second| vec![(first, event), (second, Event::Crash)]);
                    for plan in [vec![(first, event)]].into_iter().chain(twice) {
                        let history = traced(&graph, transactional, &plan);
                        let what = format!("{transactional}, {plan:?}");
                        check_spans(&graph, &history, &what);
                        one_each(&graph, &history, &plan, &what);
                        histories += 1;
                    }
                }
            }
        }
    }
    assert!(histories > 1_000, "a graph has another name now");
    println!("{histories} histories of traced jobs");
}

/// A call has one span, below one that is there, and no record has a story that nobody told. But a worker that dies just after a
/// call has ended, or gets no answer then, does not report its span.
fn one_each(graph: &Graph, history: &History, plan: &[(i64, Event)], what: &str) {
    let spans = by_call(history);
    let has = |is_so: fn(&Event) -> bool| plan.iter().any(|(_, event)| is_so(event));
    // A write without an answer is taken for one that took effect.
    let unanswered = has(|event| matches!(event, Event::Unanswered(_)));
    // Before a job's call has waited, no record says that its span was reported. Two workers that run it at once both report it.
    let two_workers = has(|event| matches!(event, Event::Zombie | Event::Pause));
    let tops = tops(history);
    for (call, told) in &spans {
        let is_top = tops.get(&call.0) == Some(&call.1);
        let most = if unanswered || two_workers && is_top { 2 } else { 1 };
        assert!(told.len() <= most, "{}: {what}: {} spans of {call:?}", graph.name, told.len());
    }
    let state = history.world.state();
    let mut lost = BTreeSet::new();
    for (key, bytes) in &state.records {
        let Kind::Run(job_id) = &key.kind else { continue };
        let call = (job_id.clone(), key.id.to_string());
        let is_told = RunRecord::decode(bytes).expect("a record").options.trace.is_none();
        if !is_told && state.runs.contains_key(&call) && !spans.contains_key(&call) {
            lost.insert(call);
        }
    }
    let deaths = plan.iter().filter(|(_, event)| matches!(event, Event::Crash | Event::Unanswered(_))).count();
    // Of a job that was ended early, calls may have no span if no call below them has one.
    let ends_early = has(|event| matches!(event, Event::Does(_) | Event::Dies(..) | Event::Late));
    assert!(ends_early || lost.len() <= deaths, "{}: {what}: nobody told of {lost:?}", graph.name);
    for span in &state.spans {
        let above = span.parent.as_ref().map(|parent| (span.job_id.clone(), parent.clone()));
        // The job's call died in its first run, and then the job was cancelled.
        let has_record = |(job_id, call): &(JobId, String)| {
            state.records.contains_key(&Key::run(&call.as_str().into(), job_id)) || tops.get(job_id) != Some(call)
        };
        let is_lost = |above: &_| deaths > 0 && (lost.contains(above) || !has_record(above));
        let is_there = above.is_none_or(|above| spans.contains_key(&above) || is_lost(&above));
        assert!(is_there, "{}: {what}: {span:?} is an orphan; {lost:?}; {:?}", graph.name, state.spans);
    }
}
