/* Who shares a value; what errors, logs and descriptions carry. */
#include <string.h>

#include "tasks.h"

HANDLER(dice) {
    int64_t i;
    BRRR_TRY(brrr_args(app, brrr_arg("i", &i)));
    return brrr_return(app, brrr_random() >> 11);
}

HANDLER(scoped) {
    const char *scope = NULL;
    int64_t i, points;
    BRRR_TRY(brrr_args(app, brrr_optional("scope", &scope), brrr_arg("i", &i)));
    brrr_call call = brrr_call("dice", brrr_kv("i", i));
    call.scope = scope;
    BRRR_TRY(brrr_await(&call, &points));
    return brrr_return(app, points);
}

HANDLER(attaches) {
    int64_t code;
    BRRR_TRY(brrr_args(app, brrr_arg("code", &code)));
    return brrr_with_details(brrr_permanent("attached"), brrr_object(brrr_kv("code", code)));
}

HANDLER(reads_details) {
    int64_t code, read;
    BRRR_TRY(brrr_args(app, brrr_arg("code", &code)));
    brrr_call call = brrr_call("attaches", brrr_kv("code", code));
    brrr_gather(&call, 1);
    if (call.failure == NULL) return brrr_permanent("the child should have failed");
    const char *problem = brrr_read(brrr_get(brrr_details(call.failure), "code"), &read);
    if (problem != NULL) return brrr_child(call.failure);
    return brrr_return(app, read);
}

HANDLER(logs_fields) {
    (void)app;
    brrr_log_fields(BRRR_INFO, "with fields", brrr_kv("a", 1), brrr_kv("b", "two"));
    return NULL;
}

HANDLER(described) {
    const char *text;
    size_t times;
    BRRR_TRY(brrr_args(app, brrr_arg("text", &text), brrr_arg("times", &times)));
    size_t size = strlen(text);
    char *all = malloc(size * times + 1);
    if (all == NULL) return brrr_permanent("%zu times is too often", times);
    for (size_t i = 0; i < times; i++) memcpy(all + i * size, text, size);
    all[size * times] = 0;
    return brrr_return(app, all);
}
