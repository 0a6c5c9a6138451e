/* Which batches a handler's waits ask for, and what they make of outcomes that come one by one, late, or not at all. */
#include <stdio.h>
#include <string.h>

#include <brrr.h>
#include <brrr_testing.h>

#include "../sdk/src/internal.h"
#include "check.h"

/* A line a batch: what is wanted, until when, the calls, and those of them that have an outcome. */
static buffer polls;
static uint64_t begin_ms;
/* A batch of a handler with no calls of its own is one of the test. */
static bool watching;

static void note(const char *text) {
    brrr_put(&polls, text, strlen(text));
}

/* A call by its tag, if it has one. */
static const char *name_of(const brrr_call *call) {
    const char *payload = brrr_copy((const char *)call->payload.data, call->payload.size);
    const char *tag = strstr(payload, "\"tag\": \"");
    if (tag == NULL) return call->task;
    tag += strlen("\"tag\": \"");
    return brrr_copy(tag, strcspn(tag, "\""));
}

static void watch(brrr_want want, const uint64_t *until, brrr_call *const *calls, size_t count) {
    if (!watching) return;
    if (want == BRRR_ALL) note("all");
    else if (want == BRRR_PROGRESS) note("progress");
    else note(brrr_format("some(%d)", (int)want));
    // To the tenth of a second, as a test is not quicker than that everywhere.
    if (until != NULL) note(brrr_format(" until %d", (int)((*until - begin_ms) / 100 * 100)));
    for (size_t i = 0; i < count; i++) note(brrr_format(" %s", name_of(calls[i])));
    note(" ->");
    for (size_t i = 0; i < count; i++) {
        if (calls[i]->done) note(brrr_format(" %s", name_of(calls[i])));
    }
    note("\n");
}

static void begin(void) {
    polls.size = 0;
    begin_ms = brrr_now_ms();
    watching = true;
}

static void asked(const char *expected, int line) {
    watching = false;
    checks++;
    brrr_put_char(&polls, 0);
    if (strcmp(polls.data, expected) != 0) FAIL("line %d: asked\n%sinstead of\n%s", line, polls.data, expected);
}
#define ASKED(expected) asked(expected, __LINE__)

static brrr_call nap(int ms, const char *tag) {
    return brrr_call("nap", brrr_kv("ms", ms), brrr_kv("tag", tag));
}

static brrr_call fails(const char *message) {
    return brrr_call("fails", brrr_kv("message", message));
}

static void all_and_each(void) {
    begin();
    brrr_call two[] = {nap(5, "a"), nap(0, "b")};
    CHECK(brrr_gather(two, 2) == NULL && two[0].done && two[1].done);
    // What is there is not asked for again.
    CHECK(brrr_gather(two, 2) == NULL);
    ASKED("all a b -> a b\n");

    begin();
    brrr_call failing[] = {nap(5000, "slow"), fails("no"), nap(0, "quick")};
    uint64_t before = brrr_now_ms();
    brrr_error *error = brrr_gather(failing, 3);
    CHECK(error != NULL && error->failure == failing[1].failure && brrr_now_ms() - before < 5000);
    CHECK(!failing[0].done && failing[2].done);
    // The rest goes on, and a failure that is there ends a wait for all at once.
    CHECK(brrr_gather(failing, 3) != NULL && !failing[0].done);
    const char *tag;
    CHECK(brrr_await(&failing[0], &tag) == NULL && strcmp(tag, "slow") == 0);
    ASKED("all slow fails quick -> fails quick\nall slow -> slow\n");

    begin();
    brrr_call settled[] = {fails("no"), nap(5, "a"), fails("never")};
    brrr_settle(settled, 3);
    CHECK(settled[0].failure != NULL && settled[1].failure == NULL && settled[1].done && settled[2].failure != NULL);
    ASKED("some(3) fails a fails -> fails a fails\n");

    // A call that can't be made has failed before anything is asked.
    begin();
    brrr_call unmade[] = {nap(0, "a"), brrr_call("hello", brrr_kv("greetee", "\xff"))};
    CHECK(brrr_gather(unmade, 2) != NULL && !unmade[0].done);
    ASKED("");
}

