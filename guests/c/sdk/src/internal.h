/* What the files of this library share. */
#ifndef BRRR_INTERNAL_H
#define BRRR_INTERNAL_H

#include <string.h>

#include "../include/brrr.h"

/* How deep values may nest, read or written: the stack is small. */
enum { MAX_DEPTH = 200 };

struct brrr_json {
    brrr_kind kind;
    union {
        bool boolean;
        double number;
        /* An integer that needs more than 64 bits and a sign has its digits in `text`. */
        struct {
            int64_t value;
            const char *digits;
        } integer;
        brrr_string text;
        struct {
            /* Keys are empty in an array. */
            struct entry *entries;
            size_t count, capacity;
        } list;
    } as;
};

struct entry {
    brrr_string key;
    brrr_json *value;
};

/* malloc that ends the run when there is no memory. */
void *brrr_alloc(size_t size);
/* Text made of these; the last is NULL. */
char *brrr_join(const char *first, ...);
char *brrr_copy(const char *text, size_t size);
/* The decimal digits of a number. */
char *brrr_digits(uint64_t value);
brrr_error *brrr_error_new(int type, const char *message);
brrr_json *brrr_json_new(brrr_kind kind);
void brrr_append(brrr_json *list, brrr_string key, brrr_json *value);

typedef struct buffer {
    char *data;
    size_t size, capacity;
} buffer;

void brrr_put(buffer *out, const void *data, size_t size);
void brrr_put_char(buffer *out, char c);
/* NULL, or why it can't be written: text that is not UTF-8, NaN, too deep; with the place. */
const char *brrr_write(buffer *out, const brrr_json *json);
/* False when it is not UTF-8. */
bool brrr_write_text(buffer *out, brrr_string text);
/* Of a finite number. */
void brrr_write_double(buffer *out, double value);
/* Decodes one code point, surrogates allowed as in Python: its length, or 0. */
size_t brrr_utf8(const uint8_t *at, const uint8_t *end, uint32_t *code);

/* Is it UTF-8 as the host takes it, without surrogates? */
bool brrr_is_text(const char *text, size_t size);
/* The text itself where it is UTF-8, otherwise a copy with U+FFFD in place of what is not: the host would end the run. For
 * what people read. In payloads and values such text is an error. */
brrr_string brrr_clean(const char *text, size_t size);

/* The host's own task, whose payload is a promise's name. */
#define PROMISE "brrr.promise"
/* Ends a call as a failure of kind codec, before it is asked for. */
void brrr_refuse(brrr_call *call, const char *problem);

/* Runs the handler that `app->task` names; its value is in `app->result`. */
brrr_error *brrr_dispatch(brrr_app *app);

/* A URL's parts: `path` with its query. */
typedef struct url {
    bool https;
    const char *authority, *path;
} url;
/* NULL, or why it is none. */
const char *brrr_url_parse(const char *text, url *parsed);
/* Where a reference in a document from `base` leads. */
const char *brrr_url_join(const url *base, const char *reference);
bool brrr_url_same_origin(const url *a, const url *b);
/* The message about a request. */
const char *brrr_request_problem(const char *method, const char *url, const char *problem);

/* An option by its name in the WIT, with its value as text. */
typedef struct option {
    const char *name, *value;
} option;
/* The most that a task or a call has. */
enum { MAX_OPTIONS = 12 };
/* What is set; returns how many. */
size_t brrr_call_options(const brrr_call *call, option options[MAX_OPTIONS]);
size_t brrr_task_options(const brrr_task *task, option options[MAX_OPTIONS]);

/* What a logger shows beside a message. */
typedef struct field {
    const char *name;
    brrr_string value;
} field;

/* ---- The border with the host: component.c in a component, testing.c natively. */

/* Asks for the outcomes of these calls, none of which has one, and puts into them those that are there. `until` may be NULL. */
void brrr_host_poll(brrr_call **calls, size_t count, brrr_want want, const uint64_t *until);
void brrr_host_log_fields(brrr_level level, brrr_string message, const field *fields, size_t count);
/* Without fields. */
void brrr_host_log(brrr_level level, const char *message, size_t size);
/* Unix time. */
uint64_t brrr_now_ns(void);
/* Sends these requests, and puts into them what came of it. */
void brrr_host_send(brrr_request *requests, size_t count);
/* Shows what was printed and has not been shown. */
void brrr_flush(void);
/* The same at the end of a run, with the lines that have no end yet. */
void brrr_last_words(void);

/* ---- Of a component only. */

#define PREVIEW1(name) __imported_wasi_snapshot_preview1_##name
/* One function of preview 1, declared as the C library declares it: all of its pointers are numbers. */
#define PROVIDE(name, ...)               \
    int32_t PREVIEW1(name)(__VA_ARGS__); \
    int32_t PREVIEW1(name)(__VA_ARGS__)

/* What files add to the functions that stdio always uses; as those of preview 1. */
typedef struct file_functions {
    int32_t (*read)(int32_t fd, int32_t vectors, int32_t count, int32_t read);
    int32_t (*write)(int32_t fd, int32_t vectors, int32_t count, int32_t written);
    int32_t (*seek)(int32_t fd, int64_t offset, int32_t whence, int32_t position);
    int32_t (*close)(int32_t fd);
    int32_t (*fdstat)(int32_t fd, int32_t stat);
} file_functions;
/* NULL in a program that opens none. */
extern const file_functions *brrr_files;

void brrr_sleep_ns(uint64_t ns);
/* Shows lines that have no end yet. Nothing that is printed later comes before them. */
void brrr_end_lines(void);

#endif
