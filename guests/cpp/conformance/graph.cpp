/// Values, batches and races.
#include <numeric>

#include "tasks.hpp"

void noop() {}

string hello(string greetee) {
    return "Hello, " + greetee + "!";
}

int64_t leaf(int64_t i) {
    return i;
}

string big_result(std::size_t bytes) {
    return string(bytes < 2 ? 0 : bytes - 2, 'x');
}

Result<int64_t> fib(int64_t n, optional<string> salt) {
    if (n < 2) return n;
    auto below = [&](const char *way) { return salt ? optional(*salt + way) : std::nullopt; };
    auto [a, b] = BRRR_TRY(brrr::gather(fib_task(n - 2, below("l")), fib_task(n - 1, below("r"))));
    return a + b;
}

/// Detached jobs; their ids.
Result<vector<string>> spawns(int64_t n) {
    vector<string> jobs;
    for (int64_t i = 0; i < n; i++) jobs.push_back(BRRR_TRY(fib_task(i, "spawn").spawn()));
    return jobs;
}

/// A detached job before a call, which another run starts again, and one after it.
Result<tuple<string, string>> spawns_between() {
    string before = BRRR_TRY(fib_task(1, "between").spawn());
    BRRR_TRY(fib_task(2, std::nullopt).await());
    string after = BRRR_TRY(fib_task(3, "between").spawn());
    return tuple(before, after);
}

/// Calls of leaf, for i from 0 on.
static vector<brrr::Call<int64_t>> leaves(int64_t n) {
    vector<brrr::Call<int64_t>> calls;
    for (int64_t i = 0; i < n; i++) calls.push_back(leaf_task(i));
    return calls;
}

Result<int64_t> fan_out(int64_t n) {
    auto values = BRRR_TRY(brrr::gather(leaves(n)));
    return std::accumulate(values.begin(), values.end(), int64_t{0});
}

Result<vector<int64_t>> gather(int64_t n) {
    return brrr::gather(leaves(n));
}

Result<int64_t> sequential(int64_t n) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += BRRR_TRY(leaf_task(i).await());
    return sum;
}

Result<vector<int64_t>> chains(int64_t n) {
    vector<brrr::Call<int64_t>> second;
    for (int64_t x : BRRR_TRY(brrr::gather(leaves(n)))) second.push_back(leaf_task(x + n));
    return brrr::gather(std::move(second));
}

Result<tuple<std::size_t, int64_t, int64_t>> race(string slow, string gate) {
    vector calls{leaf_task(0).topic(slow), leaf_task(1)};
    std::size_t winner = brrr::first(calls);
    auto value = BRRR_TRY(calls[winner].await());
    auto last = BRRR_TRY(leaf_task(2).topic(gate).await());
    return tuple(winner, value, last);
}

Result<vector<optional<int64_t>>> race_of(std::size_t need, int64_t n) {
    auto calls = leaves(n);
    brrr::first_n(need, calls);
    vector<optional<int64_t>> values;
    for (auto &call : calls) {
        if (call.done()) values.push_back(BRRR_TRY(call.await()));
        else values.push_back(std::nullopt);
    }
    return values;
}
