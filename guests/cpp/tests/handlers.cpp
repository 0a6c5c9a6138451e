/// The conformance guest's handlers, natively: the SDK's own test, as a user would write one.
#include <brrr_testing.h>

#include "../../c/tests/check.h"
#include "../conformance/tasks.hpp"

/// What the call comes to.
template <typename T, typename E> static void gives(brrr::Call<T> call, const E &expected) {
    brrr_testing_batches = brrr_testing_calls = 0;
    auto result = call.await();
    checks++;
    if (!result) FAIL("%s: %s", call.raw().task, result.error().message());
    else if (!(*result == expected)) FAIL("%s: another value", call.raw().task);
}

template <typename T> static void fails_with(brrr::Call<T> call, std::string_view message, std::uint32_t attempts) {
    auto result = call.await();
    checks++;
    const brrr::Failure *failure = result ? nullptr : result.error().failure();
    if (failure == nullptr) FAIL("%s: no failure", call.raw().task);
    else if (failure->message != message || failure->attempts != attempts) FAIL("%s: %s", failure->task, failure->message);
}

static void batches() {
    gives(fib_task(16, std::nullopt), 987);
    gives(fib_task(9, optional<string>("x")), 34);
    gives(gather_task(3), vector<int64_t>{0, 1, 2});
    CHECK(brrr_testing_batches == 2 && brrr_testing_calls == 4);
    gives(fan_out_task(0), 0);
    gives(sequential_task(4), 6);
    CHECK(brrr_testing_batches == 5);
    gives(chains_task(5), vector<int64_t>{5, 6, 7, 8, 9});
    CHECK(brrr_testing_batches == 3);
    gives(race_task("s", "g"), tuple(std::size_t{0}, int64_t{0}, int64_t{2}));
    gives(race_of_task(2, 3), vector<optional<int64_t>>{0, 1, std::nullopt});
}

static void failures_and_retries() {
    fails_with(fails_task("no luck"), "no luck", 1);
    fails_with(fails_child_task("no"), "fails failed (error): no", 1);
    fails_with(stubborn_task(), "no use", 1);
    fails_with(always_fails_task(), "never works", 3);
    fails_with(flaky_task(5), "attempt 4 fails", 4);
    fails_with(flaky_task(2).max_retries(0), "attempt 1 fails", 1);
    auto caught = catches_task("no").await();
    CHECK(caught && caught->kind == "error" && caught->task == "fails" && caught->message == "no" && caught->fine == 1);
    // All of them are waited for, and the first failure from the left is it.
    auto both = brrr::gather(leaf_task(1), fails_task("a"), fails_task("b"));
    CHECK(!both && string(both.error().failure()->message) == "a");
}

static void arguments() {
    fails_with(brrr::call<int64_t>("leaf"), "the arguments do not fit: i: it is missing", 1);
    fails_with(brrr::call<int64_t>("leaf", {{"i", "1"}}), "the arguments do not fit: i: expected an integer, got text", 1);
    fails_with(brrr::call<int64_t>("leaf", {{"i", 1}, {"j", 1}}), "the arguments do not fit: j: there is no such argument", 1);
    // Text may contain NUL here.
    gives(hello_task(string("a\0b", 3)), string("Hello, a\0b!", 11));
    auto misread = brrr::call<string>("leaf", {{"i", 1}}).await();
    CHECK(!misread && string(misread.error().failure()->kind) == "codec");
}

struct Inner {
    std::map<string, vector<double>> series;
    optional<bool> flag;
};
BRRR_FIELDS(Inner, series, flag)
struct Outer {
    Inner inner;
    tuple<std::uint8_t, float> pair;
    brrr::Json rest;
};
BRRR_FIELDS(Outer, inner, pair, rest)

static void types() {
    Outer outer{{{{"a", {0.5, 2}}}, std::nullopt}, {7, 0.25f}, brrr::to_json(vector<string>{"x"})};
    brrr_json *json = brrr::to_json(outer);
    const char *text = reinterpret_cast<const char *>(brrr_dumps(json).data);
    CHECK(string(text) == R"({"inner": {"flag": null, "series": {"a": [0.5, 2.0]}}, "pair": [7, 0.25], "rest": ["x"]})");
    Outer back{};
    CHECK(brrr::Codec<Outer>::read(json, back) == nullptr);
    CHECK(back.inner.series == outer.inner.series && back.pair == outer.pair && !back.inner.flag);
    brrr_set(json, "pair", brrr::to_json(vector<int>{300, 1}));
    const char *problem = brrr::Codec<Outer>::read(json, back);
    CHECK(problem != nullptr && string(problem) == "pair: the integer is out of range");
}

static void bytes_and_names() {
    gives(call_raw_task(1000), tuple(std::size_t{1000}, true));
    gives(call_raw_task(0), tuple(std::size_t{0}, true));
    gives(call_topic_task("t", 5), 5);
    gives(cpp_gather_task("x", vector<string>{"cpp_greet"}, vector<optional<string>>{{}}), vector<string>{"x from cpp"});
    gives(prints_task("x"), "x");
    gives(patient_task(), "stopped in time");
}

int main() {
    batches();
    failures_and_retries();
    arguments();
    types();
    bytes_and_names();
    return report("handlers");
}
