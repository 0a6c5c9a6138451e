/* Errors of handlers, and failures of children that are passed on. */
#include "internal.h"

brrr_error *brrr_error_new(int type, const char *message) {
    brrr_error *error = brrr_alloc(sizeof *error);
    *error = (brrr_error){.message = message};
    error->type = type;
    return error;
}

brrr_error *brrr_child(const brrr_failure *failure) {
    if (failure == NULL) return NULL;
    const char *message = brrr_join(failure->task, " failed (", failure->kind, "): ", failure->message, NULL);
    brrr_error *error = brrr_error_new(BRRR_CHILD, message);
    error->failure = failure;
    return error;
}

brrr_error *brrr_with_details(brrr_error *error, const brrr_json *details) {
    // A child's failure has its own.
    if (error == NULL || error->type == BRRR_CHILD) return error;
    const char *problem = brrr_dump(details, &error->details);
    if (problem == NULL) return error;
    return brrr_error_new(BRRR_PERMANENT,
                          brrr_join(error->message, "; and its details cannot be written as JSON: ", problem, NULL));
}

const brrr_json *brrr_details(const brrr_failure *failure) {
    const char *problem;
    return failure->details.data == NULL ? NULL : brrr_parse(failure->details, &problem);
}
