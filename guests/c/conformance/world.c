/* Output, clock, sleep, random numbers, by C's own means; and what there is none of. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tasks.h"

HANDLER(prints) {
    const char *line;
    BRRR_TRY(brrr_args(app, brrr_arg("line", &line)));
    printf("before %s\n", line);
    brrr_log(BRRR_WARN, "warning %s", line);
    brrr_call call = brrr_call("leaf", brrr_kv("i", 1));
    BRRR_TRY(brrr_gather(&call, 1));
    printf("after %s\n", line);
    return brrr_return(app, line);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_ms(int64_t ms) {
    struct timespec wait = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&wait, NULL);
}

/* Below 2^53. */
static int64_t random_int(void) {
    uint64_t number;
    getentropy(&number, sizeof number);
    return (int64_t)(number >> 11);
}

/* What a child makes of a number that would differ if the host did not replay it. */
static brrr_error *through_leaf(int64_t i, int64_t *value) {
    brrr_call call = brrr_call("leaf", brrr_kv("i", i));
    return brrr_await(&call, value);
}

HANDLER(wall_clock) {
    int64_t time = now_ms(), given;
    BRRR_TRY(through_leaf(time, &given));
    return brrr_return(app, brrr_array(brrr_value(time), brrr_value(given)));
}

HANDLER(sleeps) {
    int64_t ms, given;
    BRRR_TRY(brrr_args(app, brrr_arg("ms", &ms)));
    int64_t before = now_ms();
    sleep_ms(ms);
    int64_t moved = now_ms() - before;
    BRRR_TRY(through_leaf(moved, &given));
    return brrr_return(app, given);
}

HANDLER(random_numbers) {
    int64_t first = random_int(), given;
    BRRR_TRY(through_leaf(first, &given));
    return brrr_return(app, brrr_array(brrr_value(first), brrr_value(given), brrr_value(random_int())));
}

HANDLER(real) {
    int64_t ms;
    BRRR_TRY(brrr_args(app, brrr_arg("ms", &ms)));
    int64_t before = now_ms();
    sleep_ms(ms);
    return brrr_return(app, brrr_object(brrr_kv("before", before), brrr_kv("after", now_ms()),
                                        brrr_kv("random", random_int())));
}

HANDLER(sleeper) {
    double seconds;
    BRRR_TRY(brrr_args(app, brrr_arg("seconds", &seconds)));
    int64_t before = now_ms();
    sleep_ms((int64_t)(seconds * 1000));
    return brrr_return(app, (double)(now_ms() - before) / 1000);
}

static const char *attempt(const char *path, const char *mode) {
    FILE *file = fopen(path, mode);
    if (file == NULL) return brrr_format("refused: %s", strerror(errno));
    fclose(file);
    return "got it";
}

HANDLER(forbidden) {
    extern char **environ;
    int64_t port;
    const char *path;
    BRRR_TRY(brrr_args(app, brrr_arg("port", &port), brrr_arg("path", &path)));
    const char *files = attempt(path, "r"), *written = attempt(brrr_format("%s.new", path), "w");
    if (strcmp(written, "got it") == 0) files = written;
    brrr_json *environment = brrr_array();
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) brrr_push(environment, brrr_value(*entry));
    // The C library for WASI has neither socket nor connect.
    return brrr_return(app, brrr_object(brrr_kv("network", "absent"), brrr_kv("files", files),
                                        brrr_kv("environment", environment)));
}
