/* The conformance guest's handlers, natively: the SDK's own test, as a user would write one. */
#include <string.h>

#include <brrr.h>
#include <brrr_testing.h>

#include "../sdk/src/internal.h"
#include "check.h"

static void reset(void) {
    brrr_testing_batches = brrr_testing_calls = brrr_testing_runs = 0;
}

/* What the call comes to, as JSON text; NULL for a failure. */
static const char *value(brrr_call *call) {
    reset();
    const brrr_json *json;
    return brrr_await(call, &json) == NULL ? (const char *)brrr_dumps(json).data : NULL;
}

static void gives(brrr_call call, const char *expected) {
    const char *got = value(&call);
    checks++;
    if (got == NULL) FAIL("%s: %s", call.task, call.failure != NULL ? call.failure->message : "?");
    else if (strcmp(got, expected) != 0) FAIL("%s: %s instead of %s", call.task, got, expected);
}

static const brrr_failure *fails_with(brrr_call call, const char *message, uint32_t attempts) {
    const char *got = value(&call);
    checks++;
    if (got != NULL) FAIL("%s: %s instead of a failure", call.task, got);
    else if (strcmp(call.failure->message, message) != 0) FAIL("%s: %s", call.task, call.failure->message);
    else if (call.failure->attempts != attempts) FAIL("%s: %u attempts", call.task, (unsigned)call.failure->attempts);
    return call.failure;
}

static void batches(void) {
    gives(brrr_call("fib", brrr_kv("n", 16)), "987");
    gives(brrr_call("fib", brrr_kv("n", 9), brrr_kv("salt", "x")), "34");
    gives(brrr_call("gather", brrr_kv("n", 3)), "[0, 1, 2]");
    CHECK(brrr_testing_batches == 2 && brrr_testing_calls == 4);
    gives(brrr_call("fan_out", brrr_kv("n", 0)), "0");
    gives(brrr_call("sequential", brrr_kv("n", 4)), "6");
    CHECK(brrr_testing_batches == 5);
    gives(brrr_call("chains", brrr_kv("n", 5)), "[5, 6, 7, 8, 9]");
    CHECK(brrr_testing_batches == 3);
    gives(brrr_call("race", brrr_kv("slow", "s"), brrr_kv("gate", "g")), "[0, 0, 2]");
    gives(brrr_call("race_of", brrr_kv("need", 2), brrr_kv("n", 3)), "[0, 1, null]");

    // What has an outcome counts, and is not asked for again.
    brrr_call calls[] = {brrr_call("leaf", brrr_kv("i", 1)), brrr_call("leaf", brrr_kv("i", 2))};
    brrr_gather(&calls[0], 1);
    reset();
    CHECK(brrr_first(calls, 2) == 0 && brrr_testing_batches == 0 && !calls[1].done);
    brrr_gather(calls, 2);
    CHECK(brrr_testing_calls == 1 && calls[1].done);
}

static void failures_and_retries(void) {
    const brrr_failure *failure = fails_with(brrr_call("fails", brrr_kv("message", "no luck")), "no luck", 1);
    CHECK(strcmp(failure->kind, "error") == 0 && failure->chain_count == 1);
    failure = fails_with(brrr_call("fails_child", brrr_kv("message", "no")), "fails failed (error): no", 1);
    CHECK(failure->chain_count == 2 && strcmp(failure->chain[1], "fails: no") == 0);
    gives(brrr_call("catches", brrr_kv("message", "no")),
          "{\"fine\": 1, \"kind\": \"error\", \"message\": \"no\", \"task\": \"fails\"}");
    fails_with(brrr_call("stubborn"), "no use", 1);
    fails_with(brrr_call("always_fails"), "never works", 3);
    gives(brrr_call("flaky", brrr_kv("until", 3)), "{\"attempt\": 3}");
    fails_with(brrr_call("flaky", brrr_kv("until", 5)), "attempt 4 fails", 4);
    brrr_call once = brrr_call("flaky", brrr_kv("until", 2));
    once.max_retries = 0;
    fails_with(once, "attempt 1 fails", 1);
}

