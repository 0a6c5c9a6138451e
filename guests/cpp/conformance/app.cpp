/// The conformance guest: what every language's handlers are tested by.
#include "tasks.hpp"

BRRR_WORKER(noop_task, hello_task, leaf_task, big_result_task, fib_task, spawns_task, spawns_between_task, fan_out_task, gather_task, sequential_task,
            chains_task, race_task, race_of_task, fails_task, catches_task, fails_child_task, unknown_child_task,
            stubborn_task, always_fails_task, calls_always_fails_task, flaky_task, full_options_task, loops_task,
            spin_task, with_options_task, patient_task, grows_task, recurses_task, echo_task, call_raw_task,
            nap_task, sides_task, fail_fast_task, too_late_task, twice_late_task, asks_task, asks_or_task, asks_caught_task,
            dice_task, scoped_task, attaches_task, reads_details_task, logs_fields_task, described_task,
            call_topic_task, call_hash_task, relays_task, about_task, cpp_greet_task, cpp_gather_task, prints_task,
            clock_task, sleeps_task, random_task, real_task, sleeper_task, forbidden_task, http_get_task,
            http_send_task, http_several_task, http_beside_task, http_caught_task, env_get_task, file_read_task,
            file_write_task, to_number_task, format_number_task, cut_task, causes_task, several_task, nothing_task,
            no_number_task, zone_task)
