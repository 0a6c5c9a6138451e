/* What an author sees of a fault. */
#include <stdio.h>
#include <string.h>

#include "tasks.h"

/* Up to the middle of the first character of four bytes. */
static char *up_to_the_middle(const char *text) {
    size_t size = 0;
    while (text[size] != 0 && (unsigned char)text[size] < 0xf0) size++;
    return brrr_format("%.*s", (int)(text[size] != 0 ? size + 2 : size), text);
}

HANDLER(cut) {
    const char *kind, *text;
    BRRR_TRY(brrr_args(app, brrr_arg("kind", &kind), brrr_arg("text", &text)));
    const char *part = up_to_the_middle(text);
    if (strcmp(kind, "output") == 0) printf("cut: %s\n", part);
    if (strcmp(kind, "log") == 0) brrr_log(BRRR_WARN, "cut: %s", part);
    if (strcmp(kind, "error") == 0) return brrr_retryable("cut: %s", part);
    if (strcmp(kind, "permanent") == 0) return brrr_permanent("cut: %s", part);
    return brrr_return(app, "done");
}

static brrr_error *inner(void) {
    return brrr_retryable("inner trouble");
}

/* An error in C is its message. */
HANDLER(causes) {
    (void)app;
    return brrr_retryable("outer trouble: %s", inner()->message);
}

HANDLER(several) {
    (void)app;
    brrr_error *errors[] = {brrr_retryable("first trouble"), brrr_retryable("second trouble")};
    return brrr_retryable("2 errors: %s; %s", errors[0]->message, errors[1]->message);
}

HANDLER(nothing) {
    (void)app;
    return NULL;
}

HANDLER(no_number) {
    brrr_json *values = brrr_array(brrr_value(1), brrr_value(__builtin_nan("")));
    return brrr_return(app, brrr_object(brrr_kv("values", values)));
}

/* localtime gives UTC whatever TZ is: the C library for WASI has no time zones. */
HANDLER(zone) {
    (void)app;
    return brrr_permanent("Europe/Zurich is not known: the C library for WASI has no time zones; take the offset as an "
                          "argument, or let a task in another language convert it");
}
