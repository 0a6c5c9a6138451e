/*
 * Handlers run natively, for unit tests: link this in place of component.c, and a call that is awaited, in a test's main
 * or in a handler, runs its handler right here, retries included. See guests/c/README.md.
 *
 * Time passes only while handlers sleep (brrr_sleep_ms), and then at once. So a call lasts as long as its handler slept, and
 * of several calls that are waited for together, each sleeps beside the others: that decides races and limits.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>

#include "../src/internal.h"
#include "brrr_testing.h"

size_t brrr_testing_batches, brrr_testing_calls, brrr_testing_runs, brrr_testing_spawns;
void (*brrr_testing_watch)(brrr_want want, const uint64_t *until, brrr_call *const *calls, size_t count);
void (*brrr_testing_outside)(const char *name, brrr_call *promise);

/* How long handlers have slept. */
static uint64_t slept_ms;
/* When the run at hand ends. */
static uint64_t run_end_ms;
/* What a run has where its task does not say: little, as what waits for its end must see it. */
enum { RUN_MS = 200 };

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
    // A child's failure that is passed on keeps its kind, as in a worker.
    if (cause != NULL) kind = cause->kind;
    *failure = (brrr_failure){.kind = kind, .task = call->task, .message = error->message, .attempts = attempts,
                              .chain = chain, .chain_count = below + 1,
                              .details = cause != NULL ? cause->details : error->details};
    return failure;
}

void brrr_testing_resolve(brrr_call *promise, const brrr_json *value) {
    promise->done = true;
    promise->value = brrr_dumps(value);
}

void brrr_testing_reject(brrr_call *promise, const char *message) {
    promise->done = true;
    promise->failure = failure_of(promise, "rejected", brrr_permanent("%s", message), 0);
}

static void note_job(brrr_call *call) {
    call->done = true;
    call->value = brrr_dumps(brrr_text(brrr_format("%032zx", ++brrr_testing_spawns)));
}

static void run_handler(brrr_call *call) {
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
            .job_id = "test",
            .topic = call->topic != NULL ? call->topic : "test",
            .attempt = attempt,
        };
        brrr_testing_runs++;
        uint64_t outer_end_ms = run_end_ms;
        run_end_ms = brrr_now_ms() + (task->timeout_ms >= 0 ? (uint64_t)task->timeout_ms : RUN_MS);
        const brrr_error *error = brrr_dispatch(&app);
        run_end_ms = outer_end_ms;
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

/* A call that was asked for, with what it comes to, and when. By its number, as the call itself may move. */
typedef struct started {
    brrr_call call;
    uint64_t end_ms;
    bool given;
    struct started *next;
} started;

static started *all_started;
/* The highest number among them. A call with a higher number is new, so nothing has to be searched. */
static uint64_t last_started;

static started *start(const brrr_call *call) {
    for (started *old = call->asked <= last_started ? all_started : NULL; old != NULL; old = old->next) {
        if (old->call.asked == call->asked) return old;
    }
    if (call->asked > last_started) last_started = call->asked;
    started *new = brrr_alloc(sizeof *new);
    uint64_t begin_ms = slept_ms;
    *new = (started){.call = *call, .next = all_started};
    all_started = new;
    if (call->detached) note_job(&new->call);
    else if (strcmp(call->task, PROMISE) != 0) run_handler(&new->call);
    else if (brrr_testing_outside != NULL) {
        brrr_testing_outside(brrr_copy((const char *)call->payload.data, call->payload.size), &new->call);
    }
    new->end_ms = new->call.done ? slept_ms : UINT64_MAX;
    slept_ms = begin_ms;
    return new;
}

/* When the wait is over: with the nth outcome in time, or the first failure. */
static uint64_t time_of(started *const *by_end, size_t count, brrr_want want) {
    size_t needed = want == BRRR_ALL ? count : want == BRRR_PROGRESS ? 1 : (size_t)want;
    for (size_t i = 0; i < needed && want == BRRR_ALL; i++) {
        if (by_end[i]->call.failure != NULL) return by_end[i]->end_ms;
    }
    return needed > 0 ? by_end[needed - 1]->end_ms : slept_ms;
}

/* Of calls that end at one time, the first comes first. */
static void sort_by_end(started **calls, size_t count) {
    for (size_t i = 1; i < count; i++) {
        started *one = calls[i];
        size_t to = i;
        for (; to > 0 && calls[to - 1]->end_ms > one->end_ms; to--) calls[to] = calls[to - 1];
        calls[to] = one;
    }
}

static void give(brrr_call *call, const started *from) {
    call->done = true;
    call->value = from->call.value;
    call->failure = from->call.failure;
}

void brrr_host_poll(brrr_call **calls, size_t count, brrr_want want, const uint64_t *until) {
    brrr_testing_batches++;
    brrr_testing_calls += count;
    uint64_t now = brrr_now_ms(), limit = until == NULL ? UINT64_MAX : slept_ms + (*until > now ? *until - now : 0);
    started **each = brrr_alloc(count * sizeof *each), **by_end = brrr_alloc(count * sizeof *by_end);
    for (size_t i = 0; i < count; i++) each[i] = by_end[i] = start(calls[i]);
    sort_by_end(by_end, count);
    uint64_t end = time_of(by_end, count, want);
    if (end == UINT64_MAX && limit == UINT64_MAX) {
        brrr_panic("a handler waits for a promise that nobody answers: set brrr_testing_outside");
    }
    bool in_time = end <= limit;
    if (!in_time) end = limit;
    if (end > slept_ms) slept_ms = end;
    size_t most = in_time && want >= 0 ? (size_t)want : count;
    for (size_t i = 0; i < most && by_end[i]->end_ms <= end; i++) by_end[i]->given = true;
    for (size_t i = 0; i < count; i++) {
        if (each[i]->given) give(calls[i], each[i]);
    }
    free(each);
    free(by_end);
    if (brrr_testing_watch != NULL) brrr_testing_watch(want, until, calls, count);
}

void brrr_host_log_fields(brrr_level level, brrr_string message, const field *fields, size_t count) {
    static const char *const names[] = {"trace", "debug", "info", "warn", "error"};
    fprintf(stderr, "%s: %.*s", names[level], (int)message.size, message.data);
    for (size_t i = 0; i < count; i++) {
        fprintf(stderr, " %s=%.*s", fields[i].name, (int)fields[i].value.size, fields[i].value.data);
    }
    fputc('\n', stderr);
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
    uint64_t now = brrr_now_ms();
    return run_end_ms > now ? run_end_ms - now : 0;
}

uint64_t brrr_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec * 1000 + slept_ms) * 1000000 + (uint64_t)now.tv_nsec;
}

void brrr_sleep_ms(uint64_t ms) {
    slept_ms += ms;
}

uint64_t brrr_random(void) {
    return (uint64_t)rand() << 32 ^ (uint64_t)rand();
}
