/// How a handler fails, and how it sees a child fail.
#ifndef BRRR_ERROR_HPP
#define BRRR_ERROR_HPP

#include <brrr/codec.hpp>

#include <concepts>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace brrr {

namespace detail {

/// Text that lives until the run ends, with a NUL behind it.
inline const char *keep(std::string_view text) {
    auto *copy = static_cast<char *>(std::malloc(text.size() + 1));
    if (copy == nullptr) brrr_panic("out of memory");
    text.copy(copy, text.size());
    copy[text.size()] = '\0';
    return copy;
}

} // namespace detail

/// A call that ended without a value: kind, task, message, attempts, chain.
using Failure = brrr_failure;

/// What the handler attached to its error, if that is a T.
template <typename T> std::optional<T> details(const Failure &failure) {
    Json json = brrr_details(&failure);
    T value{};
    if (json == nullptr || Codec<T>::read(json, value) != nullptr) return std::nullopt;
    return value;
}

/// Why a handler failed.
class Error {
  public:
    /// Takes what the C SDK gives; never null.
    explicit Error(brrr_error *raw) : raw_(raw) {}

    [[nodiscard]] const char *message() const { return raw_->message; }
    /// The child's failure that this is; null for an error of the handler's own.
    [[nodiscard]] const Failure *failure() const { return raw_->type == brrr_error::BRRR_CHILD ? raw_->failure : nullptr; }
    /// What the child attached to its error, if this is a child's failure and that is a T.
    template <typename T> [[nodiscard]] std::optional<T> details() const {
        return failure() == nullptr ? std::nullopt : brrr::details<T>(*failure());
    }
    [[nodiscard]] brrr_error *raw() const { return raw_; }

  private:
    brrr_error *raw_;
};

/// What a handler that can fail gives.
template <typename T> using Result = std::expected<T, Error>;

/// An error that running the handler again may mend: `return brrr::retryable("no luck");`
inline std::unexpected<Error> retryable(std::string_view message) {
    return std::unexpected(Error(brrr_retryable("%s", detail::keep(message))));
}

/// An error that no further run can mend.
inline std::unexpected<Error> permanent(std::string_view message) {
    return std::unexpected(Error(brrr_permanent("%s", detail::keep(message))));
}

/// The same with what a caller's program can read of it: `return brrr::permanent("declined", Declined{code});`
template <typename T> std::unexpected<Error> retryable(std::string_view message, const T &details) {
    return std::unexpected(Error(brrr_with_details(retryable(message).error().raw(), to_json(details))));
}
template <typename T> std::unexpected<Error> permanent(std::string_view message, const T &details) {
    return std::unexpected(Error(brrr_with_details(permanent(message).error().raw(), to_json(details))));
}

/// An error on its way to the caller. The name is for the compiler's message about BRRR_TRY in any other function.
struct OnlyInAFunctionThatReturnsAResult {
    Error error;

    template <typename T, typename E>
        requires std::constructible_from<E, Error>
    operator std::expected<T, E>() const {
        return std::unexpected<E>(error);
    }
};

namespace detail {

template <typename T> constexpr bool is_result = false;
template <typename T> constexpr bool is_result<Result<T>> = true;

/// Of anything else, so that a mistake is one error of the compiler and no more.
template <typename T> auto result_of(T &&value) {
    if constexpr (is_result<std::remove_cvref_t<T>>) {
        return std::remove_cvref_t<T>(std::forward<T>(value));
    } else {
        static_assert(is_result<T>, "BRRR_TRY takes a brrr::Result; of a call write BRRR_TRY(call.await())");
        if constexpr (requires { value.await(); }) return value.await();
        else return Result<void>();
    }
}

template <typename T> T value_of(Result<T> &&result) {
    if constexpr (!std::is_void_v<T>) return *std::move(result);
}

} // namespace detail

} // namespace brrr

/// The value of a Result; its error is passed on to the caller: `auto n = BRRR_TRY(call.await());`
#define BRRR_TRY(...)                                                                                        \
    ({                                                                                                       \
        auto brrr_result_ = ::brrr::detail::result_of((__VA_ARGS__));                                        \
        if (!brrr_result_) return ::brrr::OnlyInAFunctionThatReturnsAResult{::std::move(brrr_result_).error()}; \
        ::brrr::detail::value_of(::std::move(brrr_result_));                                                 \
    })

#endif
