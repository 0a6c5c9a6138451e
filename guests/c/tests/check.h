/* What the tests say. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

static int checks, failures;

#define FAIL(...)                                       \
    do {                                                \
        failures++;                                     \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
        fprintf(stderr, __VA_ARGS__);                   \
        fputc('\n', stderr);                            \
    } while (0)

#define CHECK(condition)                     \
    do {                                     \
        checks++;                            \
        if (!(condition)) FAIL("%s", #condition); \
    } while (0)

static inline int report(const char *name) {
    fprintf(stderr, "%s: %s\n", name, failures == 0 ? "ok" : "FAILED");
    return failures != 0;
}

#endif
