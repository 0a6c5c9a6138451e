/// The conformance guest's handlers, natively: the SDK's own test, as a user would write one.
#include <brrr_testing.h>

#include <limits>
#include <string_view>

#include "../../c/tests/check.h"
#include "../conformance/tasks.hpp"

using std::string_view;

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
    // Both are there at once, and the first failure from the left is it.
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

enum class Color { Red, Green };
BRRR_ENUM(Color, Red, Green)
struct Many {
    int a, b, c, d, e, f, g, h, i, j;
    Color color;
};
BRRR_FIELDS(Many, a, b, c, d, e, f, g, h, i, j, color)

template <typename T> static bool comes_back(const T &value, string_view text) {
    brrr_json *json = brrr::to_json(value);
    T back{};
    return brrr::Codec<T>::read(json, back) == nullptr && back == value &&
           reinterpret_cast<const char *>(brrr_dumps(json).data) == text;
}

static void more_types() {
    CHECK(comes_back(std::array{1, 2}, "[1, 2]") && comes_back(std::pair(string("a"), 2), R"(["a", 2])"));
    CHECK(comes_back(std::set{3, 1}, "[1, 3]"));
    CHECK(comes_back(std::unordered_map<string, int>{{"b", 1}, {"a", 2}, {"c", 3}}, R"({"a": 2, "b": 1, "c": 3})"));
    CHECK(comes_back(Color::Green, R"("Green")"));
    std::array<int, 3> three{};
    CHECK(string_view(brrr::Codec<std::array<int, 3>>::read(brrr::to_json(vector{1}), three)) == "expected an array of that length");
    Color color{};
    CHECK(string_view(brrr::Codec<Color>::read(brrr::to_json("Blue"), color)) == "expected one of Red, Green");
    Many many{};
    brrr_json *json = brrr::to_json(Many{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, Color::Green});
    CHECK(brrr_count(json) == 11 && brrr::Codec<Many>::read(json, many) == nullptr && many.j == 10 && many.color == Color::Green);
    CHECK(string_view(reinterpret_cast<const char *>(brrr_dumps(brrr::schema<Color>()).data)) ==
          R"({"enum": ["Red", "Green"], "type": "string"})");
}

/// The tasks of the section "Errors and text" of CONFORMANCE.md.
static void errors_and_text() {
    const string text = "ab\xf0\x9f\x98\x80" "c";
    gives(cut_task("log", text), "done");
    fails_with(cut_task("error", text), "cut: ab\xf0\x9f", 2);
    fails_with(cut_task("permanent", text), "cut: ab\xf0\x9f", 1);
    fails_with(causes_task(), "outer trouble: inner trouble", 1);
    fails_with(several_task(), "2 errors; first trouble; second trouble", 1);
    CHECK(nothing_task().await().has_value());
    fails_with(no_number_task(), "the value cannot be written as JSON: NaN at values[1], which JSON does not have", 1);
    auto zone = zone_task().await();
    CHECK(!zone && string(zone.error().message()).contains("no time zones"));
    auto infinite = brrr::call<int64_t>("leaf", {{"i", vector<double>{0, 1e300 * 1e300}}}).await();
    CHECK(!infinite && string(infinite.error().message()).contains("an infinite number at i[1]"));
}

/// A value without bytes is null.
static void nothing_is_null() {
    auto silent = brrr::Call<optional<int>>(brrr_call_bytes("echo", {nullptr, 0})).await();
    CHECK(silent && !silent->has_value());
}

/// Text may contain NUL, as a key too.
static void keys_with_nul() {
    std::map<string, int> keys{{string("a\0b", 3), 1}, {string("a\0c", 3), 2}}, back;
    const char *problem = brrr::Codec<decltype(back)>::read(brrr::to_json(keys), back);
    CHECK(problem == nullptr && back == keys);
}

/// BRRR_TRY passes an error on as one of another type too, if that is made of it.
struct Mine {
    string text;
    explicit Mine(const brrr::Error &error) : text(error.message()) {}
};

static std::expected<string, Mine> passes_on() {
    return BRRR_TRY(Result<string>(brrr::permanent("no")));
}

static void bodies_that_are_no_json() {
    auto request = brrr::http::post("http://a/");
    auto response = request.json(std::map<string, double>{{"x", std::numeric_limits<double>::quiet_NaN()}}).send();
    CHECK(!response && string(response.error().message()).contains("NaN at x"));
}

