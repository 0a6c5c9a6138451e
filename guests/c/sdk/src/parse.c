/* Reads JSON as Python's json.loads does: NaN, Infinity, lone surrogates and integers of any size included. */
#include "internal.h"

typedef struct reader {
    const uint8_t *start, *at, *end;
    const char *problem;
} reader;

static brrr_json *value(reader *in, int depth);

static brrr_json *fail(reader *in, const char *what) {
    if (in->problem == NULL) {
        const char *place = brrr_digits((uint64_t)(in->at - in->start));
        in->problem = brrr_join(what, " at byte ", place, NULL);
    }
    return NULL;
}

static void blanks(reader *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r')) in->at++;
}

static bool take(reader *in, const char *word) {
    size_t size = strlen(word);
    if ((size_t)(in->end - in->at) < size || memcmp(in->at, word, size) != 0) return false;
    in->at += size;
    return true;
}

static bool is_digit(const reader *in) {
    return in->at < in->end && *in->at >= '0' && *in->at <= '9';
}

static void digits(reader *in) {
    while (is_digit(in)) in->at++;
}

static brrr_json *integer(const char *text, size_t size) {
    bool negative = text[0] == '-';
    uint64_t magnitude = 0;
    for (size_t i = negative; i < size; i++) {
        bool over = __builtin_mul_overflow(magnitude, 10, &magnitude);
        over |= __builtin_add_overflow(magnitude, (uint64_t)(text[i] - '0'), &magnitude);
        if (over || magnitude > INT64_MAX) {
            brrr_json *json = brrr_json_new(BRRR_INTEGER);
            json->as.integer.digits = brrr_copy(text, size);
            return json;
        }
    }
    return brrr_int(negative ? -(int64_t)magnitude : (int64_t)magnitude);
}

static brrr_json *number(reader *in) {
    const uint8_t *start = in->at;
    take(in, "-");
    if (take(in, "Infinity")) return brrr_double(*start == '-' ? -__builtin_inf() : __builtin_inf());
    if (!is_digit(in)) return fail(in, "expected a value");
    if (*in->at == '0') in->at++;
    else digits(in);
    bool whole = true;
    const uint8_t *rest = in->at;
    if (take(in, ".")) {
        if (!is_digit(in)) return fail(in, "expected a digit");
        digits(in);
        whole = false;
        rest = in->at;
    }
    if (take(in, "e") || take(in, "E")) {
        if (!take(in, "+")) take(in, "-");
        if (!is_digit(in)) return fail(in, "expected a digit");
        digits(in);
        whole = false;
        rest = in->at;
    }
    in->at = rest;
    if (whole) return integer((const char *)start, (size_t)(in->at - start));
    char *text = brrr_copy((const char *)start, (size_t)(in->at - start));
    brrr_json *json = brrr_double(strtod(text, NULL));
    free(text);
    return json;
}

static int nibble(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of a \u escape. */
static bool unit(reader *in, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = in->at < in->end ? nibble(*in->at) : -1;
        if (digit < 0) return false;
        *code = *code << 4 | (uint32_t)digit;
        in->at++;
    }
    return true;
}

