/*
 * Task handlers for brrr-host in C.
 *
 *     #include <brrr.h>
 *
 *     static brrr_error *fib(brrr_app *app) {
 *         int64_t n, a, b;
 *         BRRR_TRY(brrr_args(app, brrr_arg("n", &n)));
 *         if (n < 2) return brrr_return(app, n);
 *         brrr_call calls[] = {brrr_call("fib", brrr_kv("n", n - 2)), brrr_call("fib", brrr_kv("n", n - 1))};
 *         BRRR_TRY(brrr_gather(calls, 2));
 *         BRRR_TRY(brrr_await(&calls[0], &a));
 *         BRRR_TRY(brrr_await(&calls[1], &b));
 *         return brrr_return(app, a + b);
 *     }
 *
 *     BRRR_WORKER(BRRR_TASK(fib))
 *
 * A handler runs more than once: while a value is not there the host drops its instance, and starts it again, from its
 * first line, once the value has come. Whatever it does besides calling must come out the same again. Clock and random
 * numbers do.
 *
 * All that this library hands out lives until the run ends; nothing has to be freed.
 */
#ifndef BRRR_H
#define BRRR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define BRRR_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brrr_bytes {
    const uint8_t *data;
    size_t size;
} brrr_bytes;

/* Text by length, for text that contains NUL; `data` has a NUL behind it all the same. UTF-8. */
typedef struct brrr_string {
    const char *data;
    size_t size;
} brrr_string;

/* ---- JSON: a value of any kind. Read it by brrr_read or the functions below, make one by brrr_value. */

typedef struct brrr_json brrr_json;

typedef enum brrr_kind {
    BRRR_NULL,
    BRRR_BOOL,
    BRRR_INTEGER, /* of any size */
    BRRR_FLOAT,
    BRRR_STRING,
    BRRR_ARRAY,
    BRRR_OBJECT,
} brrr_kind;

brrr_kind brrr_kind_of(const brrr_json *json);
/* How many items an array has, or entries an object; otherwise 0. */
size_t brrr_count(const brrr_json *json);
/* Item `i` of an array, or the value of entry `i` of an object; NULL when there is none. */
brrr_json *brrr_at(const brrr_json *json, size_t i);
/* The key of entry `i` of an object; NULL when there is none. */
const char *brrr_key(const brrr_json *json, size_t i);
/* The same with its length, as it may contain NUL. */
brrr_string brrr_key_n(const brrr_json *json, size_t i);
/* The value of this key; NULL when there is none, or `json` is no object. */
brrr_json *brrr_get(const brrr_json *json, const char *key);

brrr_json *brrr_null(void);
brrr_json *brrr_bool(bool value);
brrr_json *brrr_int(int64_t value);
brrr_json *brrr_uint(uint64_t value);
brrr_json *brrr_double(double value);
/* NULL is null. */
brrr_json *brrr_text(const char *value);
brrr_json *brrr_text_n(brrr_string value);
brrr_json *brrr_self(const brrr_json *value);
brrr_json *brrr_array_of(brrr_json *const *items, size_t count);
void brrr_push(brrr_json *array, brrr_json *item);

typedef struct brrr_pair {
    const char *key;
    brrr_json *value;
} brrr_pair;

brrr_json *brrr_object_of(const brrr_pair *pairs, size_t count);
/* The last value of a key counts. */
void brrr_set(brrr_json *object, const char *key, brrr_json *value);
/* The same for a key that may contain NUL. */
void brrr_set_n(brrr_json *object, brrr_string key, brrr_json *value);

/* NULL, and why in `*problem`, when the text is no JSON. Takes what Python does, NaN and Infinity included. */
brrr_json *brrr_parse(brrr_bytes text, const char **problem);
/* As Python's json.dumps(value, sort_keys=True) does. `data` is NULL when there is no JSON of it: see brrr_dump. */
brrr_bytes brrr_dumps(const brrr_json *json);
/* The same into `text`; gives NULL, or why there is no JSON of it, and where: some text is not UTF-8, a number is NaN or
 * infinite, or it nests too deep. */
const char *brrr_dump(const brrr_json *json, brrr_bytes *text);

/* ---- Failures and errors */

/* A call that ended without a value. */
typedef struct brrr_failure {
    /* error, rejected, trap, timeout, limit, cancelled, nondeterminism, conflict, cycle, unknown-task, dead-letter; more may
     * come. Made here: codec, when arguments could not be written or a value could not be read. */
    const char *kind;
    const char *task;
    const char *message;
    /* How often it was run. */
    uint32_t attempts;
    /* One line a call, from this one down to the first cause. */
    const char *const *chain;
    size_t chain_count;
    /* What the handler attached to its error, as it wrote it; `data` is NULL when there is nothing. See brrr_details. */
    brrr_bytes details;
} brrr_failure;

