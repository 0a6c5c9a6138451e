/// Waiting for several calls: all of them, each of them, the first, or side by side. A wait has a form with a limit, which is
/// durable: the handler does not exist while it waits.
#ifndef BRRR_WAIT_HPP
#define BRRR_WAIT_HPP

#include <brrr/call.hpp>

#include <array>

namespace brrr {

namespace detail {

template <typename F, typename... T> auto together(F &&wait, Call<T> &...calls) {
    std::array<brrr_call, sizeof...(T)> all{calls.raw()...};
    auto result = wait(all.data(), all.size());
    std::size_t i = 0;
    ((calls.raw() = all[i++]), ...);
    return result;
}

template <typename F, typename T> auto together(F &&wait, std::vector<Call<T>> &calls) {
    std::vector<brrr_call> all;
    all.reserve(calls.size());
    for (auto &call : calls) all.push_back(call.raw());
    auto result = wait(all.data(), all.size());
    for (std::size_t i = 0; i < all.size(); i++) calls[i].raw() = all[i];
    return result;
}

/// Calls by themselves, or a std::vector of them.
template <typename... T> bool wait(std::int64_t limit, brrr_want want, T &...calls) {
    return together([&](brrr_call *all, std::size_t count) { return brrr_wait(all, count, want, limit); }, calls...);
}

/// The index of the first call that has its outcome, if one has.
template <typename... T> std::optional<std::size_t> ended(T &...calls) {
    return together(
        [](brrr_call *all, std::size_t count) -> std::optional<std::size_t> {
            for (std::size_t i = 0; i < count; i++) {
                if (all[i].done) return i;
            }
            return std::nullopt;
        },
        calls...);
}

/// The values of calls that all have their outcome; the first failure or misfit from the left.
template <typename... T> Result<std::tuple<T...>> values(Call<T> &...calls) {
    std::tuple<Result<T>...> results{calls.await()...};
    brrr_error *error = nullptr;
    std::apply([&](auto &...result) { ((error == nullptr && !result ? error = result.error().raw() : nullptr), ...); }, results);
    if (error != nullptr) return std::unexpected(Error(error));
    return std::apply([](auto &...result) { return std::tuple<T...>(*std::move(result)...); }, results);
}

template <typename T> Result<std::vector<T>> values(std::vector<Call<T>> &calls) {
    std::vector<T> values;
    values.reserve(calls.size());
    for (auto &call : calls) values.push_back(BRRR_TRY(call.await()));
    return values;
}

/// The first failure of these calls.
template <typename... T> brrr_error *failure(T &...calls) {
    return together(
        [](brrr_call *all, std::size_t count) -> brrr_error * {
            for (std::size_t i = 0; i < count; i++) {
                if (all[i].failure != nullptr) return brrr_child(all[i].failure);
            }
            return nullptr;
        },
        calls...);
}

template <typename V, typename... T> Result<std::optional<V>> gather_for(std::chrono::milliseconds limit, T &...calls) {
    if (!wait(limit.count(), BRRR_ALL, calls...)) return std::nullopt;
    if (brrr_error *error = failure(calls...)) return std::unexpected(Error(error));
    return BRRR_TRY(values(calls...));
}

} // namespace detail

/// Waits for all of these calls, which are queued together: their values as a tuple. It ends as soon as one has failed, with
/// the first failure from the left.
template <typename... T> Result<std::tuple<T...>> gather(Call<T>... calls) {
    detail::wait(BRRR_NO_LIMIT, BRRR_ALL, calls...);
    if (brrr_error *error = detail::failure(calls...)) return std::unexpected(Error(error));
    return detail::values(calls...);
}

/// The same for any number of calls: their values in order.
template <typename T> Result<std::vector<T>> gather(std::vector<Call<T>> calls) {
    detail::wait(BRRR_NO_LIMIT, BRRR_ALL, calls);
    if (brrr_error *error = detail::failure(calls)) return std::unexpected(Error(error));
    return detail::values(calls);
}

/// The same, waited for at most so long: no values when that was not enough.
template <typename... T>
Result<std::optional<std::tuple<T...>>> gather_for(std::chrono::milliseconds limit, Call<T>... calls) {
    return detail::gather_for<std::tuple<T...>>(limit, calls...);
}
template <typename T>
Result<std::optional<std::vector<T>>> gather_for(std::chrono::milliseconds limit, std::vector<Call<T>> calls) {
    return detail::gather_for<std::vector<T>>(limit, calls);
}

/// Waits until each of these calls has its outcome, a value or a failure; awaiting one then gives it.
template <typename... T> void settle(Call<T> &...calls) {
    detail::wait(BRRR_NO_LIMIT, sizeof...(T), calls...);
}
template <typename T> void settle(std::vector<Call<T>> &calls) {
    detail::wait(BRRR_NO_LIMIT, static_cast<brrr_want>(calls.size()), calls);
}

/// The same, at most so long: whether all were in time. The others are not `done`.
template <typename... T> bool settle_for(std::chrono::milliseconds limit, Call<T> &...calls) {
    return detail::wait(limit.count(), sizeof...(T), calls...);
}
template <typename T> bool settle_for(std::chrono::milliseconds limit, std::vector<Call<T>> &calls) {
    return detail::wait(limit.count(), static_cast<brrr_want>(calls.size()), calls);
}

/// A race: waits for the first of the calls to have an outcome; gives its index, the same in every replay. The rest go on.
template <typename... T> std::size_t first(Call<T> &...calls) {
    return detail::together([](brrr_call *all, std::size_t count) { return brrr_first(all, count); }, calls...);
}
template <typename T> std::size_t first(std::vector<Call<T>> &calls) {
    return detail::together([](brrr_call *all, std::size_t count) { return brrr_first(all, count); }, calls);
}

/// The same, at most so long: no index when none was in time.
template <typename... T> std::optional<std::size_t> first_for(std::chrono::milliseconds limit, Call<T> &...calls) {
    detail::wait(limit.count(), 1, calls...);
    return detail::ended(calls...);
}
template <typename T> std::optional<std::size_t> first_for(std::chrono::milliseconds limit, std::vector<Call<T>> &calls) {
    detail::wait(limit.count(), 1, calls);
    return detail::ended(calls);
}

/// Waits for `need` of the calls; the others are not `done`.
template <typename T> void first_n(std::size_t need, std::vector<Call<T>> &calls) {
    detail::together([need](brrr_call *all, std::size_t count) { return brrr_first_n(need, all, count), true; }, calls);
}

/// For chains that go on independently of each other: the index of a call that has its outcome, each call once; no index when
/// all were given. Put the chain's next call in its place, and ask again.
template <typename T> std::optional<std::size_t> next(std::vector<Call<T>> &calls) {
    std::size_t index = detail::together([](brrr_call *all, std::size_t count) { return brrr_next(all, count); }, calls);
    return index < calls.size() ? std::optional(index) : std::nullopt;
}

} // namespace brrr

#endif
