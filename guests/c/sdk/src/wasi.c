/*
 * What the C library asks of WASI preview 1, on top of what the host gives: output becomes log messages, clocks and
 * random numbers and environment are the host's, files are in files.c, and there are no arguments.
 *
 * These stand in for the imports of the C library's own names, so that a component needs no adapter. What is not here
 * stays an import, and brrr-cc says so.
 */
#include <stdio.h>
#include <wasi/api.h>

#include "../bindings/brrr_world.h"
#include "internal.h"

enum { STDIN, STDOUT, STDERR };

const file_functions *brrr_files;
/* What files do, in a program that has some. */
#define FILES(function, ...) (brrr_files != NULL ? brrr_files->function(__VA_ARGS__) : __WASI_ERRNO_BADF)

/* Per stream, the line that has no end so far. */
static buffer lines[3];

static void show(int stream, bool unfinished) {
    char *start = lines[stream].data, *end = start + lines[stream].size;
    for (char *at = start; at < end; at++) {
        if (*at == '\n') {
            brrr_host_log(stream == STDOUT ? BRRR_INFO : BRRR_ERROR, start, (size_t)(at - start));
            start = at + 1;
        }
    }
    if (unfinished && start < end) {
        brrr_host_log(stream == STDOUT ? BRRR_INFO : BRRR_ERROR, start, (size_t)(end - start));
        start = end;
    }
    lines[stream].size = (size_t)(end - start);
    if (start < end) memmove(lines[stream].data, start, lines[stream].size);
}

void brrr_end_lines(void) {
    show(STDOUT, true);
    show(STDERR, true);
}

PROVIDE(fd_write, int32_t fd, int32_t vectors, int32_t count, int32_t written) {
    if (fd > STDERR) return FILES(write, fd, vectors, count, written);
    if (fd != STDOUT && fd != STDERR) return __WASI_ERRNO_BADF;
    const __wasi_ciovec_t *parts = (const __wasi_ciovec_t *)vectors;
    size_t size = 0;
    for (int32_t i = 0; i < count; i++) {
        brrr_put(&lines[fd], parts[i].buf, parts[i].buf_len);
        size += parts[i].buf_len;
    }
    show(fd, false);
    *(__wasi_size_t *)written = size;
    return 0;
}

PROVIDE(fd_fdstat_get, int32_t fd, int32_t stat) {
    if (fd > STDERR) return FILES(fdstat, fd, stat);
    if (fd < STDIN) return __WASI_ERRNO_BADF;
    // A terminal, to the C library: so it writes line by line.
    *(__wasi_fdstat_t *)stat = (__wasi_fdstat_t){.fs_filetype = __WASI_FILETYPE_CHARACTER_DEVICE};
    return 0;
}

PROVIDE(fd_read, int32_t fd, int32_t vectors, int32_t count, int32_t read) {
    if (fd > STDERR) return FILES(read, fd, vectors, count, read);
    *(__wasi_size_t *)read = 0;
    return fd == STDIN ? 0 : __WASI_ERRNO_BADF;
}

PROVIDE(fd_seek, int32_t fd, int64_t offset, int32_t whence, int32_t position) {
    return fd > STDERR ? FILES(seek, fd, offset, whence, position) : __WASI_ERRNO_SPIPE;
}

PROVIDE(fd_close, int32_t fd) {
    return fd > STDERR ? FILES(close, fd) : 0;
}

PROVIDE(clock_time_get, int32_t clock, int64_t precision, int32_t time) {
    (void)precision;
    uint64_t now;
    if (clock == __WASI_CLOCKID_REALTIME) {
        wasi_clocks_wall_clock_datetime_t wall;
        wasi_clocks_wall_clock_now(&wall);
        now = wall.seconds * 1000000000 + wall.nanoseconds;
    } else {
        now = wasi_clocks_monotonic_clock_now();
    }
    *(uint64_t *)time = now;
    return 0;
}

PROVIDE(clock_res_get, int32_t clock, int32_t resolution) {
    (void)clock;
    *(uint64_t *)resolution = 1;
    return 0;
}

/* Of all that one can wait for there is only time. */
PROVIDE(poll_oneoff, int32_t subscriptions, int32_t events, int32_t count, int32_t happened) {
    const __wasi_subscription_t *alarm = (const __wasi_subscription_t *)subscriptions;
    if (count != 1 || alarm->u.tag != __WASI_EVENTTYPE_CLOCK) return __WASI_ERRNO_NOTSUP;
    uint64_t wait = alarm->u.u.clock.timeout;
    if (alarm->u.u.clock.flags & __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME) {
        uint64_t now;
        PREVIEW1(clock_time_get)((int32_t)alarm->u.u.clock.id, 0, (int32_t)&now);
        wait = wait > now ? wait - now : 0;
    }
    brrr_sleep_ns(wait);
    *(__wasi_event_t *)events = (__wasi_event_t){.userdata = alarm->userdata, .type = __WASI_EVENTTYPE_CLOCK};
    *(__wasi_size_t *)happened = 1;
    return 0;
}

PROVIDE(random_get, int32_t memory, int32_t size) {
    brrr_world_list_u8_t bytes;
    wasi_random_random_get_random_bytes((uint32_t)size, &bytes);
    memcpy((void *)memory, bytes.ptr, bytes.len);
    free(bytes.ptr);
    return 0;
}

PROVIDE(sched_yield, void) {
    return 0;
}

_Noreturn void PREVIEW1(proc_exit)(int32_t code);
_Noreturn void PREVIEW1(proc_exit)(int32_t code) {
    brrr_end_lines();
    const char *message = brrr_join("the handler exited with code ", brrr_digits((uint32_t)code), NULL);
    brrr_host_log(BRRR_ERROR, message, strlen(message));
    __builtin_trap();
}

/* What the host allows of it: asked once, as it does not change in a run. */
static const brrr_world_list_tuple2_string_string_t *environment(void) {
    static brrr_world_list_tuple2_string_string_t all;
    static bool asked;
    if (!asked) wasi_cli_environment_get_environment(&all);
    asked = true;
    return &all;
}

PROVIDE(environ_sizes_get, int32_t count, int32_t size) {
    const brrr_world_list_tuple2_string_string_t *all = environment();
    size_t bytes = 0;
    // KEY=VALUE and a NUL.
    for (size_t i = 0; i < all->len; i++) bytes += all->ptr[i].f0.len + all->ptr[i].f1.len + 2;
    *(__wasi_size_t *)count = all->len;
    *(__wasi_size_t *)size = bytes;
    return 0;
}

PROVIDE(environ_get, int32_t names, int32_t text) {
    const brrr_world_list_tuple2_string_string_t *all = environment();
    char **entries = (char **)names, *at = (char *)text;
    for (size_t i = 0; i < all->len; i++) {
        brrr_world_string_t key = all->ptr[i].f0, value = all->ptr[i].f1;
        entries[i] = at;
        memcpy(at, key.ptr, key.len);
        at[key.len] = '=';
        memcpy(at + key.len + 1, value.ptr, value.len);
        at += key.len + value.len + 1;
        *at++ = 0;
    }
    return 0;
}

/* ---- What there is none of. */

PROVIDE(args_sizes_get, int32_t count, int32_t size) {
    *(__wasi_size_t *)count = 0;
    *(__wasi_size_t *)size = 0;
    return 0;
}

PROVIDE(args_get, int32_t arguments, int32_t text) {
    (void)arguments, (void)text;
    return 0;
}
