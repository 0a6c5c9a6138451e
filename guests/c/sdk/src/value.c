/* JSON values in memory: making them, looking into them, and reading them into C's types. */
#include <limits.h>

#include "internal.h"

brrr_json *brrr_json_new(brrr_kind kind) {
    brrr_json *json = brrr_alloc(sizeof *json);
    *json = (brrr_json){.kind = kind};
    return json;
}

brrr_json *brrr_null(void) {
    return brrr_json_new(BRRR_NULL);
}

brrr_json *brrr_bool(bool value) {
    brrr_json *json = brrr_json_new(BRRR_BOOL);
    json->as.boolean = value;
    return json;
}

brrr_json *brrr_int(int64_t value) {
    brrr_json *json = brrr_json_new(BRRR_INTEGER);
    json->as.integer.value = value;
    return json;
}

brrr_json *brrr_uint(uint64_t value) {
    brrr_json *json = brrr_int((int64_t)value);
    if (value > INT64_MAX) json->as.integer.digits = brrr_digits(value);
    return json;
}

brrr_json *brrr_double(double value) {
    brrr_json *json = brrr_json_new(BRRR_FLOAT);
    json->as.number = value;
    return json;
}

brrr_json *brrr_text(const char *value) {
    return value == NULL ? brrr_null() : brrr_text_n((brrr_string){value, strlen(value)});
}

brrr_json *brrr_text_n(brrr_string value) {
    brrr_json *json = brrr_json_new(BRRR_STRING);
    json->as.text = (brrr_string){brrr_copy(value.data, value.size), value.size};
    return json;
}

brrr_json *brrr_self(const brrr_json *value) {
    return value == NULL ? brrr_null() : (brrr_json *)(uintptr_t)value;
}

void brrr_append(brrr_json *list, brrr_string key, brrr_json *value) {
    if (list->as.list.count == list->as.list.capacity) {
        size_t capacity = list->as.list.capacity == 0 ? 4 : list->as.list.capacity * 2;
        struct entry *entries = brrr_alloc(capacity * sizeof *entries);
        if (list->as.list.count > 0) memcpy(entries, list->as.list.entries, list->as.list.count * sizeof *entries);
        free(list->as.list.entries);
        list->as.list.entries = entries;
        list->as.list.capacity = capacity;
    }
    list->as.list.entries[list->as.list.count++] = (struct entry){key, value};
}

brrr_json *brrr_array_of(brrr_json *const *items, size_t count) {
    brrr_json *array = brrr_json_new(BRRR_ARRAY);
    for (size_t i = 0; i < count; i++) brrr_push(array, items[i]);
    return array;
}

void brrr_push(brrr_json *array, brrr_json *item) {
    if (array->kind != BRRR_ARRAY) brrr_panic("brrr_push: not an array");
    brrr_append(array, (brrr_string){"", 0}, brrr_self(item));
}

brrr_json *brrr_object_of(const brrr_pair *pairs, size_t count) {
    brrr_json *object = brrr_json_new(BRRR_OBJECT);
    for (size_t i = 0; i < count; i++) brrr_set(object, pairs[i].key, pairs[i].value);
    return object;
}

void brrr_set(brrr_json *object, const char *key, brrr_json *value) {
    brrr_set_n(object, (brrr_string){key, strlen(key)}, value);
}

void brrr_set_n(brrr_json *object, brrr_string key, brrr_json *value) {
    if (object->kind != BRRR_OBJECT) brrr_panic("brrr_set: not an object");
    brrr_append(object, (brrr_string){brrr_copy(key.data, key.size), key.size}, brrr_self(value));
}

static bool is_list(const brrr_json *json) {
    return json != NULL && (json->kind == BRRR_ARRAY || json->kind == BRRR_OBJECT);
}

brrr_kind brrr_kind_of(const brrr_json *json) {
    return json == NULL ? BRRR_NULL : json->kind;
}

size_t brrr_count(const brrr_json *json) {
    return is_list(json) ? json->as.list.count : 0;
}

brrr_json *brrr_at(const brrr_json *json, size_t i) {
    return i < brrr_count(json) ? json->as.list.entries[i].value : NULL;
}

const char *brrr_key(const brrr_json *json, size_t i) {
    return i < brrr_count(json) && json->kind == BRRR_OBJECT ? json->as.list.entries[i].key.data : NULL;
}

brrr_string brrr_key_n(const brrr_json *json, size_t i) {
    return brrr_key(json, i) != NULL ? json->as.list.entries[i].key : (brrr_string){NULL, 0};
}