static void races(void) {
    begin();
    brrr_call three[] = {nap(30, "a"), nap(10, "b"), nap(20, "c")};
    CHECK(brrr_first(three, 3) == 1 && !three[0].done && !three[2].done);
    // One outcome is there, so a race for two needs one more.
    brrr_first_n(2, three, 3);
    CHECK(!three[0].done && three[2].done);
    ASKED("some(1) a b c -> b\nsome(1) a c -> c\n");

    // A failure wins a race, too.
    begin();
    brrr_call two[] = {nap(30, "a"), fails("no")};
    CHECK(brrr_first(two, 2) == 1 && two[1].failure != NULL);
    ASKED("some(1) a fails -> fails\n");
}

static void limits(void) {
    begin();
    brrr_call call = nap(5000, "a");
    CHECK(!brrr_wait(&call, 1, BRRR_ALL, 1000) && !call.done);
    CHECK(brrr_now_ms() >= begin_ms + 1000);
    // The same call goes on, and a limit counts from where its wait begins.
    CHECK(!brrr_wait(&call, 1, BRRR_ALL, 1000) && brrr_now_ms() >= begin_ms + 2000);
    CHECK(brrr_wait(&call, 1, BRRR_ALL, 9000) && call.done && brrr_now_ms() < begin_ms + 9000);
    CHECK(brrr_wait(&call, 1, BRRR_ALL, 1));
    ASKED("all until 1000 a ->\nall until 2000 a ->\nall until 11000 a -> a\n");

    // What came in time is handed out when the rest did not.
    begin();
    brrr_call two[] = {nap(5000, "slow"), nap(10, "quick")};
    CHECK(!brrr_wait(two, 2, 2, 1000) && two[1].done && !two[0].done);
    // No time at all: what is there.
    CHECK(!brrr_wait(two, 2, BRRR_ALL, 0) && !brrr_wait(two, 2, BRRR_ALL, -5));
    ASKED("some(2) until 1000 slow quick -> quick\nall until 1000 slow ->\nall until 1000 slow ->\n");

    begin();
    brrr_call never = brrr_promise("never");
    CHECK(!brrr_wait(&never, 1, BRRR_PROGRESS, 1000));
    CHECK(!brrr_wait(&never, 1, BRRR_ALL, 1000));
    ASKED("progress until 1000 brrr.promise ->\nall until 2000 brrr.promise ->\n");
}

static uint64_t last_until;

static void remember_until(brrr_want want, const uint64_t *until, brrr_call *const *calls, size_t count) {
    (void)want, (void)calls, (void)count;
    last_until = *until;
}

/* The clock is finer than the limit: a limit does not end a part of a millisecond early. */
static void limits_are_rounded_up(void) {
    brrr_testing_watch = remember_until;
    brrr_call never = brrr_promise("never");
    for (int i = 0; i < 5; i++) {
        uint64_t before = brrr_now_ns();
        brrr_wait(&never, 1, BRRR_ALL, 5);
        CHECK(last_until * 1000000 >= before + 5 * 1000000);
    }
    brrr_testing_watch = watch;
}

static void chains_side_by_side(void) {
    begin();
    uint64_t before = brrr_now_ms();
    brrr_call calls[] = {nap(3000, "a0"), nap(0, "b0"), nap(10, "c0")};
    const char *next[] = {"a1", "b1", "c1"};
    bool ended[3] = {false};
    size_t k;
    while ((k = brrr_next(calls, 3)) < 3) {
        if (ended[k]) continue;
        ended[k] = true;
        calls[k] = nap(k == 1 ? 4000 : 0, next[k]);
    }
    CHECK(brrr_now_ms() - before < 5000);
    CHECK(brrr_next(calls, 3) == 3 && brrr_next(NULL, 0) == 0);
    // Calls that were asked for before come first, in the order of then.
    ASKED("progress a0 b0 c0 -> b0\n"
          "progress a0 c0 b1 -> c0\n"
          "progress a0 b1 c1 -> c1\n"
          "progress a0 b1 -> a0\n"
          "progress b1 a1 -> a1\n"
          "progress b1 -> b1\n");
}