static void arguments(void) {
    fails_with(brrr_call("leaf"), "the arguments do not fit: i: it is missing", 1);
    fails_with(brrr_call("leaf", brrr_kv("i", "1")), "the arguments do not fit: i: expected an integer, got text", 1);
    fails_with(brrr_call("leaf", brrr_kv("i", 1), brrr_kv("j", 1)), "the arguments do not fit: j: there is no such argument", 1);
    fails_with(brrr_call("big_result", brrr_kv("bytes", -1)), "the arguments do not fit: bytes: the integer is out of range", 1);
    brrr_string nul = {"a\0b", 3};
    gives(brrr_call("hello", brrr_kv("greetee", nul)), "\"Hello, a\\u0000b!\"");
    fails_with(brrr_call("fails", brrr_kv("message", nul)),
               "the arguments do not fit: message: the text contains NUL; take it as a brrr_string", 1);
    const brrr_failure *failure = fails_with(brrr_call("hello", brrr_kv("greetee", "\xff")),
        "cannot write its arguments: text that is not UTF-8 at greetee, which JSON does not have", 0);
    CHECK(strcmp(failure->kind, "codec") == 0);
    // By position, as a bare object, and none.
    static const struct { const char *payload, *expected; } payloads[] = {
        {"[7]", "7"}, {"{\"i\": 7}", "7"}, {" [ {\"i\": 7} ] ", "7"}};
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        const char *text = payloads[i].payload;
        gives(brrr_call_bytes("leaf", (brrr_bytes){(const uint8_t *)text, strlen(text)}), payloads[i].expected);
    }
    gives(brrr_call_bytes("noop", (brrr_bytes){(const uint8_t *)"[]", 2}), "null");
    fails_with(brrr_call_bytes("leaf", (brrr_bytes){NULL, 0}), "the arguments do not fit: expected a value at byte 0", 1);
    fails_with(brrr_call_bytes("leaf", (brrr_bytes){(const uint8_t *)"[1, 2]", 6}), "the arguments do not fit: there are too many", 1);
}

static void types(void) {
    uint64_t u64 = 0;
    int64_t i64;
    uint8_t u8;
    int i;
    float f;
    double d;
    bool b;
    CHECK(brrr_read(brrr_value(UINT64_MAX), &u64) == NULL && u64 == UINT64_MAX);
    CHECK(brrr_read(brrr_value(UINT64_MAX), &i64) != NULL);
    CHECK(brrr_read(brrr_value(INT64_MIN), &i64) == NULL && i64 == INT64_MIN);
    CHECK(strcmp((const char *)brrr_dumps(brrr_value(INT64_MIN)).data, "-9223372036854775808") == 0);
    CHECK(brrr_read(brrr_value(256), &u8) != NULL && brrr_read(brrr_value(255), &u8) == NULL && u8 == 255);
    CHECK(brrr_read(brrr_value(INT64_C(1) << 31), &i) != NULL);
    CHECK(brrr_read(brrr_value(3), &d) == NULL && d == 3.0 && brrr_read(brrr_value(3.0), &i) != NULL);
    CHECK(brrr_read(brrr_value(0.5f), &f) == NULL && f == 0.5f);
    CHECK(brrr_read(brrr_value((bool)true), &b) == NULL && b && brrr_read(brrr_value(1), &b) != NULL);
    CHECK(brrr_kind_of(brrr_value((const char *)NULL)) == BRRR_NULL);
    // A value that holds itself ends as an error, not as a crash.
    brrr_json *loop = brrr_array();
    brrr_push(loop, loop);
    CHECK(brrr_dumps(loop).data == NULL);
    brrr_json *object = brrr_object(brrr_kv("b", 1), brrr_kv("a", brrr_array(brrr_value("x"), brrr_null())));
    brrr_set(object, "b", brrr_value(2));
    CHECK(strcmp((const char *)brrr_dumps(object).data, "{\"a\": [\"x\", null], \"b\": 2}") == 0);
    CHECK(brrr_count(brrr_get(object, "a")) == 2 && brrr_at(object, 9) == NULL && brrr_get(object, "c") == NULL);
}

static void bytes_and_hashes(void) {
    gives(brrr_call("call_raw", brrr_kv("bytes", 1000)), "[1000, true]");
    gives(brrr_call("call_raw", brrr_kv("bytes", 0)), "[0, true]");
    gives(brrr_call("call_topic", brrr_kv("topic", "t"), brrr_kv("i", 5)), "5");
    gives(brrr_call("relays", brrr_kv("task", "leaf"), brrr_kv("topic", brrr_null()), brrr_kv("args", brrr_object(brrr_kv("i", 7)))), "7");
    gives(brrr_call("c_gather", brrr_kv("name", "x"), brrr_kv("tasks", brrr_array(brrr_value("c_greet"))),
                    brrr_kv("topics", brrr_array(brrr_null()))), "[\"x from c\"]");
    brrr_call empty = brrr_call_bytes("echo", (brrr_bytes){NULL, 0});
    brrr_bytes got = {(const uint8_t *)"x", 1};
    CHECK(brrr_await(&empty, &got) == NULL && got.size == 0);
    // A value without bytes is null.
    brrr_call silent = brrr_call_bytes("echo", (brrr_bytes){NULL, 0});
    const brrr_json *json = NULL;
    CHECK(brrr_await(&silent, &json) == NULL && json != NULL && brrr_kind_of(json) == BRRR_NULL);
    int64_t none;
    CHECK(brrr_await(&silent, &none) != NULL && strstr(brrr_await(&silent, &none)->message, "got null") != NULL);
    // Whose value is no JSON.
    brrr_call call = brrr_call_bytes("echo", (brrr_bytes){(const uint8_t *)"\1", 1});
    int64_t number;
    brrr_error *error = brrr_await(&call, &number);
    CHECK(error != NULL && error->type == BRRR_CHILD && strcmp(error->failure->kind, "codec") == 0);
}

