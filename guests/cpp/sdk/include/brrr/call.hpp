/// Calls to other tasks; <brrr/wait.hpp> waits for several of them.
#ifndef BRRR_CALL_HPP
#define BRRR_CALL_HPP

#include <brrr/codec.hpp>
#include <brrr/error.hpp>
#include <brrr/options.hpp>

#include <initializer_list>

namespace brrr {

/// A call to a task, which gives a T: JSON, or Bytes for the value as it is. Nothing happens until it is waited for.
template <typename T> class Call {
  public:
    explicit Call(brrr_call raw) : raw_(raw) {}

    /// The topic whose workers serve the task. Without one it is that of the call at hand.
    Call &topic(std::string_view topic) & { return raw_.topic = detail::keep(topic), *this; }
    /// Gives the call an identity of your own; calls with one hash share one value.
    Call &hash(std::string_view hash) & { return raw_.call_hash = detail::keep(hash), *this; }
    /// Who shares the value: `Scope::fleet`, `Scope::job`, a duration, or a text such as "15m".
    Call &scope(const Scope &scope) & { return this->scope(std::string_view(scope.text())); }
    Call &scope(std::string_view scope) & { return raw_.scope = detail::keep(scope), *this; }
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
    Call &&scope(const Scope &scope) && { return std::move(this->scope(scope)); }
    Call &&scope(std::string_view scope) && { return std::move(this->scope(scope)); }
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

    /// The same, waited for at most so long: no value when that was not enough. (Of a call that gives nothing: false.) The call
    /// goes on, and can be awaited again.
    auto await_for(std::chrono::milliseconds limit) {
        using Late = std::conditional_t<std::is_void_v<T>, bool, std::optional<std::conditional_t<std::is_void_v<T>, bool, T>>>;
        if (!brrr_wait(&raw_, 1, BRRR_ALL, limit.count())) return Result<Late>(Late());
        auto result = await();
        if (!result) return Result<Late>(std::unexpected(result.error()));
        if constexpr (std::is_void_v<T>) return Result<Late>(true);
        else return Result<Late>(*std::move(result));
    }

    /// Starts a detached job, in place of waiting for the call, and gives the job's id at once: `fib_task(9).spawn()`. The call is
    /// the first one of the new job, which goes on by itself. Each replay and each further attempt gets the same ids, so start
    /// the same jobs in the same order in each.
    Result<std::string> spawn() {
        const char *job;
        if (brrr_error *error = brrr_spawn(&raw_, &job)) return fail(error);
        return std::string(job);
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

/// A call by name, to a task of this or any other worker, in any language: `call<int>("fib", {{"n", 11}})`.
template <typename T> Call<T> call(std::string_view task, std::initializer_list<Named> arguments = {}) {
    brrr_json *object = brrr_object_of(nullptr, 0);
    for (const Named &argument : arguments) brrr_set(object, argument.name, argument.value);
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

/// What somebody outside answers to this job's promise of that name: `promise<bool>("approval").await()`. It is waited for
/// like any call. When it is rejected, that is a failure of kind "rejected".
template <typename T> Call<T> promise(std::string_view name) {
    const char *kept = detail::keep(name);
    return Call<T>(brrr_call_bytes("brrr.promise", {reinterpret_cast<const std::uint8_t *>(kept), name.size()}));
}

} // namespace brrr

#endif