/* What the handler attached to its error; NULL when there is nothing, or it is no JSON. */
const brrr_json *brrr_details(const brrr_failure *failure);

/* Why a handler failed. NULL: it did not. */
typedef struct brrr_error {
    enum { BRRR_RETRYABLE, BRRR_PERMANENT, BRRR_CHILD } type;
    const char *message;
    /* Of BRRR_CHILD. */
    const brrr_failure *failure;
    /* See brrr_with_details. */
    brrr_bytes details;
} brrr_error;

/* An error that running the handler again may mend: the host does so as often as its options say. */
brrr_error *brrr_retryable(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* An error that no further run can mend. */
brrr_error *brrr_permanent(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A child's failure, passed on: the handler fails with it and is not run again for it. NULL for NULL. */
brrr_error *brrr_child(const brrr_failure *failure);
/* Attaches to an error of the handler's own what a caller's program can read of it, and gives the error:
 * return brrr_with_details(brrr_permanent("declined"), brrr_object(brrr_kv("code", 7))); */
brrr_error *brrr_with_details(brrr_error *error, const brrr_json *details);

/* ---- Calls */

/* How the pauses before retries grow. */
typedef enum brrr_backoff { BRRR_BACKOFF_DEFAULT, BRRR_FIXED, BRRR_EXPONENTIAL } brrr_backoff;

/* A call to a task: made by brrr_call, brrr_call_bytes or brrr_promise, then its fields may be set. It is queued by the
 * first wait for it, once. */
typedef struct brrr_call {
    const char *task;
    /* The topic whose workers serve the task. NULL: the topic of the call that is being run. */
    const char *topic;
    /* An identity of your own: calls with one hash share one value. NULL: the host derives it from task and arguments, as
     * the Python worker does, or from task and bytes. */
    const char *call_hash;
    /* Who shares the value: "fleet": every job; "job": this job; "90s", "15m", "1h" or "7d": every job, for at most that
     * long. NULL: as the task says. */
    const char *scope;
    /* A name by which events and listings show the call. */
    const char *label;
    /* How it is run, in place of what the task's own options say; -1: as those say. No part of its identity. */
    int64_t timeout_ms, max_retries, retry_delay_ms, max_retry_delay_ms;
    brrr_backoff backoff;
    /* It starts a job of its own: see brrr_spawn, which sets this. */
    bool detached;
    brrr_bytes payload;
    /* Is there an outcome? Then it is `failure` or, where that is NULL, `value`. */
    bool done;
    brrr_bytes value;
    const brrr_failure *failure;
    bool is_json;
    /* These two are the library's: whether brrr_next has given the call, and its place among all calls that were asked for. */
    bool given;
    uint64_t asked;
} brrr_call;

brrr_call brrr_call_json(const char *task, const brrr_json *arguments);
/* A call in bytes; read its `value`, or await it into brrr_bytes. */
brrr_call brrr_call_bytes(const char *task, brrr_bytes payload);
/* What somebody outside answers to this job's promise of that name. It is waited for like any call. When it is rejected,
 * that is a failure of kind "rejected". */
brrr_call brrr_promise(const char *name);

/* Waits for all of these calls, which are queued together: one batch. Returns as soon as one has failed: with the first
 * failure in their order. The others may not be `done` then. */
brrr_error *brrr_gather(brrr_call *calls, size_t count);
/* Waits until each of them has its outcome, a value or a failure. */
void brrr_settle(brrr_call *calls, size_t count);
/* A race: waits for the first of them to have an outcome and gives its index, the same in every replay. The rest go on. */
size_t brrr_first(brrr_call *calls, size_t count);
/* Waits for `need` of them; the others are not `done`. */
void brrr_first_n(size_t need, brrr_call *calls, size_t count);
/* For chains that go on independently of each other: the index of a call that has its outcome, each call once; `count` when
 * all were given. Put the chain's next call in its place, and ask again. */
size_t brrr_next(brrr_call *calls, size_t count);

/* Starts a detached job, in place of waiting for the call, and gives the job's id at once. The call is the first one of the new
 * job, which goes on by itself. Each replay and each further attempt gets the same ids, so start the same jobs in the same
 * order in each. To start several together, set `detached` of each and wait for all: the value of each is its job's id, as
 * text. */
brrr_error *brrr_spawn(brrr_call *call, const char **job);

/* What a wait is for: one of these, or so many outcomes (values or failures), for a race. */
typedef int64_t brrr_want;
enum {
    /* All calls have their outcome, or one has failed. */
    BRRR_ALL = -1,
    /* At least one more call has its outcome, and the host finds that it is worth going on. */
    BRRR_PROGRESS = -2,
};
#define BRRR_NO_LIMIT INT64_MAX

/* A wait with a limit: it takes at most `limit_ms` milliseconds, and is durable. Gives whether what is wanted came in time. Each
 * call that has its outcome is `done`; the others go on and may be waited for again. The waits above are made of this one. */
bool brrr_wait(brrr_call *calls, size_t count, brrr_want want, int64_t limit_ms);

/* The error of a call whose value does not fit, and why. */
brrr_error *brrr_unfit(const brrr_call *call, const char *problem);

/* ---- Handlers */

/* The call that a handler is run for. */
typedef struct brrr_app {
    const char *task;
    brrr_bytes payload;
    const char *call_hash;
    /* The job on whose behalf it runs. */
    const char *job_id;
    const char *topic;
    /* 1 for the first attempt; replays of one attempt have the same number. */
    uint32_t attempt;
    /* By when the call must have ended, in milliseconds of Unix time: the job's deadline, if it has one; of a leaf also
     * that of this run. */
    bool has_deadline;
    uint64_t deadline_ms;
    /* What brrr_return was given; a handler that gives nothing gives null. */
    brrr_bytes result;
} brrr_app;

/* All arguments, as an object, or an array where they were given by position. */
brrr_error *brrr_arguments(const brrr_app *app, const brrr_json **arguments);
brrr_error *brrr_return_json(brrr_app *app, const brrr_json *value);
/* The value is these bytes. */
brrr_error *brrr_return_bytes(brrr_app *app, brrr_bytes value);

/* Milliseconds until this run is stopped, whatever it does. It differs from replay to replay, so nothing that is called
 * or returned may depend on it, except in a leaf. */
uint64_t brrr_time_left_ms(void);
/* Is there any time left? For work that would rather stop early by itself. */
bool brrr_is_active(void);

/* A task, and how it is run; see BRRR_TASK. -1: the worker's choice. */
typedef struct brrr_task {
    const char *name;
    brrr_error *(*run)(brrr_app *app);
    /* How long one run may take. */
    int64_t timeout_ms;
    /* How often it is run again after a retryable error, a trap, or running out of time or memory. */
    int64_t max_retries;
    /* The pause before the first of those, and the longest where they grow. */
    int64_t retry_delay_ms, max_retry_delay_ms;
    brrr_backoff backoff;
    /* Runs of the task at once, in one worker. */
    int64_t max_running;
    /* What one run may have; the worker may allow less. */
    int64_t memory_bytes;
    /* It calls nobody, and has the real clock, sleep and random numbers. */
    bool leaf;
    /* Who shares a call's value, where the call does not say: see brrr_call. */
    const char *scope;
    /* A text for people. */
    const char *description;
    /* JSON Schemas (2020-12) of the arguments and of the value: BRRR_JSON({"type": "object", ...}). */
    const char *input_schema, *output_schema;
    /* Makes a schema where its text is NULL: of the value, or of the arguments. NULL where there is none. C++ sets it. */
    brrr_json *(*schema)(bool of_value);
} brrr_task;

/* What BRRR_WORKER defines. */
extern const char *const brrr_sdk;
extern const brrr_task *const brrr_tasks;
extern const size_t brrr_task_count;

/* ---- Output, clock, random numbers. stdio, time.h and getentropy work as well. */

typedef enum brrr_level { BRRR_TRACE, BRRR_DEBUG, BRRR_INFO, BRRR_WARN, BRRR_ERROR } brrr_level;

/* Shows a message on the worker's output, once however often the handler is replayed. */
void brrr_log(brrr_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with fields, names and values, which loggers show beside the message: see brrr_log_fields. */
void brrr_log_pairs(brrr_level level, const char *message, const brrr_pair *fields, size_t count);
/* Logs a message and ends the run at once, as a trap. */
void brrr_panic(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* sprintf into memory of the right size. */
char *brrr_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Unix time: that of the call's first run, and after a wait the time at which the call went on. The same in every replay. */
uint64_t brrr_now_ms(void);
/* Durable: while it lasts, the handler does not exist. A leaf sleeps where it is. */
void brrr_sleep_ms(uint64_t ms);
uint64_t brrr_random(void);

/* ---- What the worker lets it touch: brrr-host run --allow-http, --env. Each run of a handler does it again, so it belongs
 * into a leaf. */

typedef struct brrr_header {
    const char *name, *value;
} brrr_header;

/* A request: made by brrr_http_get or brrr_http_request, then its fields may be set. */
typedef struct brrr_request {
    const char *method, *url;
    const brrr_header *headers;
    size_t header_count;
    brrr_bytes body;
    /* It fails unless the whole response is there in this time; -1: the run's own time ends it. */
    int64_t timeout_ms;
    /* Redirects that it follows, 10 at first. Each is asked of the worker. */
    int redirects;
    /* What came back, of any status; or, where `problem` is not NULL, why nothing did. */
    uint16_t status;
    const brrr_header *response_headers;
    size_t response_header_count;
    /* Its body, with a NUL behind it. */
    brrr_bytes content;
    const char *problem;
} brrr_request;

brrr_request brrr_http_get(const char *url);
brrr_request brrr_http_request(const char *method, const char *url);
/* Sends all of them at once and waits for all. Gives the first problem in their order, which names host and flag where the
 * worker refused it; each request has its own all the same. */
brrr_error *brrr_http_send(brrr_request *requests, size_t count);
/* The value of the response's first header of this name; NULL when there is none. */
const char *brrr_http_header(const brrr_request *request, const char *name);

/* The variable's value, or an error that names the flag that would allow it. getenv works as well. */
brrr_error *brrr_env(const char *key, const char **value);

/* ---- Where types meet: what the macros below call. */

typedef enum brrr_type { BRRR_T_BOOL, BRRR_T_INT, BRRR_T_UINT, BRRR_T_DOUBLE, BRRR_T_FLOAT, BRRR_T_TEXT, BRRR_T_STRING,
                         BRRR_T_JSON, BRRR_T_BYTES } brrr_type;

/* Where a JSON value goes. */
typedef struct brrr_target {
    brrr_type type;
    size_t size;
    void *to;
} brrr_target;

typedef struct brrr_parameter {
    const char *name;
    bool optional;
    brrr_target target;
} brrr_parameter;

brrr_error *brrr_args_into(const brrr_app *app, const brrr_parameter *parameters, size_t count);
brrr_error *brrr_await_into(brrr_call *call, brrr_target target);
/* NULL, or why it does not fit. */
const char *brrr_read_into(const brrr_json *json, brrr_target target);

#ifdef __cplusplus
}
#else

/* Passes an error on to the caller. What is no brrr_error * does not compile: as a warning it would be a crash later. */
#define BRRR_TRY(expression)                                                                                           \
    do {                                                                                                               \
        _Static_assert(_Generic((expression), brrr_error *: 1, default: 0),                                            \
                       "BRRR_TRY takes a brrr_error *; brrr_read and brrr_dump give a text, which is to be looked at"); \
        brrr_error *brrr_error_ = (brrr_error *)(expression);                                                          \
        if (brrr_error_ != NULL) return brrr_error_;                                                                   \
    } while (0)

/* A JSON value of a C value: a number, bool, text, brrr_string, or JSON itself. To C, comparisons are of type int, and so
 * is `true` before C23: write (bool)(a == b). Variadic here and below, so that a compound literal is one value. */
#define brrr_value(...)           \
    _Generic((__VA_ARGS__),       \
        bool: brrr_bool,          \
        signed char: brrr_int,    \
        short: brrr_int,          \
        int: brrr_int,            \
        long: brrr_int,           \
        long long: brrr_int,      \
        unsigned char: brrr_uint, \
        unsigned short: brrr_uint, \
        unsigned: brrr_uint,      \
        unsigned long: brrr_uint, \
        unsigned long long: brrr_uint, \
        float: brrr_double,       \
        double: brrr_double,      \
        char *: brrr_text,        \
        const char *: brrr_text,  \
        brrr_string: brrr_text_n, \
        brrr_json *: brrr_self,   \
        const brrr_json *: brrr_self)(__VA_ARGS__)

/* Where a value goes, by the type of the pointer. */
#define BRRR_TARGET(pointer)                  \
    ((brrr_target){                           \
        _Generic((pointer),                   \
            bool *: BRRR_T_BOOL,              \
            short *: BRRR_T_INT,              \
            int *: BRRR_T_INT,                \
            long *: BRRR_T_INT,               \
            long long *: BRRR_T_INT,          \
            unsigned char *: BRRR_T_UINT,     \
            unsigned short *: BRRR_T_UINT,    \
            unsigned *: BRRR_T_UINT,          \
            unsigned long *: BRRR_T_UINT,     \
            unsigned long long *: BRRR_T_UINT, \
            float *: BRRR_T_FLOAT,            \
            double *: BRRR_T_DOUBLE,          \
            const char **: BRRR_T_TEXT,       \
            brrr_string *: BRRR_T_STRING,     \
            brrr_bytes *: BRRR_T_BYTES,       \
            const brrr_json **: BRRR_T_JSON), \
        sizeof *(pointer), (pointer)})

/* One entry of an object, one argument of a call. */
#define brrr_kv(key, ...) ((brrr_pair){(key), brrr_value(__VA_ARGS__)})
/* brrr_object(brrr_kv("a", 1), brrr_kv("b", "x")) */
#define brrr_object(...) brrr_object_of(BRRR_PAIRS(__VA_ARGS__))
/* brrr_array(brrr_value(1), brrr_value("x")) */
#define brrr_array(...)                                         \
    brrr_array_of((brrr_json *[]){NULL, __VA_ARGS__} + 1, \
                  sizeof((brrr_json *[]){NULL, __VA_ARGS__}) / sizeof(brrr_json *) - 1)
/* A call with arguments by name: brrr_call("fib", brrr_kv("n", 11)). */
#define brrr_call(task, ...) brrr_call_json((task), brrr_object_of(BRRR_PAIRS(__VA_ARGS__)))
/* With a first one that does not count, so that there may be none. */
#define BRRR_PAIRS(...) \
    (brrr_pair[]){{NULL, NULL}, __VA_ARGS__} + 1, sizeof((brrr_pair[]){{NULL, NULL}, __VA_ARGS__}) / sizeof(brrr_pair) - 1

/* Reads a JSON value: NULL, or why it does not fit. */
#define brrr_read(json, pointer) brrr_read_into((json), BRRR_TARGET(pointer))
/* The call's value, waited for unless it is there: a failure of the child's, or of kind codec where it does not fit. */
#define brrr_await(call, pointer) brrr_await_into((call), BRRR_TARGET(pointer))

/* The call's arguments; any others are refused: brrr_args(app, brrr_arg("n", &n), brrr_optional("salt", &salt)). */
#define brrr_args(app, ...)                                  \
    brrr_args_into((app), (const brrr_parameter[]){__VA_ARGS__}, \
                   sizeof((const brrr_parameter[]){__VA_ARGS__}) / sizeof(brrr_parameter))
#define brrr_arg(name, pointer) {(name), false, BRRR_TARGET(pointer)}
/* Left out or null, it leaves the variable as it is. */
#define brrr_optional(name, pointer) {(name), true, BRRR_TARGET(pointer)}

/* brrr_log_fields(BRRR_INFO, "paid", brrr_kv("cents", 200), brrr_kv("account", account)) */
#define brrr_log_fields(level, message, ...) brrr_log_pairs((level), (message), BRRR_PAIRS(__VA_ARGS__))

/* A text of JSON, written as JSON: BRRR_JSON({"type": "string"}) */
#define BRRR_JSON(...) #__VA_ARGS__

/* return brrr_return(app, value): what the handler gives, as JSON. */
#define brrr_return(app, ...) brrr_return_json((app), brrr_value(__VA_ARGS__))

/* One handler, as BRRR_WORKER lists it; options by name: BRRR_TASK(pay, .max_retries = 3, .timeout_ms = 10000). */
#define BRRR_TASK(function, ...)                                                                       \
    {                                                                                                  \
        .name = #function, .run = function, .timeout_ms = -1, .max_retries = -1, .retry_delay_ms = -1, \
        .max_retry_delay_ms = -1, .max_running = -1, .memory_bytes = -1, __VA_ARGS__                   \
    }
/* The tasks of this worker, once in the program: BRRR_WORKER(BRRR_TASK(hello), BRRR_TASK(fib)) */
#define BRRR_WORKER(...)                                                                            \
    _Pragma("GCC diagnostic push") BRRR_PRAGMA_OVERRIDE static const brrr_task brrr_list_[] = {__VA_ARGS__}; \
    _Pragma("GCC diagnostic pop") const char *const brrr_sdk = "c";                                          \
    const brrr_task *const brrr_tasks = brrr_list_;                                                          \
    const size_t brrr_task_count = sizeof brrr_list_ / sizeof *brrr_list_;
#ifdef __clang__
#define BRRR_PRAGMA_OVERRIDE _Pragma("GCC diagnostic ignored \"-Winitializer-overrides\"")
#else
#define BRRR_PRAGMA_OVERRIDE _Pragma("GCC diagnostic ignored \"-Woverride-init\"")
#endif
#endif
#endif
