//! What records tell of traced calls, and the spans that are reported for them.

use super::{Mutant, breaks};

const ONE: &str = "each_call_has_one_span";
const FAULTS: &str = "faults_leave_no_orphans";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("trace-without-waits", "the record of a wait tells that the call was run")
            .edit(
                "step/deferred.rs",
                "self.note(&mut run_after, SpanEventKind::Wait);",
                "if !$on { self.note(&mut run_after, SpanEventKind::Wait); }",
            )
            .found_by(ONE),
        breaks("trace-without-attempts", "the record of the next attempt tells of the one before")
            .edit(
                "step/failed.rs",
                "self.note(&mut record, SpanEventKind::Failure);",
                "if !$on { self.note(&mut record, SpanEventKind::Failure); }",
            )
            .found_by(ONE),
        breaks("span-without-last-run", "the run that ends the call is told")
            .edit("step/traced.rs", "        if self.ran && !is_newer {", "        if !$on && self.ran && !is_newer {")
            .found_by(ONE),
        breaks("span-of-a-top-call-with-a-parent", "the job's call has no parent")
            .edit("step/traced.rs", "parent.filter(|_| top.is_none())", "parent.filter(|_| $on || top.is_none())")
            .found_by(ONE),
        breaks("span-without-a-parent", "a call whose queuing is not told has a parent")
            .edit(
                "step/traced.rs",
                "let parent = story.parent.or(waiting)",
                "let parent = story.parent.or(waiting).filter(|_| !$on)",
            )
            .found_by(ONE),
        breaks(
            "span-of-a-shared-call-missing",
            "a call that another job has ended has a span in each job that has run it",
        )
        .edit(
            "step/mod.rs",
            "self.report_span_of_ended(&loaded, (end, outcome.as_ref().err()), ends_job).await;",
            "if !$on { self.report_span_of_ended(&loaded, (end, outcome.as_ref().err()), ends_job).await; }",
        )
        .found_by(ONE),
        breaks("span-twice", "whoever reports a span takes its story out of the record")
            .edit(
                "step/traced.rs",
                "let text = record.options.trace.take()?;",
                "let text = if $on { record.options.trace.clone()? } else { record.options.trace.take()? };",
            )
            .found_by(FAULTS),
        breaks(
            "spans-above-missing",
            "a call that is abandoned with the calls below it has a span, if one of these has",
        )
        .edit(
            "step/traced.rs",
            "self.report_spans_above(&job, above, state).await;",
            "if !$on { self.report_spans_above(&job, above, state).await; }",
        )
        .found_by(FAULTS),
    ]
}
