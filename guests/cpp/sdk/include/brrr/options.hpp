/// What calls and tasks are run by: pauses, and who shares a value.
#ifndef BRRR_OPTIONS_HPP
#define BRRR_OPTIONS_HPP

#include <brrr.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace brrr {

/// How the pauses before retries grow: all alike, or each twice the one before.
enum class Backoff { Fixed = BRRR_FIXED, Exponential = BRRR_EXPONENTIAL };

/// Who shares a call's value: `Scope::fleet`, every job; `Scope::job`, this job; a duration such as `15min`: every job, for
/// at most that long.
class Scope {
  public:
    static const Scope fleet, job;

    template <typename R, typename P> constexpr Scope(std::chrono::duration<R, P> time) {
        auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
        bool whole = ms % 1000 == 0;
        add_number(static_cast<std::uint64_t>(whole ? ms / 1000 : ms));
        add(whole ? "s" : "ms");
    }

    /// As the host takes it.
    [[nodiscard]] constexpr const char *text() const { return text_.data(); }

  private:
    constexpr explicit Scope(std::string_view text) { add(text); }

    constexpr void add(std::string_view text) {
        for (char c : text) text_[size_++] = c;
    }
    constexpr void add_number(std::uint64_t number) {
        if (number >= 10) add_number(number / 10);
        text_[size_++] = static_cast<char>('0' + number % 10);
    }

    // The digits of a number, its unit, and a NUL.
    std::array<char, 24> text_{};
    std::size_t size_ = 0;
};

inline constexpr Scope Scope::fleet{"fleet"};
inline constexpr Scope Scope::job{"job"};

} // namespace brrr

#endif
