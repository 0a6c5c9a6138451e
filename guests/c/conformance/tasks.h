/* The tasks of this guest: guests/CONFORMANCE.md says what each does. */
#ifndef TASKS_H
#define TASKS_H

#include <brrr.h>

#define HANDLER(name) brrr_error *name(brrr_app *app)

/* graph.c */
HANDLER(noop);
HANDLER(hello);
HANDLER(leaf);
HANDLER(big_result);
HANDLER(fib);
HANDLER(spawns);
HANDLER(spawns_between);
HANDLER(fan_out);
HANDLER(gather);
HANDLER(sequential);
HANDLER(chains);
HANDLER(race);
HANDLER(race_of);

/* failures.c */
HANDLER(fails);
HANDLER(catches);
HANDLER(fails_child);
HANDLER(unknown_child);
HANDLER(stubborn);
HANDLER(always_fails);
HANDLER(calls_always_fails);
HANDLER(flaky);

/* errors.c */
HANDLER(cut);
HANDLER(causes);
HANDLER(several);
HANDLER(nothing);
HANDLER(no_number);
HANDLER(zone);

/* limits.c */
HANDLER(full_options);
HANDLER(loops);
HANDLER(with_options);
HANDLER(patient);
HANDLER(grows);
HANDLER(recurses);

/* edges.c */
HANDLER(echo);
HANDLER(call_raw);
HANDLER(call_topic);
HANDLER(call_hash);
HANDLER(relays);
HANDLER(about);
HANDLER(c_greet);
HANDLER(c_gather);

/* time.c */
HANDLER(nap);
HANDLER(sides);
HANDLER(fail_fast);
HANDLER(too_late);
HANDLER(twice_late);
HANDLER(asks);
HANDLER(asks_or);
HANDLER(asks_caught);

/* identity.c */
HANDLER(dice);
HANDLER(scoped);
HANDLER(attaches);
HANDLER(reads_details);
HANDLER(logs_fields);
HANDLER(described);

/* world.c */
HANDLER(prints);
HANDLER(wall_clock);
HANDLER(sleeps);
HANDLER(random_numbers);
HANDLER(real);
HANDLER(sleeper);
HANDLER(forbidden);

/* allowed.c */
HANDLER(http_get);
HANDLER(http_send);
HANDLER(http_several);
HANDLER(http_beside);
HANDLER(http_caught);
HANDLER(env_get);
HANDLER(file_read);
HANDLER(file_write);

#endif
