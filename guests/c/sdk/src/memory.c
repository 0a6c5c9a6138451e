/* Small helpers for memory and text, and what formats. */
#include <stdio.h>

#include "internal.h"

void *brrr_alloc(size_t size) {
    void *memory = malloc(size > 0 ? size : 1);
    if (memory == NULL) {
        static const char message[] = "out of memory";
        brrr_host_log(BRRR_ERROR, message, sizeof message - 1);
        __builtin_trap();
    }
    return memory;
}

char *brrr_copy(const char *text, size_t size) {
    char *copy = brrr_alloc(size + 1);
    if (size > 0) memcpy(copy, text, size);
    copy[size] = 0;
    return copy;
}

char *brrr_join(const char *first, ...) {
    buffer out = {0};
    va_list parts;
    va_start(parts, first);
    for (const char *part = first; part != NULL; part = va_arg(parts, const char *)) brrr_put(&out, part, strlen(part));
    va_end(parts);
    brrr_put_char(&out, 0);
    return out.data;
}

char *brrr_digits(uint64_t value) {
    char digits[20], *at = digits + sizeof digits;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return brrr_copy(at, (size_t)(digits + sizeof digits - at));
}

void brrr_put(buffer *out, const void *data, size_t size) {
    if (size > out->capacity - out->size) {
        size_t capacity = out->capacity < 64 ? 64 : out->capacity * 2;
        while (capacity - out->size < size) capacity *= 2;
        char *grown = brrr_alloc(capacity);
        if (out->size > 0) memcpy(grown, out->data, out->size);
        free(out->data);
        out->data = grown;
        out->capacity = capacity;
    }
    if (size > 0) memcpy(out->data + out->size, data, size);
    out->size += size;
}

void brrr_put_char(buffer *out, char c) {
    brrr_put(out, &c, 1);
}

static char *format(const char *pattern, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, pattern, again);
    va_end(again);
    if (size < 0) return brrr_copy(pattern, strlen(pattern));
    char *text = brrr_alloc((size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, pattern, arguments);
    return text;
}

#define FORMATTED(text, pattern)        \
    va_list arguments;                  \
    va_start(arguments, pattern);       \
    char *text = format(pattern, arguments); \
    va_end(arguments)

char *brrr_format(const char *pattern, ...) {
    FORMATTED(text, pattern);
    return text;
}

brrr_error *brrr_retryable(const char *pattern, ...) {
    FORMATTED(text, pattern);
    return brrr_error_new(BRRR_RETRYABLE, text);
}

brrr_error *brrr_permanent(const char *pattern, ...) {
    FORMATTED(text, pattern);
    return brrr_error_new(BRRR_PERMANENT, text);
}

void brrr_log(brrr_level level, const char *pattern, ...) {
    FORMATTED(text, pattern);
    // In the order in which it was printed.
    brrr_flush();
    brrr_host_log(level, text, strlen(text));
    free(text);
}

void brrr_log_pairs(brrr_level level, const char *message, const brrr_pair *pairs, size_t count) {
    field *fields = brrr_alloc(count * sizeof *fields);
    for (size_t i = 0; i < count; i++) {
        const brrr_json *value = pairs[i].value;
        brrr_bytes text;
        const char *problem = NULL;
        // Text as it is, anything else as JSON. What has no JSON is shown as the reason: a log message stops no run.
        if (brrr_kind_of(value) == BRRR_STRING) text = (brrr_bytes){(const uint8_t *)value->as.text.data, value->as.text.size};
        else problem = brrr_dump(value, &text);
        if (problem != NULL) text = (brrr_bytes){(const uint8_t *)problem, strlen(problem)};
        fields[i] = (field){pairs[i].key, {(const char *)text.data, text.size}};
    }
    brrr_flush();
    brrr_host_log_fields(level, (brrr_string){message, strlen(message)}, fields, count);
    free(fields);
}

void brrr_host_log(brrr_level level, const char *message, size_t size) {
    brrr_host_log_fields(level, (brrr_string){message, size}, NULL, 0);
}

void brrr_panic(const char *pattern, ...) {
    FORMATTED(text, pattern);
    brrr_last_words();
    brrr_host_log(BRRR_ERROR, text, strlen(text));
    __builtin_trap();
}