static void leads_to(const char *from, const char *reference, const char *expected) {
    url base;
    CHECK(brrr_url_parse(from, &base) == NULL);
    CHECK(strcmp(brrr_url_join(&base, reference), expected) == 0);
}

static void urls(void) {
    url parsed;
    CHECK(brrr_url_parse("HTTPS://a.com:1?b#c", &parsed) == NULL && parsed.https);
    CHECK(strcmp(parsed.authority, "a.com:1") == 0 && strcmp(parsed.path, "/?b") == 0);
    CHECK(brrr_url_parse("ftp://a", &parsed) != NULL && brrr_url_parse("http://", &parsed) != NULL);
    CHECK(brrr_url_parse("a.com", &parsed) != NULL && brrr_url_parse("http://a/b c", &parsed) != NULL);
    leads_to("http://a/b/c?d", "https://x/y", "https://x/y");
    leads_to("https://a/b/c", "//x/y", "https://x/y");
    leads_to("http://a/b/c?d", "/y?z", "http://a/y?z");
    leads_to("http://a/b/c?d", "y", "http://a/b/y");
    leads_to("http://a/b/c", "?z", "http://a/b/c?z");
    leads_to("http://a/b/c/d", "../../y", "http://a/y");
    leads_to("http://a/b", "../../..", "http://a/");
    leads_to("http://a/b/c", "./y/../z?../q", "http://a/b/z?../q");
    leads_to("http://a", "y", "http://a/y");
    const char *problem = brrr_request_problem("GET", "http://me:pw@a/b?secret", "no");
    CHECK(strcmp(problem, "GET http://a/b: no") == 0);
}

static void answer(brrr_request *request) {
    static const char body[] = "Hello!";
    if (strstr(request->url, "refused") != NULL) {
        request->problem = "refused";
        return;
    }
    request->status = 200;
    request->content = (brrr_bytes){(const uint8_t *)body, sizeof body - 1};
}

static void requests(void) {
    brrr_testing_server = answer;
    gives(brrr_call("http_get", brrr_kv("url", "http://a/")), "{\"body\": \"Hello!\", \"status\": 200}");
    gives(brrr_call("http_caught", brrr_kv("url", "http://refused/")), "\"error: refused\"");
    gives(brrr_call("http_several", brrr_kv("urls", brrr_array(brrr_value("http://a/"), brrr_value("http://b/")))),
          "[\"Hello!\", \"Hello!\"]");
    gives(brrr_call("env_get", brrr_kv("key", "BRRR_NOT_SET")),
          "\"error: the variable BRRR_NOT_SET is not allowed: --env BRRR_NOT_SET\"");
}

static bool cleans(const char *text, size_t size, const char *expected) {
    brrr_string clean = brrr_clean(text, size);
    return clean.size == strlen(expected) && memcmp(clean.data, expected, clean.size + 1) == 0;
}

#define CLEANS(text, expected) CHECK(cleans(text, sizeof text - 1, expected))

