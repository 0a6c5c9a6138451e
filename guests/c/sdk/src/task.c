/* Handlers: their arguments, their values, their options. */
#include "internal.h"

static brrr_error *unfit(const char *problem, const char *name) {
    const char *message = name == NULL ? brrr_join("the arguments do not fit: ", problem, NULL)
                                       : brrr_join("the arguments do not fit: ", name, ": ", problem, NULL);
    // The same payload will not fit next time either.
    return brrr_error_new(BRRR_PERMANENT, message);
}

brrr_error *brrr_arguments(const brrr_app *app, const brrr_json **arguments) {
    const char *problem;
    const brrr_json *payload = brrr_parse(app->payload, &problem);
    if (payload == NULL) return unfit(problem, NULL);
    // [{…}] by name, [] for none, […] by position, or a bare {…}.
    if (brrr_kind_of(payload) == BRRR_ARRAY) {
        if (brrr_count(payload) == 0) payload = brrr_object_of(NULL, 0);
        else if (brrr_count(payload) == 1 && brrr_kind_of(brrr_at(payload, 0)) == BRRR_OBJECT) payload = brrr_at(payload, 0);
    } else if (brrr_kind_of(payload) != BRRR_OBJECT) {
        return unfit("expected a list or an object", NULL);
    }
    *arguments = payload;
    return NULL;
}

static brrr_error *no_others(const brrr_json *arguments, const brrr_parameter *parameters, size_t count) {
    for (size_t i = 0; i < brrr_count(arguments); i++) {
        const char *key = brrr_key(arguments, i);
        size_t known = 0;
        if (key != NULL) {
            while (known < count && strcmp(parameters[known].name, key) != 0) known++;
        } else {
            known = i;
        }
        if (known >= count) return unfit(key != NULL ? "there is no such argument" : "there are too many", key);
    }
    return NULL;
}

brrr_error *brrr_args_into(const brrr_app *app, const brrr_parameter *parameters, size_t count) {
    const brrr_json *arguments;
    BRRR_TRY(brrr_arguments(app, &arguments));
    BRRR_TRY(no_others(arguments, parameters, count));
    bool named = brrr_kind_of(arguments) == BRRR_OBJECT;
    for (size_t i = 0; i < count; i++) {
        const brrr_parameter *parameter = &parameters[i];
        const brrr_json *value = named ? brrr_get(arguments, parameter->name) : brrr_at(arguments, i);
        if (parameter->optional && brrr_kind_of(value) == BRRR_NULL) continue;
        const char *problem = brrr_read_into(value, parameter->target);
        if (problem != NULL) return unfit(problem, parameter->name);
    }
    return NULL;
}

brrr_error *brrr_return_json(brrr_app *app, const brrr_json *value) {
    const char *problem = brrr_dump(value, &app->result);
    if (problem == NULL) return NULL;
    return brrr_error_new(BRRR_PERMANENT, brrr_join("the value cannot be written as JSON: ", problem, NULL));
}

brrr_error *brrr_return_bytes(brrr_app *app, brrr_bytes value) {
    app->result = (brrr_bytes){value.data != NULL ? value.data : (const uint8_t *)"", value.size};
    return NULL;
}

brrr_error *brrr_dispatch(brrr_app *app) {
    for (size_t i = 0; i < brrr_task_count; i++) {
        if (strcmp(brrr_tasks[i].name, app->task) != 0) continue;
        app->result = (brrr_bytes){(const uint8_t *)"null", 4};
        return brrr_tasks[i].run(app);
    }
    return brrr_error_new(BRRR_PERMANENT, brrr_join("this worker has no task \"", app->task, "\"", NULL));
}

bool brrr_is_active(void) {
    return brrr_time_left_ms() > 0;
}

uint64_t brrr_now_ms(void) {
    return brrr_now_ns() / 1000000;
}
