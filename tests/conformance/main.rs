//! Every language with every case, through the real worker and the real guest. What a handler may rely on does not
//! depend on its language. The tasks are those of `guests/CONFORMANCE.md`. `scripts/guests.sh` builds the guests.
//!
//! Each pair is a separate test, for example `go::gather_of_2000`. If a guest is not built or lacks a task, the test
//! fails and is not skipped. `BRRR_LANGUAGE=go` leaves out the other languages, if only one is built.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

mod allowed;
mod errors;
mod fleet;
mod graphs;
#[path = "../support/servers/http.rs"]
mod http_server;
mod languages;
mod limits;
mod mixed;
mod outside;
mod page;
mod payloads;
mod time;
mod worlds;

/// One function runs the futures of all tests. The compiler would need long to generate a runtime's code for several
/// hundred futures.
fn run(test: std::pin::Pin<Box<dyn Future<Output = ()>>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
}

/// A test for each language and each case.
macro_rules! suite {
    ($($language:ident)+; asynchronous $($again:ident)+) => {
        /// The languages that have tests.
        const TESTED: &[&str] = &[$(stringify!($language)),+];

        $(every_world! { $language
            page { every_task_is_there the_example_of_the_page }
            mixed { gathers_all_others_on_one_topic gathers_all_others_across_topics }
        })+
        $(every_world! { $again
            page { every_task_is_there }
            mixed { two_worlds_in_one_worker }
            worlds { a_handler_that_waits_for_nothing a_call_let_go_of_is_not_made batches_of_a_ragged_handler
                a_leaf_that_calls more_calls_than_fit }
        })+
    };
}

/// The cases that run for every guest, and some for single guests.
macro_rules! every_world {
    ($language:ident $($more:tt)+) => {
        cases! { $language
            graphs { hello fib gather_of_2000_in_order three_sequential_calls chains_cost_three_runs
                some_children_are_there_already a_race_has_one_winner_in_every_replay a_race_of_several }
            limits { its_own_error a_failure_caught a_failure_uncaught an_unknown_task retries options
                a_loop_is_stopped_by_its_timeout time_left a_call_with_options a_bad_guest_costs_its_own_call_only }
            payloads { raw_bytes text_of_any_kind large_values nonsense another_topic an_explicit_hash
                the_peers_hashes what_it_is_told }
            outside { output_appears_once the_same_clock_in_every_replay a_sleep_is_durable
                the_same_random_numbers_in_every_replay a_leaf_has_the_real_ones no_network_files_or_environment }
            errors { text_that_is_not_unicode causes_are_told nothing_is_null no_number_is_refused time_zones }
            time { chains_go_on_side_by_side the_first_failure_ends_a_wait a_limit_that_passes a_limit_that_does_not_pass
                a_call_outlives_its_limit a_promise_that_is_resolved a_promise_that_is_answered_twice
                a_promise_that_is_resolved_too_late a_promise_that_is_rejected a_race_of_a_promise_and_a_call
                who_shares_an_outcome details_of_a_failure fields_of_a_message a_task_describes_itself
                a_component_names_its_sdk }
            $($more)+
        }
    };
}

macro_rules! cases {
    ($language:ident $($group:ident { $($case:ident)+ })+) => {
        mod $language {
            $($(
                #[test]
                fn $case() {
                    crate::run(Box::pin(crate::fleet::with(stringify!($language), crate::$group::$case)));
                }
            )+)+
        }
    };
}

suite! { rust python javascript typescript go c cpp; asynchronous rust_async }

/// The languages whose guests have the tasks of "What the host allows", for example `allowed::go::http_get`.
mod allowed_in {
    macro_rules! allowed {
        ($($language:ident)+) => {
            pub const ALLOWED: &[&str] = &[$(stringify!($language)),+];

            $(cases! { $language
                allowed { a_request a_request_of_any_kind a_refused_request a_redirect_to_a_refused_host
                    several_requests_at_once a_request_beside_a_call a_request_that_is_cut_off a_request_without_an_answer
                    variables files }
            })+
        };
    }

    allowed! { rust rust_async c cpp python javascript typescript go }
}

/// The languages whose page has a second example, with requests and variables, for example
/// `fetches_in::go::the_example_of_requests`.
mod fetches_in {
    macro_rules! fetches {
        ($($language:ident)+) => {
            $(cases! { $language page { the_example_of_requests } })+
        };
    }

    fetches! { python javascript typescript go }
}

/// The languages in which a call that is not awaited can be forgotten, for example
/// `awaits_in::python::what_was_not_awaited`.
mod awaits_in {
    macro_rules! awaits {
        ($($language:ident)+) => {
            $(cases! { $language errors { what_was_not_awaited } })+
        };
    }

    awaits! { python javascript typescript }
}

/// Faults that only some languages can have.
mod faults_of {
    cases! { javascript errors { odd_errors_and_promises } }
    cases! { typescript errors { odd_errors_and_promises } }
    cases! { python errors { groups_cancellations_and_sockets } }
    cases! { cpp errors { the_words_of_the_library } }
}

#[test]
fn every_language_with_a_guest_is_tested() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests");
    let guests = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let guests = guests.filter(|entry| entry.path().join("conformance").is_dir());
    let mut guests: Vec<_> = guests.map(|entry| entry.file_name().into_string().unwrap()).collect();
    guests.sort();
    let mut tested = TESTED.to_vec();
    tested.sort_unstable();
    assert_eq!(guests, tested, "guests/*/conformance, and the languages in tests/conformance/main.rs");
}
