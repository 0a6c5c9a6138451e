/* Bytes, topics, hashes, the request itself, and calls between languages. */
#include <string.h>

#include "tasks.h"

HANDLER(echo) {
    return brrr_return_bytes(app, app->payload);
}

HANDLER(call_raw) {
    size_t size;
    brrr_bytes got;
    BRRR_TRY(brrr_args(app, brrr_arg("bytes", &size)));
    uint8_t *sent = malloc(size);
    for (size_t i = 0; i < size; i++) sent[i] = (uint8_t)i;
    brrr_call call = brrr_call_bytes("echo", (brrr_bytes){sent, size});
    BRRR_TRY(brrr_await(&call, &got));
    bool same = got.size == size && memcmp(got.data, sent, size) == 0;
    return brrr_return(app, brrr_array(brrr_value(got.size), brrr_value(same)));
}

HANDLER(call_topic) {
    const char *topic;
    int64_t i, value;
    BRRR_TRY(brrr_args(app, brrr_arg("topic", &topic), brrr_arg("i", &i)));
    brrr_call call = brrr_call("leaf", brrr_kv("i", i));
    call.topic = topic;
    BRRR_TRY(brrr_await(&call, &value));
    return brrr_return(app, value);
}

HANDLER(call_hash) {
    const char *hash;
    int64_t first, second;
    BRRR_TRY(brrr_args(app, brrr_arg("hash", &hash)));
    brrr_call one = brrr_call("leaf", brrr_kv("i", 1)), two = brrr_call("leaf", brrr_kv("i", 2));
    one.call_hash = two.call_hash = hash;
    BRRR_TRY(brrr_await(&one, &first));
    BRRR_TRY(brrr_await(&two, &second));
    return brrr_return(app, brrr_array(brrr_value(first), brrr_value(second)));
}

HANDLER(relays) {
    const char *task, *topic = NULL;
    const brrr_json *args, *value;
    BRRR_TRY(brrr_args(app, brrr_arg("task", &task), brrr_optional("topic", &topic), brrr_arg("args", &args)));
    brrr_call call = brrr_call_json(task, args);
    call.topic = topic;
    BRRR_TRY(brrr_await(&call, &value));
    return brrr_return(app, value);
}

HANDLER(about) {
    return brrr_return(app, brrr_object(brrr_kv("task", app->task), brrr_kv("call_hash", app->call_hash),
                                        brrr_kv("root_id", app->job_id), brrr_kv("topic", app->topic),
                                        brrr_kv("attempt", app->attempt), brrr_kv("has_deadline", app->has_deadline)));
}

HANDLER(c_greet) {
    const char *name;
    BRRR_TRY(brrr_args(app, brrr_arg("name", &name)));
    return brrr_return(app, brrr_format("%s from c", name));
}

HANDLER(c_gather) {
    const char *name;
    const brrr_json *tasks, *topics;
    BRRR_TRY(brrr_args(app, brrr_arg("name", &name), brrr_arg("tasks", &tasks), brrr_arg("topics", &topics)));
    size_t count = brrr_count(tasks);
    brrr_call *calls = malloc(count * sizeof *calls);
    for (size_t i = 0; i < count; i++) {
        const char *task, *topic;
        const char *problem = brrr_read(brrr_at(tasks, i), &task);
        if (problem != NULL) return brrr_permanent("task %zu: %s", i, problem);
        calls[i] = brrr_call(task, brrr_kv("name", name));
        if (brrr_read(brrr_at(topics, i), &topic) == NULL) calls[i].topic = topic;
    }
    BRRR_TRY(brrr_gather(calls, count));
    brrr_json *values = brrr_array();
    for (size_t i = 0; i < count; i++) {
        const brrr_json *value;
        BRRR_TRY(brrr_await(&calls[i], &value));
        brrr_push(values, brrr_value(value));
    }
    return brrr_return(app, values);
}
