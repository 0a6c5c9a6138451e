/// Errors of its own, and those of children.
#include "tasks.hpp"

Result<int64_t> fails(string message) {
    return brrr::retryable(message);
}

Result<Caught> catches(string message) {
    auto failing = fails_task(message);
    auto fine = leaf_task(1);
    brrr::settle(failing, fine);
    const brrr::Failure *failure = failing.failure();
    if (failure == nullptr) return brrr::permanent("the child should have failed");
    return Caught{failure->kind, failure->task, failure->message, BRRR_TRY(fine.await())};
}

Result<int64_t> fails_child(string message) {
    return fails_task(message).await();
}

Result<void> unknown_child() {
    return brrr::call<void>("no_such_task").await();
}

Result<void> stubborn() {
    return brrr::permanent("no use");
}

Result<int64_t> always_fails() {
    return brrr::retryable("never works");
}

Result<Seen> calls_always_fails(bool catches) {
    auto result = always_fails_task().await();
    if (result) return brrr::permanent("the child should have failed");
    const brrr::Failure *failure = result.error().failure();
    if (!catches || failure == nullptr) return std::unexpected(result.error());
    return Seen{failure->kind, failure->task, failure->message, failure->attempts};
}

Result<Attempt> flaky(const App &app, std::uint32_t until) {
    if (app.attempt < until) return brrr::retryable("attempt " + std::to_string(app.attempt) + " fails");
    return Attempt{app.attempt};
}