static void put_utf8(buffer *out, uint32_t code) {
    uint8_t bytes[4];
    size_t size;
    if (code < 0x80) {
        bytes[0] = (uint8_t)code;
        size = 1;
    } else if (code < 0x800) {
        bytes[0] = (uint8_t)(0xc0 | code >> 6);
        bytes[1] = (uint8_t)(0x80 | (code & 0x3f));
        size = 2;
    } else if (code < 0x10000) {
        bytes[0] = (uint8_t)(0xe0 | code >> 12);
        bytes[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        bytes[2] = (uint8_t)(0x80 | (code & 0x3f));
        size = 3;
    } else {
        bytes[0] = (uint8_t)(0xf0 | code >> 18);
        bytes[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        bytes[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        bytes[3] = (uint8_t)(0x80 | (code & 0x3f));
        size = 4;
    }
    brrr_put(out, bytes, size);
}

static bool escape(reader *in, buffer *out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (in->at == in->end) return false;
    char c = (char)*in->at++;
    const char *plain = c != 0 ? strchr(from, c) : NULL;
    if (plain != NULL) {
        brrr_put_char(out, to[plain - from]);
        return true;
    }
    uint32_t code, low;
    if (c != 'u' || !unit(in, &code)) return false;
    if (code >= 0xd800 && code < 0xdc00) {
        const uint8_t *before = in->at;
        if (take(in, "\\u") && unit(in, &low) && low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        } else {
            in->at = before;
        }
    }
    put_utf8(out, code);
    return true;
}

static bool text(reader *in, brrr_string *result) {
    buffer out = {0};
    in->at++;
    for (;;) {
        const uint8_t *run = in->at;
        while (in->at < in->end && *in->at >= 0x20 && *in->at < 0x80 && *in->at != '"' && *in->at != '\\') in->at++;
        brrr_put(&out, run, (size_t)(in->at - run));
        if (in->at == in->end) return fail(in, "unfinished text"), false;
        if (*in->at == '"') break;
        if (*in->at == '\\') {
            in->at++;
            if (!escape(in, &out)) return fail(in, "not an escape"), false;
        } else if (*in->at < 0x20) {
            return fail(in, "control character in text"), false;
        } else {
            uint32_t code;
            size_t size = brrr_utf8(in->at, in->end, &code);
            if (size == 0) return fail(in, "not UTF-8"), false;
            brrr_put(&out, in->at, size);
            in->at += size;
        }
    }
    in->at++;
    brrr_put_char(&out, 0);
    *result = (brrr_string){out.data, out.size - 1};
    return true;
}

static brrr_json *list(reader *in, brrr_kind kind, uint8_t close, int depth) {
    brrr_json *json = brrr_json_new(kind);
    in->at++;
    blanks(in);
    if (in->at < in->end && *in->at == close) {
        in->at++;
        return json;
    }
    for (;;) {
        brrr_string key = {"", 0};
        if (kind == BRRR_OBJECT) {
            blanks(in);
            if (in->at == in->end || *in->at != '"') return fail(in, "expected a key");
            if (!text(in, &key)) return NULL;
            blanks(in);
            if (!take(in, ":")) return fail(in, "expected ':'");
        }
        brrr_json *item = value(in, depth + 1);
        if (item == NULL) return NULL;
        brrr_append(json, key, item);
        blanks(in);
        if (in->at < in->end && *in->at == close) break;
        if (!take(in, ",")) return fail(in, kind == BRRR_OBJECT ? "expected ',' or '}'" : "expected ',' or ']'");
    }
    in->at++;
    return json;
}

static brrr_json *value(reader *in, int depth) {
    blanks(in);
    if (depth > MAX_DEPTH) return fail(in, "nested too deep");
    if (in->at == in->end) return fail(in, "expected a value");
    switch (*in->at) {
    case '{':
        return list(in, BRRR_OBJECT, '}', depth);
    case '[':
        return list(in, BRRR_ARRAY, ']', depth);
    case '"': {
        brrr_string string;
        if (!text(in, &string)) return NULL;
        brrr_json *json = brrr_json_new(BRRR_STRING);
        json->as.text = string;
        return json;
    }
    default:
        if (take(in, "null")) return brrr_null();
        if (take(in, "true")) return brrr_bool(true);
        if (take(in, "false")) return brrr_bool(false);
        if (take(in, "NaN")) return brrr_double(__builtin_nan(""));
        return number(in);
    }
}

brrr_json *brrr_parse(brrr_bytes text, const char **problem) {
    reader in = {text.data, text.data, text.data + text.size, NULL};
    brrr_json *json = value(&in, 0);
    if (json != NULL) {
        blanks(&in);
        if (in.at != in.end) json = fail(&in, "expected the end");
    }
    if (problem != NULL) *problem = in.problem;
    return json;
}
