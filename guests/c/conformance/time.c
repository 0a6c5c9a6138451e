/* Durable waits: sleeps, limits, chains side by side, promises. */
#include <string.h>

#include "tasks.h"

HANDLER(nap) {
    int64_t ms;
    const char *tag;
    BRRR_TRY(brrr_args(app, brrr_arg("ms", &ms), brrr_arg("tag", &tag)));
    brrr_sleep_ms((uint64_t)ms);
    return brrr_return(app, tag);
}

static brrr_call nap_call(int64_t ms, const char *tag) {
    return brrr_call("nap", brrr_kv("ms", ms), brrr_kv("tag", tag));
}

enum { CHAINS = 4, STEPS = 4 };

HANDLER(sides) {
    int64_t ms;
    const char *salt, *tags[CHAINS];
    BRRR_TRY(brrr_args(app, brrr_arg("ms", &ms), brrr_arg("salt", &salt)));
    brrr_call calls[CHAINS];
    size_t steps[CHAINS] = {0}, k;
    for (k = 0; k < CHAINS; k++) calls[k] = nap_call(k == 0 ? ms : 0, brrr_format("%s%zu0", salt, k));
    while ((k = brrr_next(calls, CHAINS)) < CHAINS) {
        BRRR_TRY(brrr_await(&calls[k], &tags[k]));
        size_t i = ++steps[k];
        if (i < STEPS) calls[k] = nap_call(i == k ? ms : 0, brrr_format("%s%zu%zu", salt, k, i));
    }
    return brrr_return(app, brrr_array(brrr_value(tags[0]), brrr_value(tags[1]), brrr_value(tags[2]), brrr_value(tags[3])));
}

HANDLER(fail_fast) {
    int64_t ms;
    const char *salt;
    BRRR_TRY(brrr_args(app, brrr_arg("ms", &ms), brrr_arg("salt", &salt)));
    brrr_call calls[] = {brrr_call("fails", brrr_kv("message", salt)), nap_call(ms, salt)};
    return brrr_gather(calls, 2);
}

HANDLER(too_late) {
    int64_t ms, limit;
    const char *tag;
    BRRR_TRY(brrr_args(app, brrr_arg("ms", &ms), brrr_arg("limit", &limit), brrr_arg("tag", &tag)));
    brrr_call call = nap_call(ms, tag);
    if (!brrr_wait(&call, 1, BRRR_ALL, limit)) return brrr_return(app, "too late");
    BRRR_TRY(brrr_await(&call, &tag));
    return brrr_return(app, tag);
}

HANDLER(twice_late) {
    int64_t ms, limit;
    const char *tag, *first = "too late", *second;
    BRRR_TRY(brrr_args(app, brrr_arg("ms", &ms), brrr_arg("limit", &limit), brrr_arg("tag", &tag)));
    brrr_call call = nap_call(ms, tag);
    if (brrr_wait(&call, 1, BRRR_ALL, limit)) BRRR_TRY(brrr_await(&call, &first));
    BRRR_TRY(brrr_await(&call, &second));
    return brrr_return(app, brrr_array(brrr_value(first), brrr_value(second)));
}

HANDLER(asks) {
    const char *name;
    int64_t limit;
    const brrr_json *answer;
    BRRR_TRY(brrr_args(app, brrr_arg("name", &name), brrr_arg("limit", &limit)));
    brrr_call promise = brrr_promise(name);
    if (!brrr_wait(&promise, 1, BRRR_ALL, limit > 0 ? limit : BRRR_NO_LIMIT)) return brrr_return(app, "too late");
    BRRR_TRY(brrr_await(&promise, &answer));
    return brrr_return(app, answer);
}

HANDLER(asks_or) {
    const char *name, *tag;
    int64_t ms;
    const brrr_json *answer;
    BRRR_TRY(brrr_args(app, brrr_arg("name", &name), brrr_arg("ms", &ms), brrr_arg("tag", &tag)));
    brrr_call calls[] = {brrr_promise(name), nap_call(ms, tag)};
    BRRR_TRY(brrr_await(&calls[brrr_first(calls, 2)], &answer));
    return brrr_return(app, answer);
}

HANDLER(asks_caught) {
    const char *name;
    BRRR_TRY(brrr_args(app, brrr_arg("name", &name)));
    brrr_call promise = brrr_promise(name);
    brrr_gather(&promise, 1);
    if (promise.failure == NULL) return brrr_permanent("the promise was not rejected");
    return brrr_return(app, brrr_object(brrr_kv("kind", promise.failure->kind), brrr_kv("message", promise.failure->message)));
}
