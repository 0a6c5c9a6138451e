/// Who shares a value; what errors, logs and descriptions carry.
#include "tasks.hpp"

int64_t dice(int64_t) {
    return static_cast<int64_t>(brrr::random() >> 11);
}

Result<int64_t> scoped(optional<string> scope, int64_t i) {
    auto call = dice_task(i);
    if (scope) call.scope(*scope);
    return call.await();
}

Result<void> attaches(int64_t code) {
    return brrr::permanent("attached", Code{code});
}

Result<int64_t> reads_details(int64_t code) {
    auto result = attaches_task(code).await();
    if (result) return brrr::permanent("the child should have failed");
    auto details = result.error().details<Code>();
    if (!details) return std::unexpected(result.error());
    return details->code;
}

void logs_fields() {
    brrr::log(brrr::Level::Info, "with fields", {{"a", 1}, {"b", "two"}});
}

string described(string text, int64_t times) {
    string all;
    for (int64_t i = 0; i < times; i++) all += text;
    return all;
}
