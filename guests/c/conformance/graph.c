/* Values, batches and races. */
#include <string.h>

#include "tasks.h"

HANDLER(noop) {
    (void)app;
    return NULL;
}

/* By length, as the suite greets somebody whose name has a NUL in it. */
HANDLER(hello) {
    brrr_string greetee;
    BRRR_TRY(brrr_args(app, brrr_arg("greetee", &greetee)));
    char *text = malloc(greetee.size + 8);
    memcpy(text, "Hello, ", 7);
    memcpy(text + 7, greetee.data, greetee.size);
    text[7 + greetee.size] = '!';
    return brrr_return(app, (brrr_string){text, greetee.size + 8});
}

HANDLER(leaf) {
    int64_t i;
    BRRR_TRY(brrr_args(app, brrr_arg("i", &i)));
    return brrr_return(app, i);
}

HANDLER(big_result) {
    size_t bytes;
    BRRR_TRY(brrr_args(app, brrr_arg("bytes", &bytes)));
    size_t size = bytes < 2 ? 0 : bytes - 2;
    char *text = malloc(size + 1);
    memset(text, 'x', size);
    text[size] = 0;
    return brrr_return(app, text);
}

HANDLER(fib) {
    int64_t n, a, b;
    const char *salt = NULL;
    BRRR_TRY(brrr_args(app, brrr_arg("n", &n), brrr_optional("salt", &salt)));
    if (n < 2) return brrr_return(app, n);
    const char *left = salt != NULL ? brrr_format("%sl", salt) : NULL;
    const char *right = salt != NULL ? brrr_format("%sr", salt) : NULL;
    brrr_call calls[] = {
        brrr_call("fib", brrr_kv("n", n - 2), brrr_kv("salt", left)),
        brrr_call("fib", brrr_kv("n", n - 1), brrr_kv("salt", right)),
    };
    BRRR_TRY(brrr_gather(calls, 2));
    BRRR_TRY(brrr_await(&calls[0], &a));
    BRRR_TRY(brrr_await(&calls[1], &b));
    return brrr_return(app, a + b);
}

static brrr_error *spawn_fib(int64_t n, const char *salt, brrr_json *jobs) {
    const char *job;
    brrr_call call = brrr_call("fib", brrr_kv("n", n), brrr_kv("salt", salt));
    BRRR_TRY(brrr_spawn(&call, &job));
    brrr_push(jobs, brrr_value(job));
    return NULL;
}

/* Detached jobs; their ids. */
HANDLER(spawns) {
    int64_t n;
    BRRR_TRY(brrr_args(app, brrr_arg("n", &n)));
    brrr_json *jobs = brrr_array();
    for (int64_t i = 0; i < n; i++) BRRR_TRY(spawn_fib(i, "spawn", jobs));
    return brrr_return(app, jobs);
}

/* A detached job before a call, which another run starts again, and one after it. */
HANDLER(spawns_between) {
    brrr_json *jobs = brrr_array();
    BRRR_TRY(spawn_fib(1, "between", jobs));
    brrr_call between = brrr_call("fib", brrr_kv("n", 2), brrr_kv("salt", brrr_null()));
    BRRR_TRY(brrr_gather(&between, 1));
    BRRR_TRY(spawn_fib(3, "between", jobs));
    return brrr_return(app, jobs);
}

/* Calls of leaf, for i from 0 on. */
static brrr_call *leaves(size_t n) {
    brrr_call *calls = malloc(n * sizeof *calls);
    for (size_t i = 0; i < n; i++) calls[i] = brrr_call("leaf", brrr_kv("i", i));
    return calls;
}

HANDLER(fan_out) {
    size_t n;
    BRRR_TRY(brrr_args(app, brrr_arg("n", &n)));
    brrr_call *calls = leaves(n);
    BRRR_TRY(brrr_gather(calls, n));
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t value;
        BRRR_TRY(brrr_await(&calls[i], &value));
        sum += value;
    }
    return brrr_return(app, sum);
}

/* Waits for the calls and gives the list of what they gave. */
static brrr_error *return_all(brrr_app *app, brrr_call *calls, size_t n) {
    BRRR_TRY(brrr_gather(calls, n));
    brrr_json *values = brrr_array();
    for (size_t i = 0; i < n; i++) {
        int64_t value;
        BRRR_TRY(brrr_await(&calls[i], &value));
        brrr_push(values, brrr_value(value));
    }
    return brrr_return(app, values);
}

HANDLER(gather) {
    size_t n;
    BRRR_TRY(brrr_args(app, brrr_arg("n", &n)));
    return return_all(app, leaves(n), n);
}

HANDLER(sequential) {
    int64_t n, sum = 0;
    BRRR_TRY(brrr_args(app, brrr_arg("n", &n)));
    for (int64_t i = 0; i < n; i++) {
        int64_t value;
        brrr_call call = brrr_call("leaf", brrr_kv("i", i));
        BRRR_TRY(brrr_await(&call, &value));
        sum += value;
    }
    return brrr_return(app, sum);
}

HANDLER(chains) {
    size_t n;
    BRRR_TRY(brrr_args(app, brrr_arg("n", &n)));
    brrr_call *first = leaves(n), *second = leaves(n);
    BRRR_TRY(brrr_gather(first, n));
    for (size_t i = 0; i < n; i++) {
        int64_t x;
        BRRR_TRY(brrr_await(&first[i], &x));
        second[i] = brrr_call("leaf", brrr_kv("i", x + (int64_t)n));
    }
    return return_all(app, second, n);
}

HANDLER(race) {
    const char *slow, *gate;
    int64_t value, last;
    BRRR_TRY(brrr_args(app, brrr_arg("slow", &slow), brrr_arg("gate", &gate)));
    brrr_call calls[] = {brrr_call("leaf", brrr_kv("i", 0)), brrr_call("leaf", brrr_kv("i", 1))};
    calls[0].topic = slow;
    size_t winner = brrr_first(calls, 2);
    BRRR_TRY(brrr_await(&calls[winner], &value));
    brrr_call after = brrr_call("leaf", brrr_kv("i", 2));
    after.topic = gate;
    BRRR_TRY(brrr_await(&after, &last));
    return brrr_return(app, brrr_array(brrr_value(winner), brrr_value(value), brrr_value(last)));
}

HANDLER(race_of) {
    size_t need, n;
    BRRR_TRY(brrr_args(app, brrr_arg("need", &need), brrr_arg("n", &n)));
    brrr_call *calls = leaves(n);
    brrr_first_n(need, calls, n);
    brrr_json *values = brrr_array();
    for (size_t i = 0; i < n; i++) {
        const brrr_json *value = brrr_null();
        if (calls[i].done) BRRR_TRY(brrr_await(&calls[i], &value));
        brrr_push(values, brrr_value(value));
    }
    return brrr_return(app, values);
}
