/*
 * The codec against Python's: reads lines of `python3 tests/cases.py`, each a task, a JSON text, the payload that Python
 * makes of them, and why there is none; says which differ.
 */
#include <stdio.h>

#include "../sdk/src/internal.h"
#include "check.h"

/* The next field of a line, whose texts are in hex so that they may contain anything. */
static brrr_bytes part(char **at) {
    char *start = *at;
    size_t size = strcspn(start, " \n");
    *at = start + size + (start[size] != 0);
    uint8_t *bytes = brrr_alloc(size / 2 + 1);
    for (size_t i = 0; i < size / 2; i++) {
        unsigned byte;
        sscanf(start + 2 * i, "%2x", &byte);
        bytes[i] = (uint8_t)byte;
    }
    bytes[size / 2] = 0;
    return (brrr_bytes){bytes, size / 2};
}

static bool same(brrr_bytes a, brrr_bytes b) {
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static char line[1 << 20];

static brrr_error *nothing(brrr_app *app) {
    (void)app;
    return NULL;
}

BRRR_WORKER(BRRR_TASK(nothing))

int main(void) {
    size_t valid = 0, invalid = 0, no_number = 0;
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *at = line;
        brrr_bytes task = part(&at), text = part(&at), payload = part(&at), why = part(&at);
        // A copy of just that size: the sanitizer sees every byte read too far.
        uint8_t *exact = malloc(text.size);
        if (text.size > 0) memcpy(exact, text.data, text.size);
        const char *problem;
        const brrr_json *json = brrr_parse((brrr_bytes){exact, text.size}, &problem);
        free(exact);
        if (payload.size == 0 && why.size > 0) {
            no_number++;
            brrr_call call = brrr_call_json((const char *)task.data, json);
            if (json == NULL || call.failure == NULL || strstr(call.failure->message, ", which JSON does not have") == NULL) {
                FAIL("neither read nor refused: %s", (const char *)text.data);
            }
            continue;
        }
        if (payload.size == 0) {
            invalid++;
            if (json != NULL || problem == NULL) FAIL("taken, though Python refuses it: %s", (const char *)text.data);
            continue;
        }
        valid++;
        if (json == NULL) {
            FAIL("%s: %s", problem, (const char *)text.data);
            continue;
        }
        brrr_call call = brrr_call_json((const char *)task.data, json);
        if (!same(call.payload, payload)) {
            FAIL("wrote %.*s\n instead of %s", (int)call.payload.size, (const char *)call.payload.data,
                 (const char *)payload.data);
        }
    }
    CHECK(valid > 1000 && invalid > 100 && no_number >= 5);
    return report("codec");
}
