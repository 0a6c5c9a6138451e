/* Handlers of tasks; `brrr-host build` makes one component of all C files. */
#include <brrr.h>
#include <stdio.h>
#include <stdlib.h>

static brrr_error *hello(brrr_app *app) {
    const char *greetee;
    BRRR_TRY(brrr_args(app, brrr_arg("greetee", &greetee)));
    char *greeting = brrr_format("Hello, %s!", greetee);
    puts(greeting); // appears on the worker's output
    return brrr_return(app, greeting);
}

// Run again from its beginning once the rolls are there, so it must come to the same calls again. The rolls are queued
// together, and each is run once, by whichever worker is free.
static brrr_error *dice(brrr_app *app) {
    uint32_t count;
    BRRR_TRY(brrr_args(app, brrr_arg("count", &count)));
    brrr_call *calls = calloc(count, sizeof *calls); // nothing has to be freed: it is gone with the run
    if (calls == NULL) return brrr_permanent("%u dice are too many", (unsigned)count);
    for (uint32_t n = 0; n < count; n++) calls[n] = brrr_call("roll", brrr_kv("nth", n));
    BRRR_TRY(brrr_gather(calls, count));

    brrr_json *rolls = brrr_array();
    int64_t sum = 0;
    for (uint32_t n = 0; n < count; n++) {
        int64_t points;
        BRRR_TRY(brrr_await(&calls[n], &points));
        brrr_push(rolls, brrr_value(points));
        sum += points;
    }
    return brrr_return(app, brrr_object(brrr_kv("rolls", rolls), brrr_kv("sum", sum)));
}

static brrr_error *roll(brrr_app *app) {
    uint32_t nth; // only makes each a call of its own: the same call made twice is run once
    BRRR_TRY(brrr_args(app, brrr_arg("nth", &nth)));
    return brrr_return(app, (int64_t)(1 + brrr_random() % 6));
}

// A leaf has the real clock and real random numbers: the place for all that is not the same every time.
BRRR_WORKER(BRRR_TASK(hello), BRRR_TASK(dice), BRRR_TASK(roll, .leaf = true))
