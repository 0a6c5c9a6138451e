/// Durable waits: sleeps, limits, chains side by side, promises.
#include "tasks.hpp"

static std::chrono::milliseconds milliseconds(int64_t ms) {
    return std::chrono::milliseconds(ms);
}

string nap(int64_t ms, string tag) {
    brrr::sleep(milliseconds(ms));
    return tag;
}

Result<vector<string>> sides(int64_t ms, string salt) {
    constexpr std::size_t chains = 4, steps = 4;
    auto step = [&](std::size_t k, std::size_t i) {
        return nap_task(i == k ? ms : 0, salt + std::to_string(k) + std::to_string(i));
    };
    vector<brrr::Call<string>> calls;
    for (std::size_t k = 0; k < chains; k++) calls.push_back(step(k, 0));
    vector<string> tags(chains);
    vector<std::size_t> done(chains);
    while (auto k = brrr::next(calls)) {
        tags[*k] = BRRR_TRY(calls[*k].await());
        if (++done[*k] < steps) calls[*k] = step(*k, done[*k]);
    }
    return tags;
}

Result<void> fail_fast(int64_t ms, string salt) {
    BRRR_TRY(brrr::gather(fails_task(salt), nap_task(ms, salt)));
    return {};
}

Result<string> too_late(int64_t ms, int64_t limit, string tag) {
    auto value = BRRR_TRY(nap_task(ms, tag).await_for(milliseconds(limit)));
    return value.value_or("too late");
}

Result<tuple<string, string>> twice_late(int64_t ms, int64_t limit, string tag) {
    auto call = nap_task(ms, tag);
    auto first = BRRR_TRY(call.await_for(milliseconds(limit)));
    return tuple(first.value_or("too late"), BRRR_TRY(call.await()));
}

Result<brrr::Json> asks(string name, int64_t limit) {
    auto promise = brrr::promise<brrr::Json>(name);
    if (limit == 0) return promise.await();
    auto answer = BRRR_TRY(promise.await_for(milliseconds(limit)));
    return answer.value_or(brrr::to_json("too late"));
}

Result<brrr::Json> asks_or(string name, int64_t ms, string tag) {
    auto promise = brrr::promise<brrr::Json>(name);
    auto call = nap_task(ms, tag);
    if (brrr::first(promise, call) == 0) return promise.await();
    return brrr::to_json(BRRR_TRY(call.await()));
}

Result<Rejected> asks_caught(string name) {
    auto answer = brrr::promise<brrr::Json>(name).await();
    if (answer || answer.error().failure() == nullptr) return brrr::permanent("the promise was not rejected");
    return Rejected{answer.error().failure()->kind, answer.error().failure()->message};
}