static bool in_order;

static void check_order(brrr_want want, const uint64_t *until, brrr_call *const *calls, size_t count) {
    (void)want, (void)until;
    for (size_t i = 1; i < count; i++) in_order = in_order && calls[i - 1]->asked < calls[i]->asked;
}

/* Many chains, whose calls end in another order than that of the chains. */
static void many_chains(void) {
    enum { CHAINS = 50, STEPS = 5 };
    brrr_call calls[CHAINS];
    size_t steps[CHAINS] = {0}, given = 0, k;
    in_order = true;
    brrr_testing_watch = check_order;
    for (k = 0; k < CHAINS; k++) calls[k] = nap((int)(k * 37 % 11 * 100), brrr_format("m%zu", k));
    while ((k = brrr_next(calls, CHAINS)) < CHAINS) {
        given++;
        if (++steps[k] < STEPS) calls[k] = nap((int)(k * 13 % 7 * 100), brrr_format("m%zu.%zu", k, steps[k]));
    }
    brrr_testing_watch = watch;
    CHECK(in_order && given == CHAINS * STEPS);
}

/* What the outside answers in these tests. */
static void outside(const char *name, brrr_call *promise) {
    if (strcmp(name, "never") == 0) return;
    if (strcmp(name, "later") == 0) brrr_sleep_ms(2000);
    if (strcmp(name, "no") == 0) brrr_testing_reject(promise, "not today");
    else brrr_testing_resolve(promise, brrr_object(brrr_kv("ok", (bool)true)));
}

static const char *comes_to(brrr_call call) {
    const brrr_json *value;
    return brrr_await(&call, &value) == NULL ? (const char *)brrr_dumps(value).data : call.failure->message;
}
#define COMES_TO(call, expected) CHECK(strcmp(comes_to(call), expected) == 0)

static brrr_call with_limit(const char *task, int ms, int limit) {
    return brrr_call(task, brrr_kv("ms", ms), brrr_kv("limit", limit), brrr_kv("tag", "x"));
}

/* The tasks of the section "Time, promises, identity" of CONFORMANCE.md. */
static void tasks(void) {
    COMES_TO(with_limit("too_late", 5000, 50), "\"too late\"");
    COMES_TO(with_limit("too_late", 0, 5000), "\"x\"");
    COMES_TO(with_limit("twice_late", 5000, 50), "[\"too late\", \"x\"]");
    COMES_TO(with_limit("twice_late", 0, 50), "[\"x\", \"x\"]");
    uint64_t before = brrr_now_ms();
    COMES_TO(brrr_call("sides", brrr_kv("ms", 3000), brrr_kv("salt", "s")), "[\"s03\", \"s13\", \"s23\", \"s33\"]");
    CHECK(brrr_now_ms() - before < 6000);
    before = brrr_now_ms();
    COMES_TO(brrr_call("fail_fast", brrr_kv("ms", 6000), brrr_kv("salt", "s")), "fails failed (error): s");
    CHECK(brrr_now_ms() - before < 6000);

    COMES_TO(brrr_call("asks", brrr_kv("name", "later"), brrr_kv("limit", 0)), "{\"ok\": true}");
    COMES_TO(brrr_call("asks", brrr_kv("name", "later"), brrr_kv("limit", 100)), "\"too late\"");
    COMES_TO(brrr_call("asks", brrr_kv("name", "no"), brrr_kv("limit", 0)), "brrr.promise failed (rejected): not today");
    brrr_call rejected = brrr_call("asks", brrr_kv("name", "no"), brrr_kv("limit", 0));
    CHECK(brrr_gather(&rejected, 1) != NULL && strcmp(rejected.failure->kind, "rejected") == 0);
    COMES_TO(brrr_call("asks_or", brrr_kv("name", "never"), brrr_kv("ms", 5), brrr_kv("tag", "t")), "\"t\"");
    COMES_TO(brrr_call("asks_or", brrr_kv("name", "now"), brrr_kv("ms", 5), brrr_kv("tag", "t")), "{\"ok\": true}");
    COMES_TO(brrr_call("asks_caught", brrr_kv("name", "no")), "{\"kind\": \"rejected\", \"message\": \"not today\"}");
    COMES_TO(brrr_call("reads_details", brrr_kv("code", 7)), "7");
    COMES_TO(brrr_call("logs_fields"), "null");
    COMES_TO(brrr_call("described", brrr_kv("text", "ab"), brrr_kv("times", 3)), "\"ababab\"");
    CHECK(comes_to(brrr_call("scoped", brrr_kv("scope", "job"), brrr_kv("i", 1)))[0] != 'd');
}

