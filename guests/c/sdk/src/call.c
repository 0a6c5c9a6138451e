/* Calls to other tasks: making them, waiting for them, reading what they came to. */
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

static void refuse(brrr_call *call, const char *problem) {
    call->done = true;
    call->failure = codec(call->task, "cannot write its arguments", problem);
}

brrr_call brrr_call_json(const char *task, const brrr_json *arguments) {
    brrr_call call = call_new(task);
    buffer out = {0};
    brrr_put_char(&out, '[');
    const char *problem = brrr_write(&out, arguments);
    brrr_put_char(&out, ']');
    if (problem != NULL) refuse(&call, problem);
    call.payload = (brrr_bytes){(const uint8_t *)out.data, out.size};
    call.is_json = true;
    return call;
}

brrr_call brrr_call_bytes(const char *task, brrr_bytes payload) {
    brrr_call call = call_new(task);
    call.payload = payload;
    return call;
}

char *brrr_call_hash(const char *task, brrr_bytes payload) {
    buffer head = {0};
    brrr_put_char(&head, '[');
    if (!brrr_write_text(&head, (brrr_string){task, strlen(task)})) return NULL;
    brrr_put(&head, ", ", 2);
    brrr_bytes parts[] = {{(const uint8_t *)head.data, head.size}, payload, {(const uint8_t *)"]", 1}};
    char *hash = brrr_sha256(parts, 3);
    free(head.data);
    return hash;
}

/* Names decide what is called, so they are not mended as text for people is. */
static const char *misnamed(const brrr_call *call) {
    const struct { const char *text, *problem; } names[] = {
        {call->task, "the task's name is not UTF-8"},
        {call->topic, "the topic is not UTF-8"},
        {call->call_hash, "the call hash is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].text != NULL && !brrr_is_text(names[i].text, strlen(names[i].text))) return names[i].problem;
    }
    return NULL;
}

/* Those that have to be asked for. */
static size_t open_calls(brrr_call *calls, size_t count, brrr_call **open) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        brrr_call *call = &calls[i];
        const char *problem = call->done ? NULL : misnamed(call);
        if (problem != NULL) refuse(call, problem);
        if (!call->done && call->is_json && call->call_hash == NULL) {
            call->call_hash = brrr_call_hash(call->task, call->payload);
        }
        if (!call->done) open[found++] = call;
    }
    return found;
}

void brrr_first_n(size_t need, brrr_call *calls, size_t count) {
    if (need > count) brrr_panic("a race for %zu outcomes of %zu calls", need, count);
    brrr_call **open = brrr_alloc(count * sizeof *open);
    size_t asked = open_calls(calls, count, open);
    // What has an outcome already counts.
    size_t there = count - asked;
    if (need > there) {
        uint32_t rest = (uint32_t)(need - there);
        brrr_host_poll(open, asked, rest == asked ? NULL : &rest);
    }
    free(open);
}

brrr_error *brrr_gather(brrr_call *calls, size_t count) {
    brrr_first_n(count, calls, count);
    for (size_t i = 0; i < count; i++) {
        if (calls[i].failure != NULL) return brrr_child(calls[i].failure);
    }
    return NULL;
}

size_t brrr_first(brrr_call *calls, size_t count) {
    if (count == 0) brrr_panic("a race of no calls");
    brrr_first_n(1, calls, count);
    size_t i = 0;
    while (!calls[i].done) i++;
    return i;
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

brrr_error *brrr_unfit(const brrr_call *call, const char *problem) {
    return brrr_child(codec(call->task, "cannot read its value", problem));
}

brrr_error *brrr_child(const brrr_failure *failure) {
    if (failure == NULL) return NULL;
    const char *message = brrr_join(failure->task, " failed (", failure->kind, "): ", failure->message, NULL);
    brrr_error *error = brrr_error_new(BRRR_CHILD, message);
    error->failure = failure;
    return error;
}