static void text_for_people(void) {
    static const char fine[] = "a \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80";
    CHECK(brrr_clean(fine, sizeof fine - 1).data == fine && brrr_clean("", 0).size == 0);
    // A character that is cut off, bytes that never are text, one of surrogates, one that is too long, one beyond Unicode.
    CLEANS("ab\xf0\x9f", "ab\xef\xbf\xbd");
    CLEANS("\xf0\x9f\x98\xc3\xa9", "\xef\xbf\xbd\xc3\xa9");
    CLEANS("\xff\xfex\x80", "\xef\xbf\xbd\xef\xbf\xbdx\xef\xbf\xbd");
    CLEANS("\xed\xa0\xbd.", "\xef\xbf\xbd.");
    CLEANS("\xc0\xafx", "\xef\xbf\xbd\xef\xbf\xbdx");
    CLEANS("\xf4\x90\x80\x80", "\xef\xbf\xbd");
    brrr_string nul = brrr_clean("a\0\xff", 3);
    CHECK(nul.size == 5 && memcmp(nul.data, "a\0\xef\xbf\xbd", 6) == 0);
    // What decides what is called is not changed.
    brrr_call call = brrr_call("leaf", brrr_kv("i", 1));
    call.topic = "\xff";
    fails_with(call, "cannot write its arguments: the topic is not UTF-8", 0);
    fails_with(brrr_call_bytes("\xff", (brrr_bytes){NULL, 0}), "cannot write its arguments: the task's name is not UTF-8", 0);
}

static const char *refusal(const brrr_json *json) {
    brrr_bytes text;
    const char *problem = brrr_dump(json, &text);
    CHECK((problem == NULL) == (text.data != NULL));
    return problem != NULL ? problem : "none";
}

static void no_json(void) {
    double nan = __builtin_nan(""), infinite = __builtin_inf();
    CHECK(strcmp(refusal(brrr_value(nan)), "NaN, which JSON does not have") == 0);
    brrr_json *inner = brrr_array(brrr_value(1), brrr_object(brrr_kv("b", -infinite)));
    CHECK(strcmp(refusal(brrr_array(brrr_null(), inner)), "an infinite number at [1][1].b, which JSON does not have") == 0);
    brrr_json *outer = brrr_object(brrr_kv("a", brrr_object(brrr_kv("c", brrr_array(brrr_value("\xff"))))));
    CHECK(strcmp(refusal(outer), "text that is not UTF-8 at a.c[0], which JSON does not have") == 0);
    brrr_json *keys = brrr_object(brrr_kv("x", brrr_object(brrr_kv("\xff", 1))));
    CHECK(strcmp(refusal(keys), "a key that is not UTF-8 at x.\xef\xbf\xbd, which JSON does not have") == 0);
    CHECK(strcmp(refusal(brrr_value(1.5)), "none") == 0);
    const brrr_failure *failure = fails_with(brrr_call("hello", brrr_kv("greetee", nan)),
        "cannot write its arguments: NaN at greetee, which JSON does not have", 0);
    CHECK(strcmp(failure->kind, "codec") == 0 && failure->chain_count == 1);
    CHECK(strcmp(failure->chain[0], "hello: codec: cannot write its arguments: NaN at greetee, which JSON does not have") == 0);
    // Keys may contain NUL.
    brrr_json *nul = brrr_object();
    brrr_set_n(nul, (brrr_string){"a\0b", 3}, brrr_value(1));
    brrr_set_n(nul, (brrr_string){"a\0c", 3}, brrr_value(2));
    CHECK(strcmp((const char *)brrr_dumps(nul).data, "{\"a\\u0000b\": 1, \"a\\u0000c\": 2}") == 0);
    CHECK(brrr_key_n(nul, 1).size == 3 && brrr_key_n(nul, 2).data == NULL);
}

/* The tasks of the section "Errors and text" of CONFORMANCE.md. */
static void errors_and_text(void) {
    static const char text[] = "ab\xf0\x9f\x98\x80" "c";
    gives(brrr_call("cut", brrr_kv("kind", "log"), brrr_kv("text", text)), "\"done\"");
    fails_with(brrr_call("cut", brrr_kv("kind", "error"), brrr_kv("text", text)), "cut: ab\xf0\x9f", 2);
    fails_with(brrr_call("cut", brrr_kv("kind", "permanent"), brrr_kv("text", text)), "cut: ab\xf0\x9f", 1);
    fails_with(brrr_call("causes"), "outer trouble: inner trouble", 1);
    fails_with(brrr_call("several"), "2 errors: first trouble; second trouble", 1);
    gives(brrr_call("nothing"), "null");
    fails_with(brrr_call("no_number"), "the value cannot be written as JSON: NaN at values[1], which JSON does not have", 1);
    brrr_call zone = brrr_call("zone");
    CHECK(brrr_gather(&zone, 1) != NULL && strstr(zone.failure->message, "no time zones") != NULL);
}

int main(void) {
    batches();
    text_for_people();
    no_json();
    errors_and_text();
    failures_and_retries();
    arguments();
    types();
    bytes_and_hashes();
    urls();
    requests();
    gives(brrr_call("prints", brrr_kv("line", "x")), "\"x\"");
    gives(brrr_call("patient"), "\"stopped in time\"");
    return report("handlers");
}
