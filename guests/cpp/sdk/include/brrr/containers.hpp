/// More of the library's containers as JSON: std::array, std::pair and std::set (lists), std::unordered_map with text as keys.
#ifndef BRRR_CONTAINERS_HPP
#define BRRR_CONTAINERS_HPP

#include <brrr/codec.hpp>

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>

namespace brrr {

template <typename T, std::size_t N> struct Codec<std::array<T, N>> {
    static brrr_json *schema() {
        brrr_json *schema = Codec<std::vector<T>>::schema();
        brrr_set(schema, "minItems", brrr_uint(N));
        brrr_set(schema, "maxItems", brrr_uint(N));
        return schema;
    }
    static brrr_json *write(const std::array<T, N> &values) {
        brrr_json *array = brrr_array_of(nullptr, 0);
        for (const auto &value : values) brrr_push(array, to_json<T>(value));
        return array;
    }
    static const char *read(Json json, std::array<T, N> &to) {
        std::vector<T> values;
        if (const char *problem = Codec<std::vector<T>>::read(json, values)) return problem;
        if (values.size() != N) return "expected an array of that length";
        std::ranges::move(values, to.begin());
        return nullptr;
    }
};

template <typename A, typename B> struct Codec<std::pair<A, B>> {
    static brrr_json *schema() { return Codec<std::tuple<A, B>>::schema(); }
    static brrr_json *write(const std::pair<A, B> &pair) { return to_json(std::tuple<A, B>(pair)); }
    static const char *read(Json json, std::pair<A, B> &to) {
        std::tuple<A, B> both;
        const char *problem = Codec<std::tuple<A, B>>::read(json, both);
        if (problem == nullptr) to = {std::get<0>(std::move(both)), std::get<1>(std::move(both))};
        return problem;
    }
};

template <typename T> struct Codec<std::set<T>> {
    static brrr_json *schema() {
        brrr_json *schema = Codec<std::vector<T>>::schema();
        brrr_set(schema, "uniqueItems", brrr_bool(true));
        return schema;
    }
    static brrr_json *write(const std::set<T> &values) { return to_json(std::vector<T>(values.begin(), values.end())); }
    static const char *read(Json json, std::set<T> &to) {
        std::vector<T> values;
        const char *problem = Codec<std::vector<T>>::read(json, values);
        to = std::set<T>(values.begin(), values.end());
        return problem;
    }
};

/// Its keys are sorted when they are written, so that a call with it is the same call in every replay.
template <typename T> struct Codec<std::unordered_map<std::string, T>> {
    using Map = std::map<std::string, T>;

    static brrr_json *schema() { return Codec<Map>::schema(); }
    static brrr_json *write(const std::unordered_map<std::string, T> &values) {
        return to_json(Map(values.begin(), values.end()));
    }
    static const char *read(Json json, std::unordered_map<std::string, T> &to) {
        Map values;
        const char *problem = Codec<Map>::read(json, values);
        to = {values.begin(), values.end()};
        return problem;
    }
};

} // namespace brrr

#endif