static void bytes_and_names() {
    gives(call_raw_task(1000), tuple(std::size_t{1000}, true));
    gives(call_raw_task(0), tuple(std::size_t{0}, true));
    gives(call_topic_task("t", 5), 5);
    gives(cpp_gather_task("x", vector<string>{"cpp_greet"}, vector<optional<string>>{{}}), vector<string>{"x from cpp"});
    gives(prints_task("x"), "x");
    gives(patient_task(), "stopped in time");
}

/// Promises of this name are kept after two seconds; "no" is rejected, "never" is not answered.
static void outside(const char *name, brrr_call *promise) {
    string_view asked(name);
    if (asked == "never") return;
    if (asked == "later") brrr::sleep(2s);
    if (asked == "no") brrr_testing_reject(promise, "not today");
    else brrr_testing_resolve(promise, brrr::to_json(7));
}

/// A value that is any JSON.
static string text_of(Result<brrr::Json> result) {
    return result ? reinterpret_cast<const char *>(brrr_dumps(*result).data) : result.error().message();
}

/// The tasks of the section "Time, promises, identity" of CONFORMANCE.md.
static void time_promises_identity() {
    brrr_testing_outside = outside;
    gives(too_late_task(5000, 50, "x"), "too late");
    gives(too_late_task(0, 50, "x"), "x");
    gives(twice_late_task(5000, 50, "x"), tuple(string("too late"), string("x")));
    gives(sides_task(3000, "s"), vector<string>{"s03", "s13", "s23", "s33"});
    fails_with(fail_fast_task(5000, "s"), "fails failed (error): s", 1);
    CHECK(text_of(asks_task("later", 0).await()) == "7");
    CHECK(text_of(asks_task("later", 50).await()) == "\"too late\"");
    CHECK(text_of(asks_task("no", 0).await()) == "asks failed (rejected): brrr.promise failed (rejected): not today");
    CHECK(text_of(asks_or_task("never", 5, "t").await()) == "\"t\"" && text_of(asks_or_task("now", 5, "t").await()) == "7");
    auto caught = asks_caught_task("no").await();
    CHECK(caught && caught->kind == "rejected" && caught->message == "not today");
    gives(reads_details_task(7), 7);
    CHECK(logs_fields_task().await().has_value());
    gives(described_task("ab", 3), "ababab");
    gives(brrr::promise<int>("x"), 7);
    // A failure of one's own has no details of a child; a child's may be of another kind.
    CHECK(!brrr::permanent("no", Code{1}).error().details<Code>() && !attaches_task(7).await().error().details<string>());
}

/// What the last batch wanted.
static brrr_want wanted;

static void waits() {
    brrr_testing_watch = [](brrr_want want, const uint64_t *, brrr_call *const *, size_t) { wanted = want; };
    auto slow = nap_task(5000, "slow");
    auto failing = fails_task("no");
    CHECK(!brrr::gather(slow, failing) && wanted == BRRR_ALL);
    brrr::settle(slow, failing);
    CHECK(wanted == 2 && slow.done() && failing.failure() != nullptr);

    vector calls{nap_task(5000, "a"), nap_task(10, "b")};
    CHECK(brrr::first_for(5ms, calls) == std::nullopt && wanted == 1);
    CHECK(brrr::first_for(1s, calls) == 1 && brrr::first_for(1s, calls) == 1);
    CHECK(!brrr::settle_for(1s, calls) && brrr::settle_for(10s, calls));
    auto late = brrr::gather_for(1s, nap_task(0, "a"), nap_task(5000, "b"));
    CHECK(late && !*late && wanted == BRRR_ALL);
    auto in_time = brrr::gather_for(1s, vector{nap_task(0, "a"), nap_task(500, "b")});
    CHECK(in_time && **in_time == vector<string>({"a", "b"}));
    auto failed = brrr::gather_for(1s, nap_task(5000, "a"), fails_task("no"));
    CHECK(!failed && string(failed.error().failure()->message) == "no");
    vector chain{nap_task(0, "a")};
    CHECK(brrr::next(chain) == 0 && wanted == BRRR_PROGRESS && !brrr::next(chain));

    // Of a call that gives nothing.
    auto nothing = nothing_task().await_for(1s);
    auto never = brrr::promise<void>("never").await_for(1s);
    CHECK(nothing && *nothing && never && !*never);
    brrr_testing_watch = nullptr;
}

