/* The component's border: what the host calls, and what it is asked, through the generated bindings. */
#include <stdio.h>

#include "../bindings/brrr_world.h"
#include "internal.h"

#define TEXT(text) ((brrr_world_string_t){(uint8_t *)(uintptr_t)(text), strlen(text)})

/* Text for people, of which the host takes only what is UTF-8. */
static brrr_world_string_t words(const char *text, size_t size) {
    brrr_string clean = brrr_clean(text, size);
    return (brrr_world_string_t){(uint8_t *)(uintptr_t)clean.data, clean.size};
}
#define WORDS(text) words((text), strlen(text))

/* Memory for what the host hands in, with a NUL behind it: so texts need no copy. Stands in for the weak one of the
 * bindings. */
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)align;
    uint8_t *memory = brrr_alloc(size + 1);
    // The host only ever grows what is not full.
    if (old_size > 0) memcpy(memory, old, old_size);
    memory[size] = 0;
    return memory;
}

/* Nothing is freed after a call: the instance is dropped. */
__attribute__((export_name("cabi_post_brrr:worker/handler@0.2.0#describe"))) void
__wasm_export_exports_brrr_worker_handler_describe_post_return(uint8_t *result) {
    (void)result;
}
__attribute__((export_name("cabi_post_brrr:worker/handler@0.2.0#handle"))) void
__wasm_export_exports_brrr_worker_handler_handle_post_return(uint8_t *result) {
    (void)result;
}

/* The bindings want the object file that carries the world's type, which brrr-cc adds itself. */
void __component_type_object_force_link_brrr_world(void);
void __component_type_object_force_link_brrr_world(void) {}

static const char *text_of(brrr_world_string_t text) {
    return text.len > 0 ? (const char *)text.ptr : "";
}

static brrr_bytes details_of(brrr_world_option_list_u8_t details) {
    if (!details.is_some) return (brrr_bytes){0};
    return (brrr_bytes){details.val.len > 0 ? details.val.ptr : (const uint8_t *)"", details.val.len};
}

static brrr_world_option_list_u8_t details_for_host(brrr_bytes details) {
    brrr_world_option_list_u8_t option = {.is_some = details.data != NULL};
    option.val = (brrr_world_list_u8_t){(uint8_t *)(uintptr_t)details.data, details.size};
    return option;
}

static const brrr_failure *failure_of(const brrr_worker_types_failure_t *from) {
    const char **chain = brrr_alloc(from->chain.len * sizeof *chain);
    for (size_t i = 0; i < from->chain.len; i++) chain[i] = text_of(from->chain.ptr[i]);
    brrr_failure *failure = brrr_alloc(sizeof *failure);
    *failure = (brrr_failure){
        .kind = text_of(from->kind),
        .task = text_of(from->task),
        .message = text_of(from->message),
        .attempts = from->attempts,
        .chain = chain,
        .chain_count = from->chain.len,
        .details = details_of(from->details),
    };
    return failure;
}

static brrr_world_list_tuple2_string_string_t pairs(const option *options, size_t count) {
    brrr_world_tuple2_string_string_t *list = brrr_alloc(count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i] = (brrr_world_tuple2_string_string_t){TEXT(options[i].name), WORDS(options[i].value)};
    }
    return (brrr_world_list_tuple2_string_string_t){list, count};
}

static brrr_world_option_string_t maybe(const char *text) {
    brrr_world_option_string_t option = {.is_some = text != NULL};
    if (text != NULL) option.val = TEXT(text);
    return option;
}

static brrr_worker_tasks_want_t want_of(brrr_want want) {
    brrr_worker_tasks_want_t wanted = {.tag = BRRR_WORKER_TYPES_WANT_ALL};
    if (want == BRRR_PROGRESS) wanted.tag = BRRR_WORKER_TYPES_WANT_PROGRESS;
    if (want >= 0) {
        wanted.tag = BRRR_WORKER_TYPES_WANT_SOME;
        wanted.val.some = (uint32_t)want;
    }
    return wanted;
}

void brrr_host_poll(brrr_call **calls, size_t count, brrr_want want, const uint64_t *until) {
    // The host may drop this instance, and what stdio still holds with it.
    brrr_flush();
    brrr_worker_tasks_invocation_t *list = brrr_alloc(count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const brrr_call *call = calls[i];
        option options[MAX_OPTIONS];
        list[i] = (brrr_worker_tasks_invocation_t){
            .task = TEXT(call->task),
            .payload = {(uint8_t *)(uintptr_t)call->payload.data, call->payload.size},
            .topic = maybe(call->topic),
            .call_hash = maybe(call->call_hash),
            .options = pairs(options, brrr_call_options(call, options)),
        };
    }
    brrr_worker_tasks_list_invocation_t asked = {list, count};
    brrr_worker_tasks_list_option_outcome_t outcomes;
    brrr_worker_tasks_want_t wanted = want_of(want);
    uint64_t end = until != NULL ? *until : 0;
    brrr_worker_tasks_poll(&asked, &wanted, until != NULL ? &end : NULL, &outcomes);
    for (size_t i = 0; i < count && i < outcomes.len; i++) {
        const brrr_worker_tasks_option_outcome_t *outcome = &outcomes.ptr[i];
        if (!outcome->is_some) continue;
        calls[i]->done = true;
        if (outcome->val.is_err) calls[i]->failure = failure_of(&outcome->val.val.err);
        else calls[i]->value = (brrr_bytes){outcome->val.val.ok.ptr, outcome->val.val.ok.len};
    }
}

