/* How calls and tasks are run, as the pairs of text that the host takes. */
#include "internal.h"

static void add(option **next, const char *name, const char *value) {
    if (value != NULL) *(*next)++ = (option){name, value};
}

static void add_number(option **next, const char *name, int64_t value) {
    if (value >= 0) add(next, name, brrr_digits((uint64_t)value));
}

static void add_backoff(option **next, brrr_backoff backoff) {
    if (backoff != BRRR_BACKOFF_DEFAULT) add(next, "retry-backoff", backoff == BRRR_FIXED ? "fixed" : "exponential");
}

size_t brrr_call_options(const brrr_call *call, option options[MAX_OPTIONS]) {
    option *next = options;
    // Without it the host hashes the payload as bytes, and shares no values with the Python worker.
    if (call->is_json && call->call_hash == NULL) add(&next, "hash-of", "python");
    add(&next, "scope", call->scope);
    add_number(&next, "timeout-ms", call->timeout_ms);
    add_number(&next, "max-retries", call->max_retries);
    add_number(&next, "retry-delay-ms", call->retry_delay_ms);
    add_number(&next, "max-retry-delay-ms", call->max_retry_delay_ms);
    add_backoff(&next, call->backoff);
    add(&next, "label", call->label);
    if (call->detached) add(&next, "detached", "true");
    return (size_t)(next - options);
}

static const char *schema(const brrr_task *task, bool of_value) {
    const char *given = of_value ? task->output_schema : task->input_schema;
    if (given != NULL || task->schema == NULL) return given;
    brrr_json *made = task->schema(of_value);
    return made == NULL ? NULL : (const char *)brrr_dumps(made).data;
}

size_t brrr_task_options(const brrr_task *task, option options[MAX_OPTIONS]) {
    option *next = options;
    if (task->leaf) add(&next, "leaf", "true");
    add_number(&next, "timeout-ms", task->timeout_ms);
    add_number(&next, "max-retries", task->max_retries);
    add_number(&next, "retry-delay-ms", task->retry_delay_ms);
    add_number(&next, "max-retry-delay-ms", task->max_retry_delay_ms);
    add_backoff(&next, task->backoff);
    add_number(&next, "max-running", task->max_running);
    add_number(&next, "memory-bytes", task->memory_bytes);
    add(&next, "scope", task->scope);
    add(&next, "description", task->description);
    add(&next, "input-schema", schema(task, false));
    add(&next, "output-schema", schema(task, true));
    return (size_t)(next - options);
}