static void promises(void) {
    brrr_call bad = brrr_promise("\xff");
    CHECK(brrr_gather(&bad, 1) != NULL);
    CHECK(strcmp(bad.failure->message, "cannot write its arguments: the promise's name is not UTF-8") == 0);
    brrr_call good = brrr_promise("approval");
    option options[MAX_OPTIONS];
    CHECK(brrr_call_options(&good, options) == 0 && good.topic == NULL && good.call_hash == NULL);
    CHECK(good.payload.size == 8 && memcmp(good.payload.data, "approval", 8) == 0);
}

static void options(void) {
    option made[MAX_OPTIONS];
    brrr_call call = nap(1, "a");
    CHECK(brrr_call_options(&call, made) == 1);
    CHECK(strcmp(made[0].name, "hash-of") == 0 && strcmp(made[0].value, "python") == 0);
    call.scope = "15m";
    CHECK(brrr_call_options(&call, made) == 2 && strcmp(made[1].name, "scope") == 0 && strcmp(made[1].value, "15m") == 0);
    // A hash of one's own stands as it is.
    call.call_hash = "abc";
    CHECK(brrr_call_options(&call, made) == 1 && strcmp(made[0].name, "scope") == 0);
    brrr_task full = {.name = "full", .timeout_ms = 1, .max_retries = 0, .retry_delay_ms = 2, .max_retry_delay_ms = 3,
                      .backoff = BRRR_FIXED, .max_running = 4, .memory_bytes = 5, .leaf = true, .scope = "job",
                      .description = "d", .input_schema = BRRR_JSON({"type": "object"}), .output_schema = "true"};
    size_t count = brrr_task_options(&full, made);
    polls.size = 0;
    for (size_t i = 0; i < count; i++) note(brrr_format("%s=%s\n", made[i].name, made[i].value));
    ASKED("leaf=true\ntimeout-ms=1\nmax-retries=0\nretry-delay-ms=2\nmax-retry-delay-ms=3\nretry-backoff=fixed\nmax-running=4\n"
          "memory-bytes=5\nscope=job\ndescription=d\ninput-schema={\"type\": \"object\"}\noutput-schema=true\n");
    CHECK(count == MAX_OPTIONS);
}

static void details(void) {
    brrr_error *error = brrr_with_details(brrr_retryable("no"), brrr_object(brrr_kv("a", 1)));
    CHECK(error->type == BRRR_RETRYABLE && strcmp((const char *)error->details.data, "{\"a\": 1}") == 0);
    error = brrr_with_details(brrr_retryable("no"), brrr_value(__builtin_nan("")));
    CHECK(error->type == BRRR_PERMANENT && strstr(error->message, "no; and its details cannot be written as JSON: NaN") != NULL);
    brrr_failure failure = {.kind = "error", .task = "t", .message = "m"};
    CHECK(brrr_details(&failure) == NULL);
    failure.details = (brrr_bytes){(const uint8_t *)"\xff", 1};
    CHECK(brrr_details(&failure) == NULL);
    error = brrr_child(&failure);
    CHECK(brrr_with_details(error, brrr_null()) == error && error->failure->details.size == 1);
}

