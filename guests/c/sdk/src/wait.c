/* Waiting for calls: which of them the host is asked for, in which order, and when a wait is over. */
#include "internal.h"

/* Names decide what is called, so they are not mended as text for people is. */
static const char *misnamed(const brrr_call *call) {
    const struct { const char *text, *problem; } names[] = {
        {call->task, "the task's name is not UTF-8"},
        {call->topic, "the topic is not UTF-8"},
        {call->call_hash, "the call hash is not UTF-8"},
        {call->scope, "the scope is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].text != NULL && !brrr_is_text(names[i].text, strlen(names[i].text))) return names[i].problem;
    }
    bool promise = strcmp(call->task, PROMISE) == 0;
    if (promise && !brrr_is_text((const char *)call->payload.data, call->payload.size)) {
        return "the promise's name is not UTF-8";
    }
    return NULL;
}

static void refuse_misnamed(brrr_call *calls, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *problem = calls[i].done || calls[i].asked != 0 ? NULL : misnamed(&calls[i]);
        if (problem != NULL) brrr_refuse(&calls[i], problem);
    }
}

/* Shell's sort: qsort would make every component 2 KB larger. */
static void sort_by_age(brrr_call **calls, size_t count) {
    for (size_t gap = count / 2; gap > 0; gap /= 2) {
        for (size_t i = gap; i < count; i++) {
            brrr_call *one = calls[i];
            size_t to = i;
            for (; to >= gap && calls[to - gap]->asked > one->asked; to -= gap) calls[to] = calls[to - gap];
            calls[to] = one;
        }
    }
}

/* The calls without an outcome: first those that were asked for before, in the order of then, and the new ones behind. */
static size_t open_calls(brrr_call *calls, size_t count, brrr_call **open) {
    static uint64_t asked;
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (!calls[i].done && calls[i].asked != 0) open[found++] = &calls[i];
    }
    sort_by_age(open, found);
    for (size_t i = 0; i < count; i++) {
        if (calls[i].done || calls[i].asked != 0) continue;
        calls[i].asked = ++asked;
        open[found++] = &calls[i];
    }
    return found;
}

/* What the calls have come to so far. */
typedef struct tally {
    size_t done;
    bool failed;
} tally;

static tally count_outcomes(const brrr_call *calls, size_t count) {
    tally so_far = {0};
    for (size_t i = 0; i < count; i++) {
        so_far.done += calls[i].done;
        if (calls[i].failure != NULL) so_far.failed = true;
    }
    return so_far;
}

/* `before` are the outcomes that were there when the wait began. */
static bool is_over(brrr_want want, tally now, size_t before, size_t count) {
    if (now.done == count) return true;
    switch (want) {
    case BRRR_ALL: return now.failed;
    case BRRR_PROGRESS: return now.done > before;
    default: return now.done >= (size_t)want;
    }
}

/* Rounded up: a limit does not end early. */
static uint64_t time_after(uint64_t limit_ms) {
    uint64_t now_ms = (brrr_now_ns() + 999999) / 1000000, until;
    return __builtin_add_overflow(now_ms, limit_ms, &until) ? UINT64_MAX : until;
}

bool brrr_wait(brrr_call *calls, size_t count, brrr_want want, int64_t limit_ms) {
    if (want >= 0 && (uint64_t)want > count) brrr_panic("a race for %lld outcomes of %zu calls", (long long)want, count);
    if (want < BRRR_PROGRESS) brrr_panic("a wait for %lld outcomes", (long long)want);
    refuse_misnamed(calls, count);
    tally now = count_outcomes(calls, count);
    size_t before = now.done;
    if (is_over(want, now, before, count)) return true;
    bool limited = limit_ms != BRRR_NO_LIMIT;
    uint64_t until = limited ? time_after(limit_ms > 0 ? (uint64_t)limit_ms : 0) : 0;
    brrr_call **open = brrr_alloc(count * sizeof *open);
    bool over, late = false;
    do {
        size_t asked = open_calls(calls, count, open);
        // What has its outcome already counts.
        brrr_want rest = want >= 0 ? want - (brrr_want)now.done : want;
        brrr_host_poll(open, asked, rest, limited ? &until : NULL);
        now = count_outcomes(calls, count);
        over = is_over(want, now, before, count);
        late = limited && brrr_now_ms() >= until;
    } while (!over && !late);
    free(open);
    return over;
}

void brrr_settle(brrr_call *calls, size_t count) {
    brrr_wait(calls, count, (brrr_want)count, BRRR_NO_LIMIT);
}

void brrr_first_n(size_t need, brrr_call *calls, size_t count) {
    if (need > count) brrr_panic("a race for %zu outcomes of %zu calls", need, count);
    brrr_wait(calls, count, (brrr_want)need, BRRR_NO_LIMIT);
}

brrr_error *brrr_gather(brrr_call *calls, size_t count) {
    brrr_wait(calls, count, BRRR_ALL, BRRR_NO_LIMIT);
    for (size_t i = 0; i < count; i++) {
        if (calls[i].failure != NULL) return brrr_child(calls[i].failure);
    }
    return NULL;
}

size_t brrr_first(brrr_call *calls, size_t count) {
    if (count == 0) brrr_panic("a race of no calls");
    brrr_first_n(1, calls, count);
    size_t i = 0;
    while (!calls[i].done) i++;
    return i;
}

/* The first that has its outcome and was not given yet; `count` when there is none. */
static size_t not_given(brrr_call *calls, size_t count) {
    size_t i = 0;
    while (i < count && (!calls[i].done || calls[i].given)) i++;
    if (i < count) calls[i].given = true;
    return i;
}

size_t brrr_next(brrr_call *calls, size_t count) {
    size_t i = not_given(calls, count);
    if (i < count) return i;
    // Without an open call this returns at once, and there is none to give.
    brrr_wait(calls, count, BRRR_PROGRESS, BRRR_NO_LIMIT);
    return not_given(calls, count);
}
