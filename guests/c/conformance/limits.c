/* Options, time, and handlers that the host must survive. */
#include <string.h>

#include "tasks.h"

HANDLER(full_options) {
    (void)app;
    return NULL;
}

HANDLER(loops) {
    (void)app;
    for (volatile uint64_t turns = 0;; turns++) {}
}

HANDLER(with_options) {
    brrr_call call = brrr_call("loops");
    call.timeout_ms = 200;
    call.max_retries = 0;
    call.label = "brief";
    brrr_gather(&call, 1);
    if (call.failure == NULL) return brrr_permanent("it never ends");
    return brrr_return(app, call.failure->kind);
}

HANDLER(patient) {
    while (brrr_is_active() && brrr_time_left_ms() > 100) brrr_sleep_ms(5);
    return brrr_return(app, "stopped in time");
}

HANDLER(grows) {
    (void)app;
    for (;;) {
        void *more = malloc(1 << 20);
        if (more == NULL) return brrr_retryable("out of memory");
        memset(more, 1, 1 << 20);
        // So that the optimiser cannot leave the pages untouched.
        __asm__ volatile("" : : "r"(more) : "memory");
    }
}

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Winfinite-recursion"
static int64_t deeper(int64_t n) {
    volatile int64_t frame[64] = {n};
    // The frame is used after the call, so that this is no loop in disguise.
    return deeper(n + 1) + frame[n % 64];
}
#pragma clang diagnostic pop

HANDLER(recurses) {
    return brrr_return(app, deeper(0));
}