static const char *spawned(brrr_call call) {
    const char *job = NULL;
    CHECK(brrr_spawn(&call, &job) == NULL && call.done && call.detached);
    return job;
}
#define JOB(n) "0000000000000000000000000000000" n

/* A detached job is asked for on its own, at once, and is not run here. */
static void detached_jobs(void) {
    begin();
    brrr_testing_spawns = brrr_testing_runs = 0;
    brrr_call slow = nap(5000, "slow");
    CHECK(!brrr_wait(&slow, 1, BRRR_ALL, 1000));
    uint64_t before = brrr_now_ms();
    // Two that are alike are two jobs.
    CHECK(strcmp(spawned(nap(9000, "a")), JOB("1")) == 0 && strcmp(spawned(nap(9000, "a")), JOB("2")) == 0);
    CHECK(brrr_now_ms() - before < 5000);
    // Asked again, it is the same job.
    brrr_call once = brrr_call_bytes("no_such_task", (brrr_bytes){(const uint8_t *)"x", 1});
    const char *first = NULL, *second = NULL;
    CHECK(brrr_spawn(&once, &first) == NULL && brrr_spawn(&once, &second) == NULL && strcmp(first, second) == 0);
    CHECK(brrr_await(&slow, &first) == NULL && strcmp(first, "slow") == 0);
    ASKED("all until 1000 slow ->\nall a -> a\nall a -> a\nall no_such_task -> no_such_task\nall slow -> slow\n");
    CHECK(brrr_testing_spawns == 3 && brrr_testing_runs == 1);

    // Several together, beside a call.
    begin();
    brrr_call three[] = {nap(9000, "a"), nap(9000, "b"), nap(5, "c")};
    three[0].detached = three[1].detached = true;
    CHECK(brrr_gather(three, 3) == NULL && brrr_testing_spawns == 5);
    CHECK(brrr_await(&three[1], &first) == NULL && strcmp(first, JOB("5")) == 0);
    ASKED("all a b c -> a b c\n");

    // What can't be written fails before it is asked for.
    begin();
    brrr_call bad = brrr_call("hello", brrr_kv("greetee", "\xff"));
    CHECK(brrr_spawn(&bad, &first) != NULL && strcmp(bad.failure->kind, "codec") == 0);
    ASKED("");

    option made[MAX_OPTIONS];
    brrr_call call = nap(1, "a");
    call.label = "l";
    call.detached = true;
    CHECK(brrr_call_options(&call, made) == 3 && strcmp(made[0].name, "hash-of") == 0 && strcmp(made[1].name, "label") == 0);
    CHECK(strcmp(made[2].name, "detached") == 0 && strcmp(made[2].value, "true") == 0);

    brrr_testing_spawns = 0;
    COMES_TO(brrr_call("spawns", brrr_kv("n", 2)), "[\"" JOB("1") "\", \"" JOB("2") "\"]");
    COMES_TO(brrr_call("spawns_between"), "[\"" JOB("3") "\", \"" JOB("4") "\"]");
}

/* The script that runs this looks for the lines. */
static void fields(void) {
    brrr_log_fields(BRRR_WARN, "odd fields", brrr_kv("list", brrr_array(brrr_value(1))), brrr_kv("nan", __builtin_nan("")));
    brrr_log_fields(BRRR_INFO, "no fields");
}

int main(void) {
    fields();
    brrr_testing_watch = watch;
    brrr_testing_outside = outside;
    all_and_each();
    races();
    limits();
    limits_are_rounded_up();
    chains_side_by_side();
    many_chains();
    promises();
    options();
    details();
    detached_jobs();
    brrr_testing_watch = NULL;
    tasks();
    return report("waits");
}
