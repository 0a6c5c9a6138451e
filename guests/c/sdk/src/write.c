/* Writes JSON as Python's json.dumps(…, sort_keys=True) does, to the byte: call hashes are made of it. */
#include "internal.h"

/* Where in the whole a value is: an entry of what is around it. */
typedef struct place {
    const struct place *outer;
    /* NULL in an array. */
    const brrr_string *key;
    size_t index;
    int depth;
} place;

static const char *write_value(buffer *out, const brrr_json *json, const place *at);

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

/* How many bytes from here on stand for one character that is no valid text: of one that is cut off, those that are there;
 * all of an encoded surrogate. */
static size_t invalid(const uint8_t *at, const uint8_t *end) {
    size_t wanted = *at >= 0xf0 && *at <= 0xf4 ? 4 : *at >= 0xe0 && *at < 0xf0 ? 3 : *at >= 0xc2 && *at < 0xe0 ? 2 : 1;
    size_t size = 1;
    while (size < wanted && at + size < end && (at[size] & 0xc0) == 0x80) size++;
    return size;
}

/* The length of the valid text that begins here. */
static size_t valid(const uint8_t *at, const uint8_t *end) {
    const uint8_t *start = at;
    while (at < end) {
        uint32_t code;
        size_t size = brrr_utf8(at, end, &code);
        if (size == 0 || (code >= 0xd800 && code < 0xe000)) break;
        at += size;
    }
    return (size_t)(at - start);
}

bool brrr_is_text(const char *text, size_t size) {
    const uint8_t *at = (const uint8_t *)text;
    return valid(at, at + size) == size;
}

brrr_string brrr_clean(const char *text, size_t size) {
    if (brrr_is_text(text, size)) return (brrr_string){text, size};
    const uint8_t *at = (const uint8_t *)text, *end = at + size;
    buffer out = {0};
    for (;;) {
        size_t fine = valid(at, end);
        brrr_put(&out, at, fine);
        at += fine;
        if (at == end) break;
        brrr_put(&out, "\xef\xbf\xbd", 3);
        at += invalid(at, end);
    }
    brrr_put_char(&out, 0);
    return (brrr_string){out.data, out.size - 1};
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

/* Puts ` at values[1]` behind what is wrong; nothing where it is the whole. */
static void put_place(buffer *out, const place *at) {
    if (at->outer == NULL) return;
    put_place(out, at->outer);
    if (at->outer->outer == NULL) brrr_put(out, " at ", 4);
    if (at->key != NULL) {
        if (at->outer->outer != NULL) brrr_put_char(out, '.');
        brrr_string key = brrr_clean(at->key->data, at->key->size);
        brrr_put(out, key.data, key.size);
    } else {
        const char *index = brrr_join("[", brrr_digits(at->index), "]", NULL);
        brrr_put(out, index, strlen(index));
    }
}

/* `NaN at values[1], which JSON does not have` */
static const char *problem(const char *what, const place *at) {
    static const char why[] = ", which JSON does not have";
    buffer out = {0};
    brrr_put(&out, what, strlen(what));
    put_place(&out, at);
    brrr_put(&out, why, sizeof why);
    return out.data;
}

static const char *write_object(buffer *out, const brrr_json *json, const place *at) {
    const struct entry *few[16];
    const struct entry **sorted = few;
    if (json->as.list.count > sizeof few / sizeof *few) sorted = brrr_alloc(json->as.list.count * sizeof *sorted);
    size_t count = sort(json, sorted);
    const char *wrong = NULL;
    brrr_put_char(out, '{');
    for (size_t i = 0; i < count && wrong == NULL; i++) {
        place entry = {at, &sorted[i]->key, i, at->depth + 1};
        if (i > 0) brrr_put(out, ", ", 2);
        if (!brrr_write_text(out, sorted[i]->key)) wrong = problem("a key that is not UTF-8", &entry);
        brrr_put(out, ": ", 2);
        if (wrong == NULL) wrong = write_value(out, sorted[i]->value, &entry);
    }
    brrr_put_char(out, '}');
    if (sorted != few) free(sorted);
    return wrong;
}

static const char *write_array(buffer *out, const brrr_json *json, const place *at) {
    brrr_put_char(out, '[');
    for (size_t i = 0; i < json->as.list.count; i++) {
        place item = {at, NULL, i, at->depth + 1};
        if (i > 0) brrr_put(out, ", ", 2);
        const char *wrong = write_value(out, json->as.list.entries[i].value, &item);
        if (wrong != NULL) return wrong;
    }
    brrr_put_char(out, ']');
    return NULL;
}

static const char *write_number(buffer *out, double value, const place *at) {
    if (value != value) return problem("NaN", at);
    if (value - value != 0) return problem("an infinite number", at);
    brrr_write_double(out, value);
    return NULL;
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

static const char *write_value(buffer *out, const brrr_json *json, const place *at) {
    if (at->depth > MAX_DEPTH) return brrr_join("it nests deeper than ", brrr_digits(MAX_DEPTH), NULL);
    switch (brrr_kind_of(json)) {
    case BRRR_NULL:
        brrr_put(out, "null", 4);
        return NULL;
    case BRRR_BOOL:
        brrr_put(out, json->as.boolean ? "true" : "false", json->as.boolean ? 4 : 5);
        return NULL;
    case BRRR_INTEGER:
        write_integer(out, json);
        return NULL;
    case BRRR_FLOAT:
        return write_number(out, json->as.number, at);
    case BRRR_STRING:
        return brrr_write_text(out, json->as.text) ? NULL : problem("text that is not UTF-8", at);
    case BRRR_ARRAY:
        return write_array(out, json, at);
    case BRRR_OBJECT:
        return write_object(out, json, at);
    }
    return "it is no JSON value";
}

const char *brrr_write(buffer *out, const brrr_json *json) {
    return write_value(out, json, &(place){0});
}

const char *brrr_dump(const brrr_json *json, brrr_bytes *text) {
    buffer out = {0};
    *text = (brrr_bytes){NULL, 0};
    const char *wrong = brrr_write(&out, json);
    if (wrong != NULL) return wrong;
    brrr_put_char(&out, 0);
    *text = (brrr_bytes){(const uint8_t *)out.data, out.size - 1};
    return NULL;
}

brrr_bytes brrr_dumps(const brrr_json *json) {
    brrr_bytes text;
    brrr_dump(json, &text);
    return text;
}
