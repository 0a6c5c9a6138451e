/* Writes JSON as Python's json.dumps(…, sort_keys=True) does, to the byte: call hashes are made of it. */
#include "internal.h"

static bool write_value(buffer *out, const brrr_json *json, int depth);

size_t brrr_utf8(const uint8_t *at, const uint8_t *end, uint32_t *code) {
    uint8_t head = *at;
    if (head < 0x80) {
        *code = head;
        return 1;
    }
    size_t size = head >= 0xf0 ? 4 : head >= 0xe0 ? 3 : 2;
    if (head < 0xc2 || head > 0xf4 || (size_t)(end - at) < size) return 0;
    *code = head & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
        *code = *code << 6 | (at[i] & 0x3f);
    }
    // Longer than need be, or beyond Unicode.
    if ((size == 3 && *code < 0x800) || (size == 4 && (*code < 0x10000 || *code > 0x10ffff))) return 0;
    return size;
}

static void put_unit(buffer *out, uint32_t unit) {
    static const char hex[] = "0123456789abcdef";
    char escape[6] = {'\\', 'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15]};
    brrr_put(out, escape, sizeof escape);
}

static void put_escaped(buffer *out, uint32_t code) {
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    const char *plain = code > 0 && code < 0x80 ? strchr(from, (int)code) : NULL;
    if (plain != NULL) {
        brrr_put(out, (char[]){'\\', to[plain - from]}, 2);
    } else if (code < 0x10000) {
        put_unit(out, code);
    } else {
        put_unit(out, 0xd800 + ((code - 0x10000) >> 10));
        put_unit(out, 0xdc00 + ((code - 0x10000) & 0x3ff));
    }
}

bool brrr_write_text(buffer *out, brrr_string text) {
    const uint8_t *at = (const uint8_t *)text.data, *end = at + text.size;
    brrr_put_char(out, '"');
    while (at < end) {
        const uint8_t *run = at;
        while (at < end && *at >= ' ' && *at <= '~' && *at != '"' && *at != '\\') at++;
        brrr_put(out, run, (size_t)(at - run));
        if (at == end) break;
        uint32_t code;
        size_t size = brrr_utf8(at, end, &code);
        if (size == 0) return false;
        put_escaped(out, code);
        at += size;
    }
    brrr_put_char(out, '"');
    return true;
}

/* By bytes, which sorts UTF-8 as code points do: Python's order. */
static int compare(brrr_string a, brrr_string b) {
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* The entries in order, of equal keys the last: by insertion, at the end in the usual case. Returns how many. */
static size_t sort(const brrr_json *object, const struct entry **sorted) {
    size_t count = 0;
    for (size_t i = 0; i < object->as.list.count; i++) {
        const struct entry *entry = &object->as.list.entries[i];
        size_t low = 0, high = count;
        if (count > 0 && compare(sorted[count - 1]->key, entry->key) < 0) low = count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (compare(sorted[middle]->key, entry->key) < 0) low = middle + 1;
            else high = middle;
        }
        if (low < count && compare(sorted[low]->key, entry->key) == 0) {
            sorted[low] = entry;
            continue;
        }
        memmove(sorted + low + 1, sorted + low, (count - low) * sizeof *sorted);
        sorted[low] = entry;
        count++;
    }
    return count;
}

static bool write_object(buffer *out, const brrr_json *json, int depth) {
    const struct entry *few[16];
    const struct entry **sorted = few;
    if (json->as.list.count > sizeof few / sizeof *few) sorted = brrr_alloc(json->as.list.count * sizeof *sorted);
    size_t count = sort(json, sorted);
    bool fine = true;
    brrr_put_char(out, '{');
    for (size_t i = 0; i < count && fine; i++) {
        if (i > 0) brrr_put(out, ", ", 2);
        fine = brrr_write_text(out, sorted[i]->key);
        brrr_put(out, ": ", 2);
        fine = fine && write_value(out, sorted[i]->value, depth + 1);
    }
    brrr_put_char(out, '}');
    if (sorted != few) free(sorted);
    return fine;
}

static bool write_array(buffer *out, const brrr_json *json, int depth) {
    brrr_put_char(out, '[');
    for (size_t i = 0; i < json->as.list.count; i++) {
        if (i > 0) brrr_put(out, ", ", 2);
        if (!write_value(out, json->as.list.entries[i].value, depth + 1)) return false;
    }
    brrr_put_char(out, ']');
    return true;
}

static void write_integer(buffer *out, const brrr_json *json) {
    if (json->as.integer.digits != NULL) {
        brrr_put(out, json->as.integer.digits, strlen(json->as.integer.digits));
        return;
    }
    int64_t value = json->as.integer.value;
    if (value < 0) brrr_put_char(out, '-');
    char *digits = brrr_digits(value < 0 ? -(uint64_t)value : (uint64_t)value);
    brrr_put(out, digits, strlen(digits));
    free(digits);
}

static bool write_value(buffer *out, const brrr_json *json, int depth) {
    if (depth > MAX_DEPTH) return false;
    switch (brrr_kind_of(json)) {
    case BRRR_NULL:
        brrr_put(out, "null", 4);
        return true;
    case BRRR_BOOL:
        brrr_put(out, json->as.boolean ? "true" : "false", json->as.boolean ? 4 : 5);
        return true;
    case BRRR_INTEGER:
        write_integer(out, json);
        return true;
    case BRRR_FLOAT:
        brrr_write_double(out, json->as.number);
        return true;
    case BRRR_STRING:
        return brrr_write_text(out, json->as.text);
    case BRRR_ARRAY:
        return write_array(out, json, depth);
    case BRRR_OBJECT:
        return write_object(out, json, depth);
    }
    return false;
}

bool brrr_write(buffer *out, const brrr_json *json) {
    return write_value(out, json, 0);
}

brrr_bytes brrr_dumps(const brrr_json *json) {
    buffer out = {0};
    if (!brrr_write(&out, json)) return (brrr_bytes){NULL, 0};
    brrr_put_char(&out, 0);
    return (brrr_bytes){(const uint8_t *)out.data, out.size - 1};
}
