/*
 * The component's malloc under a random load: blocks are aligned, keep what is written to them, never overlap, and are
 * used again. Compiled with the allocator's functions renamed, as the C library's own are needed as well.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"

void *wasm_malloc(size_t size);
void *wasm_calloc(size_t count, size_t each);
void *wasm_realloc(void *memory, size_t size);
void *wasm_aligned_alloc(size_t align, size_t size);
void wasm_free(void *memory);

/* The memory of a component: first so much, and grown up to all of it. */
enum { PAGE = 1 << 16, INITIAL = 16, MOST = 1024, SLOTS = 400 };
static uint8_t memory[MOST * PAGE] __attribute__((aligned(PAGE)));
static size_t pages = INITIAL;
static int refused;

uintptr_t memory_start(void);
uintptr_t memory_end(void);
int memory_grow(size_t more);

uintptr_t memory_start(void) {
    return (uintptr_t)memory + 1000;
}

uintptr_t memory_end(void) {
    return (uintptr_t)memory + pages * PAGE;
}

int memory_grow(size_t more) {
    if (more > MOST - pages) {
        refused = 1;
        return 0;
    }
    pages += more;
    return 1;
}

static struct { uint8_t *at; size_t size; uint8_t fill; } slots[SLOTS];

static size_t random_size(void) {
    // Mostly small, as handlers' are.
    return (size_t)rand() % (rand() % 20 == 0 ? 40000 : rand() % 4 == 0 ? 2000 : 100);
}

static void check_fill(int i, size_t size) {
    for (size_t at = 0; at < size; at++) {
        if (slots[i].at[at] != slots[i].fill) {
            FAIL("a block of %zu bytes was written to by another at %zu", slots[i].size, at);
            return;
        }
    }
}

static void put(int i, void *at, size_t size, size_t align) {
    CHECK(at != NULL && (uintptr_t)at % align == 0);
    CHECK((uint8_t *)at >= memory + 1000 && (uint8_t *)at + size <= memory + pages * PAGE);
    slots[i].at = at;
    slots[i].size = size;
    slots[i].fill = (uint8_t)rand();
    memset(at, slots[i].fill, size);
}

static void step(void) {
    int i = rand() % SLOTS;
    size_t size = random_size();
    if (slots[i].at == NULL) {
        size_t align = (size_t)16 << rand() % 6;
        switch (rand() % 4) {
        case 0:
            put(i, wasm_aligned_alloc(align, size), size, align);
            break;
        case 1: {
            uint8_t *at = wasm_calloc(size, 1);
            for (size_t j = 0; j < size; j++) CHECK(at[j] == 0);
            put(i, at, size, 16);
            break;
        }
        default:
            put(i, wasm_malloc(size), size, 16);
        }
        return;
    }
    check_fill(i, slots[i].size);
    if (rand() % 3 == 0) {
        size_t kept = size < slots[i].size ? size : slots[i].size;
        slots[i].at = wasm_realloc(slots[i].at, size);
        check_fill(i, kept);
        put(i, slots[i].at, size, 16);
    } else {
        wasm_free(slots[i].at);
        slots[i].at = NULL;
    }
}

int main(int count, char **arguments) {
    unsigned seed = count > 1 ? (unsigned)strtoul(arguments[1], NULL, 10) : (unsigned)time(NULL);
    fprintf(stderr, "allocator: seed %u\n", seed);
    srand(seed);
    CHECK(wasm_malloc(100) != NULL && pages == INITIAL);
    for (int i = 0; i < 200000 && failures == 0; i++) step();
    // Some 400 blocks of about 1 KB live at once: what is freed was used again.
    CHECK(pages <= 128);
    fprintf(stderr, "allocator: %zu pages\n", pages);
    for (int i = 0; i < SLOTS; i++) wasm_free(slots[i].at);

    // A long loop of one size stays where it is.
    size_t before = pages;
    for (int i = 0; i < 100000; i++) {
        void *a = wasm_malloc(5000), *b = wasm_malloc(70);
        wasm_free(a);
        wasm_free(b);
    }
    CHECK(pages == before);
    CHECK(wasm_malloc(SIZE_MAX) == NULL && wasm_calloc(SIZE_MAX, 2) == NULL && wasm_malloc(MOST * (size_t)PAGE) == NULL);
    CHECK(refused && wasm_malloc(10) != NULL);
    return report("allocator");
}
