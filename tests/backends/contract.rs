//! What every backend keeps to: one suite of plain functions, called for each of them.

mod suite;
mod support;

/// Calls every function of the suite for one backend.
macro_rules! contract {
    ($name:ident, $kind:expr; $($module:ident: $($test:ident)+;)+) => {
        mod $name {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::suite::$module::$test($kind).await;
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
                swap_creates_replaces_and_deletes
                a_mismatch_returns_what_is_there
                put_if_wants_both_absent
                of_two_who_exclude_each_other_one_wins
                concurrent_swaps_lose_nothing
                a_list_comes_in_pages;
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
                dead_letters_are_kept_with_their_reason;
            leases:
                a_lease_that_ends_returns_the_message
                an_extended_lease_holds
                a_lost_lease_cannot_be_extended
                a_late_ack_does_nothing
                a_late_return_does_nothing
                a_late_set_aside_does_nothing
                a_waiting_receiver_gets_what_another_lost;
            backend:
                counters_add_up
                a_waiter_is_told_of_a_change
                a_job_goes_its_way
                the_first_value_stays
                a_failure_counts_only_in_its_job
                the_first_outcome_stays
                large_values_are_outcomes_too
                a_failing_transition_spoils_no_other
                a_thousand_children_cost_two_runs;
        })+
    };
}

contract_for! {
    memory: crate::support::Kind::Memory;
    memory_stepwise: crate::support::Kind::MemoryStepwise;
    sqlite: crate::support::Kind::Sqlite;
    sqlite_stepwise: crate::support::Kind::SqliteStepwise;
}