static string schema_of(string_view name, bool of_value) {
    for (size_t i = 0; i < brrr_task_count; i++) {
        if (brrr_tasks[i].name != name) continue;
        brrr_json *schema = brrr_tasks[i].schema == nullptr ? nullptr : brrr_tasks[i].schema(of_value);
        return schema == nullptr ? "none" : reinterpret_cast<const char *>(brrr_dumps(schema).data);
    }
    return "no such task";
}

struct Node {
    string name;
    vector<Node> children;
};
BRRR_FIELDS(Node, name, children)

static void schemas() {
    CHECK(schema_of("described", false) == R"({"properties": {"text": {"type": "string"}, "times": {"type": "integer"}}, )"
                                           R"("required": ["text", "times"], "type": "object"})");
    CHECK(schema_of("described", true) == R"({"type": "string"})");
    CHECK(schema_of("nothing", true) == R"({"type": "null"})");
    CHECK(schema_of("asks", true) == "{}" && schema_of("echo", false) == "none");
    CHECK(schema_of("scoped", false) == R"({"properties": {"i": {"type": "integer"}, "scope": {"anyOf": [{"type": "string"}, )"
                                        R"({"type": "null"}]}}, "required": ["i"], "type": "object"})");
    auto text = [](brrr_json *schema) { return string(reinterpret_cast<const char *>(brrr_dumps(schema).data)); };
    CHECK(text(brrr::schema<tuple<bool, float>>()) == R"({"maxItems": 2, "minItems": 2, "prefixItems": [{"type": "boolean"}, )"
                                                      R"({"type": "number"}], "type": "array"})");
    CHECK(text(brrr::schema<std::map<string, std::uint8_t>>()) ==
          R"({"additionalProperties": {"minimum": 0, "type": "integer"}, "type": "object"})");
    for (int turn = 0; turn < 2; turn++) {
        CHECK(text(brrr::schema<Node>()) == R"({"properties": {"children": {"items": {"type": "object"}, "type": "array"}, )"
                                            R"("name": {"type": "string"}}, "required": ["name", "children"], "type": "object"})");
    }
}

/// As the host takes them, at compile time.
static_assert(string_view(brrr::Scope(90s).text()) == "90s" && string_view(brrr::Scope(1h).text()) == "3600s");
static_assert(string_view(brrr::Scope(1500ms).text()) == "1500ms");
static_assert(string_view(brrr::Scope::job.text()) == "job" && string_view(brrr::Scope::fleet.text()) == "fleet");
constexpr brrr::Task<nothing> hourly_task{"hourly", {}, {.scope = 1h}};
static_assert(string_view(hourly_task.entry(nullptr, nullptr).scope) == "3600s");

static void scopes() {
    auto scope = [](brrr::Call<int64_t> call) { return string(call.raw().scope); };
    CHECK(scope(leaf_task(1).scope(brrr::Scope::job)) == "job" && scope(leaf_task(1).scope(15min)) == "900s");
    CHECK(scope(leaf_task(1).scope("7d")) == "7d" && leaf_task(1).raw().scope == nullptr);
}

static void detached_jobs() {
    brrr_testing_spawns = brrr_testing_runs = 0;
    auto job = [](int n) { return string(31, '0') + std::to_string(n); };
    auto call = leaf_task(1).label("l");
    auto first = call.spawn(), again = call.spawn();
    CHECK(first && *first == job(1) && again && *again == job(1) && brrr_testing_runs == 0);
    auto named = brrr::call<void>("no_such_task").topic("t").spawn();
    CHECK(named && *named == job(2));
    auto bad = hello_task("\xff").spawn();
    CHECK(!bad && string(bad.error().failure()->kind) == "codec");
    gives(spawns_task(2), vector<string>{job(3), job(4)});
    gives(spawns_between_task(), tuple(job(5), job(6)));
}

int main() {
    batches();
    detached_jobs();
    failures_and_retries();
    arguments();
    types();
    more_types();
    bytes_and_names();
    errors_and_text();
    keys_with_nul();
    nothing_is_null();
    bodies_that_are_no_json();
    time_promises_identity();
    waits();
    schemas();
    scopes();
    CHECK(!passes_on() && passes_on().error().text == "no");
    return report("handlers");
}
