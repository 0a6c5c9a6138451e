/*
 * Handlers run natively, for unit tests: link this in place of component.c, and a call that is awaited, in a test's main
 * or in a handler, runs its handler right here, retries included. See guests/c/README.md.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>

#include "../src/internal.h"
#include "brrr_testing.h"

size_t brrr_testing_batches, brrr_testing_calls, brrr_testing_runs;

static const brrr_task *find(const char *name) {
    for (size_t i = 0; i < brrr_task_count; i++) {
        if (strcmp(brrr_tasks[i].name, name) == 0) return &brrr_tasks[i];
    }
    return NULL;
}

static const brrr_failure *failure_of(const brrr_call *call, const char *kind, const brrr_error *error, uint32_t attempts) {
    const brrr_failure *cause = error->type == BRRR_CHILD ? error->failure : NULL;
    size_t below = cause != NULL ? cause->chain_count : 0;
    const char **chain = brrr_alloc((below + 1) * sizeof *chain);
    chain[0] = brrr_join(call->task, ": ", error->message, NULL);
    for (size_t i = 0; i < below; i++) chain[i + 1] = cause->chain[i];
    brrr_failure *failure = brrr_alloc(sizeof *failure);
    *failure = (brrr_failure){.kind = kind, .task = call->task, .message = error->message, .attempts = attempts,
                              .chain = chain, .chain_count = below + 1};
    return failure;
}

static void run(brrr_call *call) {
    call->done = true;
    const brrr_task *task = find(call->task);
    if (task == NULL) {
        call->failure = failure_of(call, "unknown-task", brrr_permanent("nobody serves %s", call->task), 0);
        return;
    }
    int64_t retries = call->max_retries >= 0 ? call->max_retries : task->max_retries;
    for (uint32_t attempt = 1;; attempt++) {
        brrr_app app = {
            .task = call->task,
            .payload = call->payload,
            .call_hash = call->call_hash != NULL ? call->call_hash : "",
            .root_id = "test",
            .topic = call->topic != NULL ? call->topic : "test",
            .attempt = attempt,
        };
        brrr_testing_runs++;
        const brrr_error *error = brrr_dispatch(&app);
        if (error == NULL) {
            call->value = app.result;
            return;
        }
        if (error->type != BRRR_RETRYABLE || attempt > retries) {
            call->failure = failure_of(call, "error", error, attempt);
            return;
        }
    }
}

void brrr_host_poll(brrr_call **calls, size_t count, const uint32_t *need) {
    brrr_testing_batches++;
    brrr_testing_calls += count;
    for (size_t i = 0; i < count && (need == NULL || i < *need); i++) run(calls[i]);
}

void brrr_host_log(brrr_level level, const char *message, size_t size) {
    static const char *const names[] = {"trace", "debug", "info", "warn", "error"};
    fprintf(stderr, "%s: %.*s\n", names[level], (int)size, message);
}

void (*brrr_testing_server)(brrr_request *request);

void brrr_host_send(brrr_request *requests, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (brrr_testing_server != NULL) brrr_testing_server(&requests[i]);
        else requests[i].problem = "nothing answers in this test: set brrr_testing_server";
    }
}

void brrr_flush(void) {
    fflush(stdout);
}

void brrr_last_words(void) {
    brrr_flush();
}

uint64_t brrr_time_left_ms(void) {
    // Some time, which runs out: what waits for its end must see it.
    static uint64_t end;
    uint64_t now = brrr_now_ms();
    if (end == 0) end = now + 200;
    return end > now ? end - now : 0;
}

uint64_t brrr_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void brrr_sleep_ms(uint64_t ms) {
    struct timespec wait = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&wait, NULL);
}

uint64_t brrr_random(void) {
    return (uint64_t)rand() << 32 ^ (uint64_t)rand();
}
