//! The guarantees of every backend: one suite of plain functions, called for each backend.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

mod suite;

use backend_tests as support;

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
                a_record_has_the_bytes_that_were_put
                records_of_all_kinds_are_separate
                get_many_keeps_the_order_of_the_keys
                get_some_stays_within_its_budget
                swap_creates_replaces_and_deletes
                a_mismatch_returns_what_is_there
                put_if_requires_both_records_to_be_absent
                one_of_two_exclusive_writers_wins
                concurrent_swaps_lose_nothing
                a_list_comes_in_pages
                a_changing_list_shows_all_records_that_stay
                ids_are_listed_however_records_are_written
                writers_at_once_leave_a_correct_list
                known_times_of_writing_are_correct
                removing_affects_no_other_records;
            listing:
                the_newest_jobs_come_first
                jobs_are_filtered
                a_list_of_jobs_is_bounded_by_time
                an_index_follows_the_states_of_jobs
                a_list_stays_the_same_while_jobs_are_added
                a_job_without_a_readable_record_is_listed_as_alive
                counters_are_read_together;
            queue:
                messages_come_in_order
                a_receiver_gets_as_many_as_it_asks_for
                topics_are_separate
                a_send_wakes_a_receiver
                an_empty_queue_returns_after_the_wait
                a_delayed_message_comes_later
                bodies_are_not_changed
                each_message_goes_to_one_receiver
                a_receiver_that_gives_up_loses_nothing
                a_nack_does_not_count_as_a_delivery
                a_nack_with_a_delay_comes_later
                dead_letters_are_kept_with_their_reason
                a_dead_letter_is_taken_once
                no_two_dead_letters_have_the_same_id
                one_of_many_takers_gets_a_dead_letter
                looking_through_a_topic_shows_every_message
                a_backlog_tells_what_waits;
            leases:
                a_lease_that_ends_returns_the_message
                an_extended_lease_holds
                a_lost_lease_cannot_be_extended
                a_late_ack_does_nothing
                a_late_nack_does_nothing
                a_late_dead_letter_is_ignored
                a_waiting_receiver_gets_a_message_whose_lease_ended;
            backend:
                counters_add_up
                a_removed_counter_begins_at_zero
                a_waiting_task_is_notified_of_a_change
                a_job_runs_from_its_schedule_to_its_completion
                the_first_value_stays
                a_failure_counts_only_in_its_job
                the_first_outcome_stays
                large_values_are_outcomes_too
                a_failing_transition_affects_no_other
                a_thousand_children_cost_two_runs
                a_hash_stands_for_one_call
                one_of_two_claims_of_a_hash_wins;
            parents:
                many_parents_register_like_few_parents
                a_record_of_many_parents_is_replaced_like_any_other
                a_transition_that_fails_changes_no_parent;
            joining:
                jobs_for_one_call_run_it_once
                a_failure_passes_the_call_on_to_a_job_that_has_joined
                a_job_that_is_over_passes_the_call_on_if_it_had_its_message
                only_a_call_that_is_certain_to_be_on_its_way_is_joined
                a_job_joins_a_call_that_another_job_waits_for
                a_hundred_jobs_join;
            jobs:
                a_job_that_is_over_is_not_scheduled_again
                a_scheduled_job_is_recorded_as_it_was_asked_for
                a_deadline_sends_a_message_of_its_own
                a_job_is_ended_once
                a_job_whose_call_has_ended_ends_in_the_same_way
                an_outcome_ends_its_job
                a_job_ends_as_its_call_did
                an_abandoned_parent_leaves_nothing
                a_live_job_gets_the_call_that_a_dead_job_abandons
                jobs_take_turns_at_a_call_that_fails
                a_parent_without_a_record_is_kept_for_a_later_value
                a_reader_records_that_a_job_is_over
                a_parent_is_abandoned_with_its_child
                a_job_that_is_over_waits_for_nothing_more
                options_of_a_call_are_kept_for_its_first_run;
            starting:
                a_job_that_starts_later_has_its_messages_then
                a_start_that_has_passed_is_now
                a_job_that_starts_later_joins_nothing
                nothing_joins_a_job_that_starts_later
                an_id_belongs_to_one_call
                a_request_that_is_repeated_sends_no_second_message
                a_job_that_starts_later_is_no_finding
                a_job_that_starts_later_is_not_collected;
            doctor:
                work_that_will_run_is_no_finding
                a_lost_message_is_sent_again
                a_lost_notification_is_sent_again
                a_parent_that_is_not_registered_with_its_children_is_run_again
                an_unnotified_parent_is_notified
                a_failure_that_notified_nobody_notifies_its_parents
                a_call_that_only_dead_jobs_wait_for_is_abandoned
                a_cycle_is_found_and_fails
                an_unended_job_is_ended
                young_work_is_left_alone
                no_repair_notifies_a_parent_that_sees_no_failures
                damage_is_reported_and_left_alone;
            gc:
                an_ended_job_leaves_nothing
                records_that_a_live_job_needs_stay
                shared_records_stay_until_both_jobs_are_removed
                young_jobs_and_live_jobs_stay
                a_job_with_messages_stays
                calls_that_are_queued_again_stay
                a_dry_run_removes_nothing
                peers_keep_values
                parents_of_an_ended_job_wait_for_no_later_value
                a_job_that_only_a_promise_holds_up_goes_at_once
                a_live_job_with_unnamed_children_keeps_everything
                an_ended_job_stays_while_a_call_waits_that_no_record_names;
            shipping:
                a_component_goes_in_and_out
                a_signature_comes_later
                a_change_sends_few_chunks
                a_component_of_many_portions_goes_in_and_out
                what_is_damaged_is_refused_until_it_is_sent_again
                a_manifest_that_lies_is_refused
                all_who_push_at_once_get_a_revision
                revisions_are_pushed_rolled_back_ramped_and_removed
                a_push_that_is_refused_sends_nothing
                code_that_nothing_needs_is_collected
                code_that_a_live_job_needs_stays
                what_is_being_sent_is_not_collected
                damage_keeps_code;
            logs:
                lines_are_kept_once_and_in_order
                the_newest_lines_of_all_attempts_are_kept
                a_log_that_can_not_be_read_holds_up_nothing;
            events:
                events_come_in_order_from_any_position
                two_readers_of_events_are_independent
                the_log_of_events_is_bounded
                publishing_no_events_removes_none;
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
