#include <brrr.h>
#include <stdio.h>

static brrr_error *hello(brrr_app *app) {
    const char *greetee;
    BRRR_TRY(brrr_args(app, brrr_arg("greetee", &greetee)));
    char *greeting = brrr_format("Hello, %s!", greetee);
    puts(greeting); // appears on the worker's output
    return brrr_return(app, greeting);
}

// Looks recursive, runs as a graph: every fib(n) is a call of its own, run once and remembered.
static brrr_error *fib(brrr_app *app) {
    int64_t n, a, b;
    BRRR_TRY(brrr_args(app, brrr_arg("n", &n)));
    if (n < 2) return brrr_return(app, n);
    brrr_call calls[] = {brrr_call("fib", brrr_kv("n", n - 2)), brrr_call("fib", brrr_kv("n", n - 1))};
    BRRR_TRY(brrr_gather(calls, 2)); // two calls, queued together
    BRRR_TRY(brrr_await(&calls[0], &a));
    BRRR_TRY(brrr_await(&calls[1], &b));
    return brrr_return(app, a + b);
}

BRRR_WORKER(BRRR_TASK(hello), BRRR_TASK(fib, .max_retries = 3))
