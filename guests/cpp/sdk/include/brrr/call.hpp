/// Calls to other tasks, one by one, together, or as a race.
#ifndef BRRR_CALL_HPP
#define BRRR_CALL_HPP

#include <brrr/codec.hpp>
#include <brrr/error.hpp>

#include <array>
#include <chrono>
#include <initializer_list>

namespace brrr {

/// How the pauses before retries grow: all alike, or each twice the one before.
enum class Backoff { Fixed = BRRR_FIXED, Exponential = BRRR_EXPONENTIAL };

/// A call to a task, which gives a T: JSON, or Bytes for the value as it is. Nothing happens until it is waited for.
template <typename T> class Call {
  public:
    explicit Call(brrr_call raw) : raw_(raw) {}

    /// The topic whose workers serve the task. Without one it is that of the call at hand.
    Call &topic(std::string_view topic) & { return raw_.topic = detail::keep(topic), *this; }
    /// Gives the call an identity of your own; calls with one hash share one value.
    Call &hash(std::string_view hash) & { return raw_.call_hash = detail::keep(hash), *this; }
    /// A name by which events and listings show the call.
    Call &label(std::string_view label) & { return raw_.label = detail::keep(label), *this; }
    /// How it is run, in place of what the task's own options say; no part of its identity.
    Call &timeout(std::chrono::milliseconds time) & { return raw_.timeout_ms = time.count(), *this; }
    Call &max_retries(std::uint32_t retries) & { return raw_.max_retries = retries, *this; }
    Call &retry_delay(std::chrono::milliseconds time) & { return raw_.retry_delay_ms = time.count(), *this; }
    Call &max_retry_delay(std::chrono::milliseconds time) & { return raw_.max_retry_delay_ms = time.count(), *this; }
    Call &backoff(Backoff backoff) & { return raw_.backoff = static_cast<brrr_backoff>(backoff), *this; }

    /// The same for a call that has no name yet: `fib_task(9).topic("math").await()`.
    Call &&topic(std::string_view topic) && { return std::move(this->topic(topic)); }
    Call &&hash(std::string_view hash) && { return std::move(this->hash(hash)); }
    Call &&label(std::string_view label) && { return std::move(this->label(label)); }
    Call &&timeout(std::chrono::milliseconds time) && { return std::move(this->timeout(time)); }
    Call &&max_retries(std::uint32_t retries) && { return std::move(this->max_retries(retries)); }
    Call &&retry_delay(std::chrono::milliseconds time) && { return std::move(this->retry_delay(time)); }
    Call &&max_retry_delay(std::chrono::milliseconds time) && { return std::move(this->max_retry_delay(time)); }
    Call &&backoff(Backoff backoff) && { return std::move(this->backoff(backoff)); }

    /// Its value, waited for unless it is there; or the child's failure as an error.
    Result<T> await() {
        if constexpr (std::same_as<T, Bytes>) {
            brrr_bytes bytes;
            if (brrr_error *error = brrr_await_into(&raw_, detail::target(BRRR_T_BYTES, bytes))) return fail(error);
            return Bytes(bytes.data, bytes.size);
        } else {
            Json json = nullptr;
            if (brrr_error *error = brrr_await_into(&raw_, detail::target(BRRR_T_JSON, json))) return fail(error);
            if constexpr (std::is_void_v<T>) {
                return {};
            } else {
                T value{};
                if (const char *problem = Codec<T>::read(json, value)) return fail(brrr_unfit(&raw_, problem));
                return value;
            }
        }
    }

    /// Has it an outcome? After a race some have none.
    [[nodiscard]] bool done() const { return raw_.done; }
    /// The failure that it ended in, if it did.
    [[nodiscard]] const Failure *failure() const { return raw_.failure; }
    [[nodiscard]] brrr_call &raw() { return raw_; }

  private:
    static std::unexpected<Error> fail(brrr_error *error) { return std::unexpected(Error(error)); }

    brrr_call raw_;
};

/// An argument by name.
struct Argument {
    const char *name;
    brrr_json *value;

    template <typename T> Argument(const char *name, const T &value) : name(name), value(to_json(value)) {}
};

/// A call by name, to a task of this or any other worker, in any language: `call<int>("fib", {{"n", 11}})`.
template <typename T> Call<T> call(std::string_view task, std::initializer_list<Argument> arguments = {}) {
    brrr_json *object = brrr_object_of(nullptr, 0);
    for (const Argument &argument : arguments) brrr_set(object, argument.name, argument.value);
    return Call<T>(brrr_call_json(detail::keep(task), object));
}

/// The same with any JSON as its arguments.
template <typename T> Call<T> call_json(std::string_view task, Json arguments) {
    return Call<T>(brrr_call_json(detail::keep(task), arguments));
}

/// A call in bytes, which must live until it is waited for: bytes there, bytes back.
inline Call<Bytes> call_bytes(std::string_view task, Bytes payload) {
    return Call<Bytes>(brrr_call_bytes(detail::keep(task), {payload.data(), payload.size()}));
}

namespace detail {

template <typename... T, typename F> void together(F &&wait, Call<T> &...calls) {
    std::array<brrr_call, sizeof...(T)> all{calls.raw()...};
    wait(all.data(), all.size());
    std::size_t i = 0;
    ((calls.raw() = all[i++]), ...);
}

template <typename T, typename F> void together(F &&wait, std::vector<Call<T>> &calls) {
    std::vector<brrr_call> all;
    all.reserve(calls.size());
    for (auto &call : calls) all.push_back(call.raw());
    wait(all.data(), all.size());
    for (std::size_t i = 0; i < all.size(); i++) calls[i].raw() = all[i];
}

} // namespace detail

/// Waits for all of these calls, which are queued together; each then has its outcome.
template <typename... T> void wait(Call<T> &...calls) {
    detail::together([](brrr_call *all, std::size_t count) { brrr_gather(all, count); }, calls...);
}

/// The same for any number of calls.
template <typename T> void wait(std::vector<Call<T>> &calls) {
    detail::together([](brrr_call *all, std::size_t count) { brrr_gather(all, count); }, calls);
}

/// Waits for all of these calls: their values as a tuple, or the first failure from the left.
template <typename... T> Result<std::tuple<T...>> gather(Call<T>... calls) {
    wait(calls...);
    std::tuple<Result<T>...> results{calls.await()...};
    brrr_error *error = nullptr;
    std::apply([&](auto &...result) { ((error == nullptr && !result ? error = result.error().raw() : nullptr), ...); }, results);
    if (error != nullptr) return std::unexpected(Error(error));
    return std::apply([](auto &...result) { return std::tuple<T...>(*std::move(result)...); }, results);
}

/// Waits for any number of calls: their values in order, or the first failure.
template <typename T> Result<std::vector<T>> gather(std::vector<Call<T>> calls) {
    wait(calls);
    std::vector<T> values;
    values.reserve(calls.size());
    for (auto &call : calls) values.push_back(BRRR_TRY(call.await()));
    return values;
}

/// Waits for `need` of the calls; the others are not `done`. The same ones in every replay; the rest go on.
template <typename T> void first_n(std::size_t need, std::vector<Call<T>> &calls) {
    detail::together([need](brrr_call *all, std::size_t count) { brrr_first_n(need, all, count); }, calls);
}

/// Waits for the first of the calls to have an outcome; gives its index.
template <typename T> std::size_t first(std::vector<Call<T>> &calls) {
    std::size_t index = 0;
    detail::together([&](brrr_call *all, std::size_t count) { index = brrr_first(all, count); }, calls);
    return index;
}

} // namespace brrr

#endif
