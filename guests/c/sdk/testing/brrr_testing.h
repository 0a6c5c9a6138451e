/* What handlers did, natively; see testing.c. Reset them as you like. */
#ifndef BRRR_TESTING_H
#define BRRR_TESTING_H

#include <stddef.h>

#include <brrr.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Batches asked for, calls in them, and runs of handlers. */
extern size_t brrr_testing_batches, brrr_testing_calls, brrr_testing_runs;

/* Detached jobs that were started. They are not run; the n-th has the id n, as 32 hexadecimal digits. */
extern size_t brrr_testing_spawns;

/* Called after each batch, when its outcomes are in its calls. `until` is NULL where the wait has no limit. */
extern void (*brrr_testing_watch)(brrr_want want, const uint64_t *until, brrr_call *const *calls, size_t count);

/* Answers requests: sets their status and content, or their problem. */
extern void (*brrr_testing_server)(brrr_request *request);

/* Answers promises, by one of the functions below, maybe after brrr_sleep_ms. A promise without an answer stays open. */
extern void (*brrr_testing_outside)(const char *name, brrr_call *promise);
void brrr_testing_resolve(brrr_call *promise, const brrr_json *value);
void brrr_testing_reject(brrr_call *promise, const char *message);

#ifdef __cplusplus
}
#endif
#endif
