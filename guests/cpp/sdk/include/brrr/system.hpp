/// Output, time and chance. std::printf, std::chrono's clocks and std::random_device work as well; the host replays
/// them.
#ifndef BRRR_SYSTEM_HPP
#define BRRR_SYSTEM_HPP

#include <brrr/codec.hpp>

#include <chrono>
#include <initializer_list>
#include <string_view>

namespace brrr {

enum class Level { Trace = BRRR_TRACE, Debug = BRRR_DEBUG, Info = BRRR_INFO, Warn = BRRR_WARN, Error = BRRR_ERROR };

/// Shows a message on the worker's output, once however often the handler is replayed.
inline void log(Level level, std::string_view message) {
    brrr_log(static_cast<brrr_level>(level), "%.*s", static_cast<int>(message.size()), message.data());
}

/// The same with fields, which loggers show beside the message: `log(Level::Info, "paid", {{"cents", 200}})`
inline void log(Level level, const std::string &message, std::initializer_list<Named> fields) {
    std::vector<brrr_pair> pairs;
    for (const Named &field : fields) pairs.push_back({field.name, field.value});
    brrr_log_pairs(static_cast<brrr_level>(level), message.c_str(), pairs.data(), pairs.size());
}

/// How long until this run is stopped, whatever it does. It differs from replay to replay, so nothing that is called or
/// returned may depend on it, except in a leaf.
inline std::chrono::milliseconds time_left() {
    return std::chrono::milliseconds(brrr_time_left_ms());
}

/// Is there any time left? For work that would rather stop early by itself.
inline bool is_active() {
    return brrr_is_active();
}

/// Durable: while it lasts, the handler does not exist. A leaf sleeps where it is.
inline void sleep(std::chrono::milliseconds time) {
    brrr_sleep_ms(static_cast<uint64_t>(time.count()));
}

/// A random number.
inline uint64_t random() {
    return brrr_random();
}

} // namespace brrr

#endif