void brrr_host_log_fields(brrr_level level, brrr_string message, const field *fields, size_t count) {
    brrr_world_string_t text = words(message.data, message.size);
    // A message without fields allocates nothing: it may be the one that says that memory has run out.
    brrr_world_tuple2_string_string_t *list = count > 0 ? brrr_alloc(count * sizeof *list) : NULL;
    for (size_t i = 0; i < count; i++) {
        list[i] = (brrr_world_tuple2_string_string_t){WORDS(fields[i].name), words(fields[i].value.data, fields[i].value.size)};
    }
    brrr_world_list_tuple2_string_string_t all = {list, count};
    brrr_worker_log_write((brrr_worker_log_level_t)level, &text, &all);
    free(list);
}

void brrr_flush(void) {
    fflush(NULL);
}

void brrr_last_words(void) {
    brrr_flush();
    brrr_end_lines();
}

uint64_t brrr_time_left_ms(void) {
    return brrr_worker_control_time_left_ms();
}

uint64_t brrr_now_ns(void) {
    wasi_clocks_wall_clock_datetime_t now;
    wasi_clocks_wall_clock_now(&now);
    return now.seconds * 1000000000 + now.nanoseconds;
}

void brrr_sleep_ms(uint64_t ms) {
    uint64_t ns;
    brrr_sleep_ns(__builtin_mul_overflow(ms, 1000000, &ns) ? UINT64_MAX : ns);
}

void brrr_sleep_ns(uint64_t ns) {
    wasi_clocks_monotonic_clock_own_pollable_t alarm = wasi_clocks_monotonic_clock_subscribe_duration(ns);
    wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(alarm));
    wasi_io_poll_pollable_drop_own(alarm);
}

uint64_t brrr_random(void) {
    return wasi_random_random_get_random_u64();
}

void exports_brrr_worker_handler_describe(exports_brrr_worker_handler_component_t *component) {
    brrr_worker_types_task_t *tasks = brrr_alloc(brrr_task_count * sizeof *tasks);
    for (size_t i = 0; i < brrr_task_count; i++) {
        option options[MAX_OPTIONS];
        tasks[i].name = TEXT(brrr_tasks[i].name);
        tasks[i].options = pairs(options, brrr_task_options(&brrr_tasks[i], options));
    }
    *component = (exports_brrr_worker_handler_component_t){TEXT(brrr_sdk), TEXT(BRRR_VERSION), {tasks, brrr_task_count}};
}

static brrr_worker_types_error_info_t info(const brrr_error *error) {
    return (brrr_worker_types_error_info_t){WORDS(error->message), details_for_host(error->details)};
}

static void fail(const brrr_error *from, exports_brrr_worker_handler_handler_error_t *error) {
    switch (from->type) {
    case BRRR_RETRYABLE:
        error->tag = BRRR_WORKER_TYPES_HANDLER_ERROR_RETRYABLE;
        error->val.retryable = info(from);
        return;
    case BRRR_PERMANENT:
        error->tag = BRRR_WORKER_TYPES_HANDLER_ERROR_PERMANENT;
        error->val.permanent = info(from);
        return;
    case BRRR_CHILD: {
        const brrr_failure *failure = from->failure;
        brrr_world_string_t *chain = brrr_alloc(failure->chain_count * sizeof *chain);
        for (size_t i = 0; i < failure->chain_count; i++) chain[i] = WORDS(failure->chain[i]);
        error->tag = BRRR_WORKER_TYPES_HANDLER_ERROR_CHILD;
        error->val.child = (brrr_worker_types_failure_t){
            WORDS(failure->kind), WORDS(failure->task), WORDS(failure->message), failure->attempts,
            {chain, failure->chain_count}, details_for_host(failure->details),
        };
        return;
    }
    }
}

bool exports_brrr_worker_handler_handle(exports_brrr_worker_handler_request_t *request, brrr_world_list_u8_t *value,
                                        exports_brrr_worker_handler_handler_error_t *error) {
    brrr_app app = {
        .task = text_of(request->task),
        .payload = {request->payload.ptr, request->payload.len},
        .call_hash = text_of(request->call_hash),
        .job_id = text_of(request->job_id),
        .topic = text_of(request->topic),
        .attempt = request->attempt,
        .has_deadline = request->deadline_ms.is_some,
        .deadline_ms = request->deadline_ms.val,
    };
    const brrr_error *failed = brrr_dispatch(&app);
    brrr_last_words();
    if (failed != NULL) {
        fail(failed, error);
        return false;
    }
    *value = (brrr_world_list_u8_t){(uint8_t *)(uintptr_t)app.result.data, app.result.size};
    return true;
}
