/// Options, time, and handlers that the host must survive.
#include "tasks.hpp"

void full_options() {}

void loops() {
    for (volatile std::uint64_t turns = 0;;) turns = turns + 1;
}

Result<string> with_options() {
    auto result = loops_task().timeout(200ms).max_retries(0).label("brief").await();
    if (result || result.error().failure() == nullptr) return brrr::permanent("it never ends");
    return result.error().failure()->kind;
}

string patient() {
    while (brrr::is_active() && brrr::time_left() > 100ms) brrr::sleep(5ms);
    return "stopped in time";
}

Result<void> grows() {
    vector<vector<std::uint8_t>> all;
    for (;;) all.emplace_back(1 << 20, 1);
}

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Winfinite-recursion"
static int64_t deeper(int64_t n) {
    volatile int64_t frame[64] = {n};
    // The frame is used after the call, so that this is no loop in disguise.
    return deeper(n + 1) + frame[n % 64];
}
#pragma clang diagnostic pop

int64_t recurses() {
    return deeper(0);
}
