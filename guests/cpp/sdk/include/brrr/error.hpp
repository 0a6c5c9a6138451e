/// How a handler fails, and how it sees a child fail.
#ifndef BRRR_ERROR_HPP
#define BRRR_ERROR_HPP

#include <brrr.h>

#include <expected>
#include <string>
#include <string_view>

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

/// Why a handler failed.
class Error {
  public:
    /// Takes what the C SDK gives; never null.
    explicit Error(brrr_error *raw) : raw_(raw) {}

    [[nodiscard]] const char *message() const { return raw_->message; }
    /// The child's failure that this is; null for an error of the handler's own.
    [[nodiscard]] const Failure *failure() const { return raw_->type == brrr_error::BRRR_CHILD ? raw_->failure : nullptr; }
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

} // namespace brrr

/// The value of a Result; its error is passed on to the caller: `auto n = BRRR_TRY(call.await());`
#define BRRR_TRY(...)                                                             \
    ({                                                                            \
        auto brrr_result_ = (__VA_ARGS__);                                        \
        if (!brrr_result_) return ::std::unexpected(::std::move(brrr_result_).error()); \
        ::brrr::detail::value_of(::std::move(brrr_result_));                      \
    })

namespace brrr::detail {

template <typename T> T value_of(Result<T> &&result) {
    if constexpr (!std::is_void_v<T>) return *std::move(result);
}

} // namespace brrr::detail

#endif
