/// What an author sees of a fault.
#include <algorithm>
#include <cstdio>
#include <limits>
#include <string>

#if __has_include(<format>)
#include <format>
#endif

#include "tasks.hpp"

/// Up to the middle of the first character of four bytes.
static string up_to_the_middle(const string &text) {
    auto first = std::ranges::find_if(text, [](char c) { return static_cast<unsigned char>(c) >= 0xf0; });
    auto size = static_cast<std::size_t>(first - text.begin());
    return text.substr(0, first == text.end() ? size : size + 2);
}

Result<string> cut(string kind, string text) {
    string part = "cut: " + up_to_the_middle(text);
    if (kind == "output") std::puts(part.c_str());
    if (kind == "log") brrr::log(brrr::Level::Warn, part);
    if (kind == "error") return brrr::retryable(part);
    if (kind == "permanent") return brrr::permanent(part);
    return "done";
}

static Result<int64_t> inner() {
    return brrr::retryable("inner trouble");
}

/// Without exceptions there is nothing that nests: an error is its message.
Result<void> causes() {
    auto result = inner();
    if (!result) return brrr::retryable(string("outer trouble: ") + result.error().message());
    return {};
}

Result<void> several() {
    vector<brrr::Error> errors{brrr::retryable("first trouble").error(), brrr::retryable("second trouble").error()};
    string message = std::to_string(errors.size()) + " errors";
    for (const auto &error : errors) message += string("; ") + error.message();
    return brrr::retryable(message);
}

/// The library ends the run with its own words.
int64_t to_number(string text) {
    return std::stoi(text);
}

/// The library of GCC 12, with which the SDK's own tests run natively, has no <format>.
string format_number(int64_t n) {
#if __has_include(<format>)
    return std::format("{}", n);
#else
    return std::to_string(n);
#endif
}

void nothing() {}

Values no_number() {
    return {{1, std::numeric_limits<double>::quiet_NaN()}};
}

/// Debian's C++ library for wasm has no std::chrono::locate_zone, and localtime gives UTC whatever TZ is.
Result<string> zone() {
    return brrr::permanent("Europe/Zurich is not known: the C library for WASI has no time zones; take the offset as an "
                           "argument, or let a task in another language convert it");
}
