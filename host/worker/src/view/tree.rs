//! The calls of a job as JSON.

use std::collections::HashSet;

use brrr_protocol::events::State;
use brrr_protocol::model::Millis;
use brrr_protocol::tree::Tree;
use serde::Serialize;

use super::FailureView;
use crate::events::time;

/// The calls of a job.
#[derive(Debug, Serialize)]
pub struct TreeDocument<'a> {
    /// Is anything left out for its size?
    pub cut: bool,
    /// The job's own call.
    pub tree: Branch<'a>,
}

/// The calls of a job, at most `depth` levels.
#[must_use]
pub fn document(tree: &Tree, now: Millis, depth: u16) -> TreeDocument<'_> {
    let mut walk = Walk { tree, now, expanded: HashSet::new(), depth: depth.saturating_sub(1), cut: false };
    let branch = walk.branch(0);
    TreeDocument { cut: tree.is_cut() || walk.cut, tree: branch }
}

/// A call in the document. `see_above`: the call is shown earlier in the document with its children, and this entry has
/// none.
#[derive(Debug, Serialize)]
pub struct Branch<'a> {
    task: Option<&'a str>,
    /// The name of the promise that the call is.
    #[serde(skip_serializing_if = "Option::is_none")]
    promise: Option<&'a str>,
    call: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    see_above: bool,
    #[serde(flatten)]
    more: Option<More<'a>>,
}

#[derive(Debug, Serialize)]
pub struct More<'a> {
    attempt: u32,
    /// When the call was asked for in the job. `null`: the backend does not know it.
    asked: Option<String>,
    /// When the call got its outcome. `null`: it has none, or the backend does not know the time.
    ended: Option<String>,
    /// `null`: the call has no outcome, or the backend does not know the duration.
    duration_ms: Option<Millis>,
    /// The call's value is older than the job.
    reused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<usize>,
    /// When the sleep or the time limit ends for which the call waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView<'a>>,
    children: Vec<Branch<'a>>,
    /// The number of calls that are not shown, because the tree is too large or the call's record does not name them.
    #[serde(skip_serializing_if = "is_none")]
    left_out: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_none(n: &usize) -> bool {
    *n == 0
}

/// Goes through a tree in the order in which it is shown: the guests' order. A call is shown with its children only
/// where it appears first.
pub struct Walk<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// The time now.
    pub now: Millis,
    /// The calls that were shown with their children.
    pub expanded: HashSet<usize>,
    /// The levels that may still be shown below. The tree was read level by level, but a call is shown with its
    /// children where it appears first, which may be at a deeper level.
    pub depth: u16,
    /// A call was left out because of its depth.
    pub cut: bool,
}

impl<'a> Walk<'a> {
    /// The children to show of a call that is shown in full.
    pub fn down(&mut self, index: usize) -> &'a [usize] {
        let children = &self.tree.calls[index].children;
        if self.depth == 0 && !children.is_empty() {
            self.cut = true;
            return &[];
        }
        children
    }

    /// Runs `body` one level further down.
    pub fn below<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        let here = self.depth;
        self.depth = here.saturating_sub(1);
        let done = body(self);
        self.depth = here;
        done
    }

    /// Are this call's children to be shown here? They are shown only once.
    pub fn expand(&mut self, index: usize) -> bool {
        self.expanded.insert(index) || self.tree.calls[index].children.is_empty()
    }

    /// A call with its children.
    pub fn branch(&mut self, index: usize) -> Branch<'a> {
        let node = &self.tree.calls[index];
        let expand = self.expand(index);
        let children = if expand { self.down(index) } else { &[] };
        let branches = self.below(|walk| children.iter().map(|child| walk.branch(*child)).collect());
        let more = expand.then(|| More {
            attempt: node.attempt,
            asked: node.asked.map(time),
            ended: node.ended.map(time),
            duration_ms: node.took(),
            reused: node.reused,
            waiting: (node.state == State::Deferred && node.promise.is_none()).then_some(node.waiting),
            waits_until: (node.state == State::Deferred && node.until > 0).then(|| time(node.until)),
            next_attempt_at: (node.not_before > self.now).then(|| time(node.not_before)),
            last_failure: Some(node.last_failure.as_str()).filter(|text| !text.is_empty()),
            failure: node.failure.as_ref().map(Into::into),
            children: branches,
            left_out: node.left_out + node.unnamed + node.children.len() - children.len(),
        });
        Branch {
            task: node.task.as_deref(),
            promise: node.promise.as_deref(),
            call: node.call.as_str(),
            state: node.state.as_str(),
            label: node.label.as_deref(),
            see_above: more.is_none(),
            more,
        }
    }
}
