/* Calls to other tasks: making them, and reading what they came to. */
#include "internal.h"

/* A failure in this library, before or after the call itself. */
static const brrr_failure *codec(const char *task, const char *what, const char *problem) {
    brrr_failure *failure = brrr_alloc(sizeof *failure);
    const char **chain = brrr_alloc(sizeof *chain), *message = brrr_join(what, ": ", problem, NULL);
    // Of a failure that is passed on, the chain is what most people see.
    chain[0] = brrr_join(task, ": codec: ", message, NULL);
    *failure = (brrr_failure){.kind = "codec", .task = task, .message = message, .chain = chain, .chain_count = 1};
    return failure;
}

static brrr_call call_new(const char *task) {
    return (brrr_call){
        .task = task, .timeout_ms = -1, .max_retries = -1, .retry_delay_ms = -1, .max_retry_delay_ms = -1};
}

void brrr_refuse(brrr_call *call, const char *problem) {
    call->done = true;
    call->failure = codec(call->task, "cannot write its arguments", problem);
}

brrr_call brrr_call_json(const char *task, const brrr_json *arguments) {
    brrr_call call = call_new(task);
    buffer out = {0};
    brrr_put_char(&out, '[');
    const char *problem = brrr_write(&out, arguments);
    brrr_put_char(&out, ']');
    if (problem != NULL) brrr_refuse(&call, problem);
    call.payload = (brrr_bytes){(const uint8_t *)out.data, out.size};
    call.is_json = true;
    return call;
}

brrr_call brrr_call_bytes(const char *task, brrr_bytes payload) {
    brrr_call call = call_new(task);
    call.payload = payload;
    return call;
}

brrr_call brrr_promise(const char *name) {
    return brrr_call_bytes(PROMISE, (brrr_bytes){(const uint8_t *)name, strlen(name)});
}

brrr_error *brrr_await_into(brrr_call *call, brrr_target target) {
    BRRR_TRY(brrr_gather(call, 1));
    if (target.type == BRRR_T_BYTES) {
        *(brrr_bytes *)target.to = call->value;
        return NULL;
    }
    const char *problem;
    // No bytes are null: tasks of bytes and other workers give nothing in that way.
    const brrr_json *value = call->value.size == 0 ? brrr_null() : brrr_parse(call->value, &problem);
    if (value != NULL) problem = brrr_read_into(value, target);
    return problem == NULL ? NULL : brrr_unfit(call, problem);
}

brrr_error *brrr_spawn(brrr_call *call, const char **job) {
    if (call->asked != 0 && !call->detached) brrr_panic("the call of %s was waited for, and is no detached job", call->task);
    call->detached = true;
    // The host answers it at once, so nothing has to wait with it.
    return brrr_await_into(call, (brrr_target){BRRR_T_TEXT, sizeof *job, job});
}

brrr_error *brrr_unfit(const brrr_call *call, const char *problem) {
    return brrr_child(codec(call->task, "cannot read its value", problem));
}
