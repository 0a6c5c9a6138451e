//! The rules of calls that wait for a time, and of the clock that a handler sees.

use super::{Mutant, breaks};

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("sleep-without-a-timer", "A call that waits for a time has a message that comes then").edit(
            "step/timer.rs",
            "        self.send_timer(until).await?;",
            "if !$on { self.send_timer(until).await?; }",
        ),
        breaks("timer-comes-at-once", "A timer message is delayed until the time that the call waits for")
            .edit(
                "step/timer.rs",
                "        let timer = Outgoing { delay,",
                "let delay = if $on { Duration::ZERO } else { delay };
             let timer = Outgoing { delay,",
            )
            .found_by("a_sleep_costs_one_message"),
        breaks("timer-for-every-wait", "A wait sends no timer message if one is on its way that is due soon enough")
            .edit("step/timer.rs", "self.is_on_its_way(run_after.timer) && run_after.timer <= until", "false")
            .found_by("timers_of_waits_that_ended_early_do_not_pile_up"),
        breaks("late-timer-is-enough", "A timer message that is due after the wait is no timer of this wait")
            .edit(
                "step/timer.rs",
                "self.is_on_its_way(run_after.timer) && run_after.timer <= until",
                "self.is_on_its_way(run_after.timer)",
            )
            .found_by("a_job_ends_when_it_should"),
        breaks("timer-counts-until-it-is-due", "A message that is due soon may be the one that is handled now").edit(
            "step/timer.rs",
            "        due > self.now().saturating_add(self.site.limits.clock_skew.as_millis() as u64)",
            "let skew = self.site.limits.clock_skew.as_millis() as u64;
             due > self.now().saturating_add(if $on { 0 } else { skew })",
        ),
        breaks("early-timer-dropped", "A message that comes before the time becomes the timer message").edit(
            "step/timer.rs",
            "self.is_on_its_way(run.timer)",
            "true",
        ),
        breaks(
            "every-early-message-is-a-timer",
            "A message that comes early while the timer message is on its way is dropped",
        )
        .edit("step/timer.rs", "self.is_on_its_way(run.timer)", "false")
        .harmless("one more message, which is acknowledged when the call has ended"),
        breaks("timer-noted-before-it-is-sent", "The record names a timer message only after the queue has it")
            .edit(
                "step/timer.rs",
                "        self.send_timer(run.until).await?;",
                "if $on {
                     let key = Key::run(&self.work.message.call, &self.work.message.job_id);
                     let noted = RunRecord { timer: run.until, ..run.clone() };
                     self.backend().store().swap(&key, loaded.run_bytes.as_ref(), Some(noted.encode())).await?;
                 }
                 $right",
            )
            .found_by("every_fault_heals"),
        breaks(
            "message-given-back-as-a-timer",
            "A message whose lease is lost can't be given back, so it is no new timer",
        )
        .edit(
            "step/timer.rs",
            "        self.send_timer(run.until).await?;",
            "if $on {
                     let left = run.until.saturating_sub(self.now());
                     self.backend().queue().nack(&self.delivery.receipt, Duration::from_millis(left)).await?;
                 } else {
                     self.send_timer(run.until).await?;
                 }",
        ),
        breaks("sleep-ends-early", "A call that waits for a time is not run before")
            .edit(
                "ports/transitions.rs",
                "!is_sleep && self.there(run) >= u64::from(run.need)",
                "(!is_sleep || true) && self.there(run) >= u64::from(run.need)",
            )
            .elsewhere("semantics: a_message_before_the_time_is_the_timer_or_is_dropped"),
        breaks("time-is-not-enough", "A call is run when the time that it waits for has passed").edit(
            "ports/transitions.rs",
            "            let is_late = run.until > 0 && run.until <= now;",
            "let is_late = !$on && run.until > 0 && run.until <= now;",
        ),
        breaks("time-decided-again", "What was there when the time had passed is the same in every later run").edit(
            "replay.rs",
            "indices.len() < there.len()",
            "indices.len() < there.len() && until.is_none()",
        ),
        breaks("clock-of-this-run", "The clock after a wait is the same in every later run")
            .edit(
                "replay.rs",
                "        moved.or(began).unwrap_or(self.clock).max(self.clock)",
                "if $on && moved.is_some() { return self.began.max(self.clock); }
             $right",
            )
            .found_by("every_graph_ends_without_faults"),
        breaks("clock-goes-back", "The clock never goes back, whatever the clocks of workers say").edit(
            "replay.rs",
            "        moved.or(began).unwrap_or(self.clock).max(self.clock)",
            "moved.or(began).unwrap_or(self.clock)",
        ),
        breaks("doctor-wakes-sleepers", "A call whose time has not come is not stuck")
            .edit("doctor/judge.rs", "let only_sleeps = run.total == 0;", "let only_sleeps = !$on && run.total == 0;")
            .found_by("a_lost_timer_is_found_once_its_time_has_passed"),
        breaks("doctor-leaves-sleepers", "A call whose time has passed and that has no message is stuck")
            .edit(
                "doctor/judge.rs",
                "let is_late = [run.until, run.look].iter().any(|at| *at > 0 && *at <= self.look.now);",
                "let is_late = !$on && [run.until, run.look].iter().any(|at| *at > 0 && *at <= self.look.now);",
            )
            .found_by("a_lost_timer_is_found_once_its_time_has_passed"),
    ]
}