brrr_json *brrr_get(const brrr_json *json, const char *key) {
    if (brrr_kind_of(json) != BRRR_OBJECT) return NULL;
    size_t size = strlen(key);
    // From the end: of a key that is there twice the last counts.
    for (size_t i = json->as.list.count; i-- > 0;) {
        const struct entry *entry = &json->as.list.entries[i];
        if (entry->key.size == size && memcmp(entry->key.data, key, size) == 0) return entry->value;
    }
    return NULL;
}

static const char *unfit(const char *wanted, const brrr_json *json) {
    static const char *const names[] = {"null", "a bool", "an integer", "a float", "text", "an array", "an object"};
    return brrr_join("expected ", wanted, ", got ", names[brrr_kind_of(json)], NULL);
}

static bool store_signed(int64_t value, brrr_target target) {
    if (target.size == sizeof(int64_t)) {
        memcpy(target.to, &value, sizeof value);
    } else if (target.size == sizeof(int32_t) && value >= INT32_MIN && value <= INT32_MAX) {
        *(int32_t *)target.to = (int32_t)value;
    } else if (target.size == sizeof(int16_t) && value >= INT16_MIN && value <= INT16_MAX) {
        *(int16_t *)target.to = (int16_t)value;
    } else {
        return false;
    }
    return true;
}

static bool store_unsigned(uint64_t value, brrr_target target) {
    if (target.size < sizeof value && value >> (8 * target.size) != 0) return false;
    if (target.size == sizeof(uint64_t)) memcpy(target.to, &value, sizeof value);
    else if (target.size == sizeof(uint32_t)) *(uint32_t *)target.to = (uint32_t)value;
    else if (target.size == sizeof(uint16_t)) *(uint16_t *)target.to = (uint16_t)value;
    else *(uint8_t *)target.to = (uint8_t)value;
    return true;
}

/* Is it a natural number of 64 bits? */
static bool natural(const brrr_json *json, uint64_t *value) {
    const char *digit = json->as.integer.digits;
    if (digit == NULL) {
        *value = (uint64_t)json->as.integer.value;
        return json->as.integer.value >= 0;
    }
    for (*value = 0; *digit != 0; digit++) {
        if (*digit == '-' || __builtin_mul_overflow(*value, 10, value)) return false;
        if (__builtin_add_overflow(*value, (uint64_t)(*digit - '0'), value)) return false;
    }
    return true;
}

static const char *read_integer(const brrr_json *json, brrr_target target) {
    if (json->kind != BRRR_INTEGER) return unfit("an integer", json);
    uint64_t value;
    bool fits = target.type == BRRR_T_UINT
        ? natural(json, &value) && store_unsigned(value, target)
        : json->as.integer.digits == NULL && store_signed(json->as.integer.value, target);
    return fits ? NULL : "the integer is out of range";
}

static const char *read_number(const brrr_json *json, brrr_target target) {
    double value;
    if (json->kind == BRRR_FLOAT) value = json->as.number;
    else if (json->kind != BRRR_INTEGER) return unfit("a number", json);
    else if (json->as.integer.digits == NULL) value = (double)json->as.integer.value;
    else value = strtod(json->as.integer.digits, NULL);
    if (target.type == BRRR_T_FLOAT) *(float *)target.to = (float)value;
    else *(double *)target.to = value;
    return NULL;
}

const char *brrr_read_into(const brrr_json *json, brrr_target target) {
    if (json == NULL) return "it is missing";
    switch (target.type) {
    case BRRR_T_BOOL:
        if (json->kind != BRRR_BOOL) return unfit("a bool", json);
        *(bool *)target.to = json->as.boolean;
        return NULL;
    case BRRR_T_INT:
    case BRRR_T_UINT:
        return read_integer(json, target);
    case BRRR_T_FLOAT:
    case BRRR_T_DOUBLE:
        return read_number(json, target);
    case BRRR_T_TEXT:
        if (json->kind != BRRR_STRING) return unfit("text", json);
        if (strlen(json->as.text.data) != json->as.text.size) return "the text contains NUL; take it as a brrr_string";
        *(const char **)target.to = json->as.text.data;
        return NULL;
    case BRRR_T_STRING:
        if (json->kind != BRRR_STRING) return unfit("text", json);
        *(brrr_string *)target.to = json->as.text;
        return NULL;
    case BRRR_T_JSON:
        *(const brrr_json **)target.to = json;
        return NULL;
    case BRRR_T_BYTES:
        break;
    }
    return "JSON has no bytes";
}
