//! The guarantees of every backend: one suite of plain functions, called for each backend.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

mod suite;
mod support;

use std::pin::Pin;

/// One function for the futures of all tests. With a separate runtime function for each of a thousand tests, the compiler would
/// take minutes.
fn run(kind: support::Kind, test: Pin<Box<dyn Future<Output = ()>>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if kind.is_there() {
            test.await;
        }
    });
}

/// Calls every function of the suite for one backend.
macro_rules! contract {
    ($name:ident, $kind:expr; $($module:ident: $($test:ident)+;)+) => {
        mod $name {
            $($(
                #[test]
                fn $test() {
                    crate::run($kind, Box::pin(crate::suite::$module::$test($kind)));
                }
            )+)+
        }
    };
}

macro_rules! contract_for {
    ($($name:ident: $kind:expr;)+) => {
        $(contract! { $name, $kind;
            store:
                a_record_is_what_was_put
                records_of_all_kinds_are_apart
                many_are_got_in_order
                some_are_got_within_a_budget
                swap_creates_replaces_and_deletes
                a_mismatch_returns_what_is_there
                put_if_wants_both_absent
                of_two_who_exclude_each_other_one_wins
                concurrent_swaps_lose_nothing
                a_list_comes_in_pages
                a_list_that_changes_shows_what_stayed
                the_newest_jobs_come_first
                what_is_known_of_the_time_of_writing_is_right
                what_is_removed_is_gone_and_nothing_else;
            queue:
                messages_come_in_order
                a_receiver_gets_as_many_as_it_asks_for
                topics_are_apart
                a_send_wakes_a_receiver
                an_empty_queue_returns_after_the_wait
                a_delayed_message_comes_later
                bodies_are_not_touched
                each_message_goes_to_one_receiver
                a_receiver_who_gives_up_loses_nothing
                what_is_given_back_does_not_count
                what_is_given_back_with_a_delay_comes_later
                dead_letters_are_kept_with_their_reason
                a_dead_letter_is_taken_once
                a_dead_letter_keeps_its_id_to_itself
                of_many_who_take_a_dead_letter_one_gets_it
                who_looks_through_a_topic_sees_all_of_it;
            leases:
                a_lease_that_ends_returns_the_message
                an_extended_lease_holds
                a_lost_lease_cannot_be_extended
                a_late_ack_does_nothing
                a_late_return_does_nothing
                a_late_move_to_dlq_does_nothing
                a_waiting_receiver_gets_what_another_lost;
            backend:
                counters_add_up
                a_counter_that_is_forgotten_begins_anew
                a_waiter_is_told_of_a_change
                a_job_goes_its_way
                the_first_value_stays
                a_failure_counts_only_in_its_job
                the_first_outcome_stays
                large_values_are_outcomes_too
                a_failing_transition_spoils_no_other
                a_thousand_children_cost_two_runs
                a_hash_stands_for_one_call
                of_two_who_claim_a_hash_one_gets_it;
            parents:
                many_parents_register_as_few_do
                a_record_of_many_parents_is_replaced_like_any_other
                a_transition_that_fails_changes_no_parent;
            joining:
                jobs_for_one_call_run_it_once
                a_failure_passes_the_call_on_to_one_that_has_joined
                a_job_that_is_over_passes_the_call_on_if_it_had_its_message
                only_a_call_that_is_certain_to_be_on_its_way_is_joined
                a_job_joins_what_another_job_waits_for
                a_hundred_jobs_join;
            jobs:
                a_job_that_is_over_is_not_scheduled_again
                a_scheduled_job_is_recorded_as_it_was_asked_for
                a_deadline_sends_a_message_of_its_own
                a_job_is_ended_once
                a_job_whose_call_has_ended_ends_so
                an_outcome_ends_its_job
                a_job_ends_as_its_call_did
                who_is_let_go_leaves_nothing
                a_live_job_gets_what_a_dead_one_lets_go
                jobs_take_turns_at_a_call_that_fails
                a_parent_without_a_record_is_kept_for_a_later_value
                who_looks_writes_down_that_a_job_is_over
                a_parent_is_let_go_with_its_child
                a_job_that_is_over_waits_for_nothing_more
                options_of_a_call_wait_for_its_first_run;
            doctor:
                what_will_be_run_is_no_finding
                a_lost_message_is_sent_again
                a_lost_wake_up_is_made_up_for
                a_parent_that_its_children_do_not_know_is_run_again
                who_was_not_woken_is
                a_failure_that_woke_nobody_does
                what_only_dead_jobs_wait_for_is_let_go
                a_cycle_is_found_and_fails
                a_job_that_nobody_ended_is_ended
                what_is_young_is_left_alone
                no_repair_wakes_a_parent_that_sees_no_failures
                damage_is_told_and_left_alone;
            gc:
                an_ended_job_leaves_nothing
                what_a_live_job_needs_stays
                what_two_jobs_share_stays_until_both_have_gone
                what_is_young_or_alive_stays
                a_job_with_messages_stays
                what_is_queued_again_stays
                a_dry_run_removes_nothing
                peers_keep_values
                an_ended_job_s_parents_wait_for_no_later_value
                what_no_record_names_keeps_everything;
            events:
                events_come_in_order_from_any_place
                two_readers_of_events_are_apart
                the_log_of_events_is_bounded
                to_publish_nothing_forgets_nothing;
        })+
    };
}

contract_for! {
    memory: crate::support::Kind::Memory;
    memory_multi_step: crate::support::Kind::MemoryMultiStep;
    sqlite: crate::support::Kind::Sqlite;
    sqlite_multi_step: crate::support::Kind::SqliteMultiStep;
    redis: crate::support::Kind::Redis;
    redis_multi_step: crate::support::Kind::RedisMultiStep;
    redis_without_scripts: crate::support::Kind::RedisWithoutScripts;
    valkey: crate::support::Kind::Valkey;
    dynamodb: crate::support::Kind::DynamoDb;
    dynamodb_sqs: crate::support::Kind::DynamoDbSqs;
    redis_dynamodb: crate::support::Kind::RedisDynamoDb;
}
