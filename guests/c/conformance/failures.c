/* Errors of its own, and those of children. */
#include "tasks.h"

HANDLER(fails) {
    const char *message;
    BRRR_TRY(brrr_args(app, brrr_arg("message", &message)));
    return brrr_retryable("%s", message);
}

HANDLER(catches) {
    const char *message;
    int64_t fine;
    BRRR_TRY(brrr_args(app, brrr_arg("message", &message)));
    brrr_call calls[] = {brrr_call("fails", brrr_kv("message", message)), brrr_call("leaf", brrr_kv("i", 1))};
    brrr_settle(calls, 2);
    const brrr_failure *failure = calls[0].failure;
    if (failure == NULL) return brrr_permanent("the child should have failed");
    BRRR_TRY(brrr_await(&calls[1], &fine));
    return brrr_return(app, brrr_object(brrr_kv("kind", failure->kind), brrr_kv("task", failure->task),
                                        brrr_kv("message", failure->message), brrr_kv("fine", fine)));
}

HANDLER(fails_child) {
    const char *message;
    BRRR_TRY(brrr_args(app, brrr_arg("message", &message)));
    brrr_call call = brrr_call("fails", brrr_kv("message", message));
    return brrr_gather(&call, 1);
}

HANDLER(unknown_child) {
    (void)app;
    brrr_call call = brrr_call("no_such_task");
    return brrr_gather(&call, 1);
}

HANDLER(stubborn) {
    (void)app;
    return brrr_permanent("no use");
}

HANDLER(always_fails) {
    (void)app;
    return brrr_retryable("never works");
}

HANDLER(calls_always_fails) {
    bool catch;
    BRRR_TRY(brrr_args(app, brrr_arg("catch", &catch)));
    brrr_call call = brrr_call("always_fails");
    brrr_error *error = brrr_gather(&call, 1);
    if (!catch || error == NULL) return error;
    const brrr_failure *failure = error->failure;
    return brrr_return(app, brrr_object(brrr_kv("kind", failure->kind), brrr_kv("task", failure->task),
                                        brrr_kv("message", failure->message), brrr_kv("attempts", failure->attempts)));
}

HANDLER(flaky) {
    uint32_t until;
    BRRR_TRY(brrr_args(app, brrr_arg("until", &until)));
    if (app->attempt < until) return brrr_retryable("attempt %u fails", (unsigned)app->attempt);
    return brrr_return(app, brrr_object(brrr_kv("attempt", app->attempt)));
}
