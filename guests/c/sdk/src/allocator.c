/*
 * malloc for a run that is short and whose memory is dropped after it.
 *
 * It starts inside the initial memory (brrr-cc says how large that is), so that a usual run never grows it: growing costs
 * the host two system calls and a lock. What is freed is kept by size, so that a long loop does not run out.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* GROW_PAGES: few, large steps. LOOK: how many freed blocks of about the right size are tried; the first almost always
 * fits. */
enum { ALIGN = 16, PAGE = 1 << 16, GROW_PAGES = 16, LOOK = 8, CLASSES = 8 * sizeof(size_t) };

/* Before each block. */
typedef struct header {
    _Alignas(ALIGN) size_t size;
    struct header *next;
} header;
_Static_assert(sizeof(header) == ALIGN, "blocks follow headers");

#ifdef __wasm__
/* The linker's: where everything else ends. */
extern uint8_t __heap_base;

static uintptr_t memory_start(void) {
    return (uintptr_t)&__heap_base;
}

static uintptr_t memory_end(void) {
    return __builtin_wasm_memory_size(0) * PAGE;
}

static int memory_grow(size_t pages) {
    return __builtin_wasm_memory_grow(0, pages) != (size_t)-1;
}
#else
/* Of its test, tests/allocator.c. */
uintptr_t memory_start(void);
uintptr_t memory_end(void);
int memory_grow(size_t pages);
#endif

static uintptr_t top, end;
/* Freed blocks by the power of two that they reach. */
static header *unused[CLASSES];

static unsigned class_of(size_t size) {
    return (unsigned)(8 * sizeof(long) - 1) - (unsigned)__builtin_clzl(size);
}

static uintptr_t end_of(const header *block) {
    return (uintptr_t)(block + 1) + block->size;
}

/* Makes sure that `size` bytes are there from `top` on. */
static int reserve(size_t size) {
    if (top == 0) {
        top = (memory_start() + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
        end = memory_end();
    }
    if (size <= end - top) return 1;
    size_t pages = (size - (end - top) + PAGE - 1) / PAGE;
    if (pages < GROW_PAGES && memory_grow(GROW_PAGES)) pages = GROW_PAGES;
    else if (!memory_grow(pages)) return 0;
    end += pages * PAGE;
    return 1;
}

static header *reuse(size_t size) {
    unsigned class = class_of(size);
    header **link = &unused[class];
    for (int i = 0; i < LOOK && *link != NULL; i++, link = &(*link)->next) {
        header *block = *link;
        if (block->size < size) continue;
        *link = block->next;
        return block;
    }
    // Whatever is in the next class is large enough.
    header *block = class + 1 < CLASSES ? unused[class + 1] : NULL;
    if (block != NULL) unused[class + 1] = block->next;
    return block;
}

void *malloc(size_t size) {
    // Half of the address space: no sum below can overflow.
    if (size > SIZE_MAX / 2) return errno = ENOMEM, NULL;
    size = size == 0 ? ALIGN : (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    header *block = reuse(size);
    if (block != NULL) return block + 1;
    if (!reserve(size + sizeof *block)) return errno = ENOMEM, NULL;
    block = (header *)top;
    block->size = size;
    top = end_of(block);
    return block + 1;
}

void free(void *memory) {
    if (memory == NULL) return;
    header *block = (header *)memory - 1;
    if (end_of(block) == top) {
        top = (uintptr_t)block;
        return;
    }
    block->next = unused[class_of(block->size)];
    unused[class_of(block->size)] = block;
}

void *calloc(size_t count, size_t each) {
    size_t size;
    if (__builtin_mul_overflow(count, each, &size)) return errno = ENOMEM, NULL;
    void *memory = malloc(size);
    if (memory != NULL) memset(memory, 0, size);
    return memory;
}

void *realloc(void *memory, size_t size) {
    if (memory == NULL) return malloc(size);
    header *block = (header *)memory - 1;
    if (size <= block->size) return memory;
    size_t rounded = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    // The last block grows where it is.
    if (end_of(block) == top && size <= SIZE_MAX / 2 && reserve(rounded - block->size)) {
        block->size = rounded;
        top = end_of(block);
        return memory;
    }
    void *larger = malloc(size);
    if (larger == NULL) return NULL;
    memcpy(larger, memory, block->size);
    free(memory);
    return larger;
}

void *aligned_alloc(size_t align, size_t size) {
    if (align <= ALIGN) return malloc(size);
    if (align > SIZE_MAX / 4 || size > SIZE_MAX / 4) return errno = ENOMEM, NULL;
    uint8_t *memory = malloc(size + align);
    if (memory == NULL) return NULL;
    uintptr_t aligned = ((uintptr_t)memory + align - 1) & ~(uintptr_t)(align - 1);
    if (aligned == (uintptr_t)memory) return memory;
    header *block = (header *)aligned - 1;
    block->size = end_of((header *)memory - 1) - aligned;
    return (void *)aligned;
}

int posix_memalign(void **memory, size_t align, size_t size) {
    *memory = aligned_alloc(align, size);
    return *memory != NULL ? 0 : ENOMEM;
}

#ifdef __wasm__
/* Other names by which the C library knows these: without them it would link its own malloc as well. */
void *__libc_malloc(size_t size) __attribute__((alias("malloc")));
void *__libc_calloc(size_t count, size_t each) __attribute__((alias("calloc")));
void __libc_free(void *memory) __attribute__((alias("free")));

size_t malloc_usable_size(void *memory) {
    return memory == NULL ? 0 : ((header *)memory - 1)->size;
}
#endif
