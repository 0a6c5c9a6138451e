/// What is written as JSON and read from it: numbers, bool, text, std::optional, std::vector, std::map with text as keys,
/// std::tuple (a list), and JSON itself. <brrr/containers.hpp> has more of the library's types, <brrr/fields.hpp> types of your
/// own.
#ifndef BRRR_CODEC_HPP
#define BRRR_CODEC_HPP

#include <brrr.h>

#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace brrr {

/// A payload or value that is no JSON. Those that the SDK gives live until the run ends.
using Bytes = std::span<const std::uint8_t>;

/// Any JSON; see <brrr.h> for looking into it.
using Json = const brrr_json *;

/// How a T becomes JSON and back: `static brrr_json *write(const T &)`, and `static const char *read(Json, T &)`, which
/// gives null or why it does not fit. Its JSON Schema, if it has one, is `static brrr_json *schema()`.
template <typename T> struct Codec;

namespace detail {

/// The schema of a type of JSON.
inline brrr_json *type(const char *name) {
    brrr_json *schema = brrr_object_of(nullptr, 0);
    brrr_set(schema, "type", brrr_text(name));
    return schema;
}

} // namespace detail

/// A value as JSON.
template <typename T> brrr_json *to_json(const T &value) {
    return Codec<std::decay_t<T>>::write(value);
}

/// A value by its name: an argument of a call, a field of a log message.
struct Named {
    const char *name;
    brrr_json *value;

    template <typename T> Named(const char *name, const T &value) : name(name), value(to_json(value)) {}
};

/// The JSON Schema of a T; `{}`, anything, of types that have none.
template <typename T> brrr_json *schema() {
    if constexpr (std::is_void_v<T>) return detail::type("null");
    else if constexpr (requires { Codec<T>::schema(); }) return Codec<T>::schema();
    else return brrr_object_of(nullptr, 0);
}

namespace detail {

template <typename T> brrr_target target(brrr_type type, T &to) {
    return {type, sizeof to, &to};
}

} // namespace detail

template <> struct Codec<bool> {
    static brrr_json *schema() { return detail::type("boolean"); }
    static brrr_json *write(bool value) { return brrr_bool(value); }
    static const char *read(Json json, bool &to) { return brrr_read_into(json, detail::target(BRRR_T_BOOL, to)); }
};

template <std::signed_integral T> struct Codec<T> {
    static brrr_json *schema() { return detail::type("integer"); }
    static brrr_json *write(T value) { return brrr_int(value); }
    static const char *read(Json json, T &to) { return brrr_read_into(json, detail::target(BRRR_T_INT, to)); }
};

template <std::unsigned_integral T> struct Codec<T> {
    static brrr_json *schema() {
        brrr_json *schema = detail::type("integer");
        brrr_set(schema, "minimum", brrr_int(0));
        return schema;
    }
    static brrr_json *write(T value) { return brrr_uint(value); }
    static const char *read(Json json, T &to) { return brrr_read_into(json, detail::target(BRRR_T_UINT, to)); }
};

template <std::floating_point T> struct Codec<T> {
    static_assert(sizeof(T) <= sizeof(double));
    static brrr_json *schema() { return detail::type("number"); }
    static brrr_json *write(T value) { return brrr_double(value); }
    static const char *read(Json json, T &to) {
        return brrr_read_into(json, detail::target(sizeof(T) == sizeof(float) ? BRRR_T_FLOAT : BRRR_T_DOUBLE, to));
    }
};

template <> struct Codec<std::string_view> {
    static brrr_json *schema() { return detail::type("string"); }
    static brrr_json *write(std::string_view text) { return brrr_text_n({text.data(), text.size()}); }
};

template <> struct Codec<std::string> {
    static brrr_json *schema() { return detail::type("string"); }
    static brrr_json *write(const std::string &text) { return brrr_text_n({text.data(), text.size()}); }
    static const char *read(Json json, std::string &to) {
        brrr_string text;
        const char *problem = brrr_read_into(json, detail::target(BRRR_T_STRING, text));
        if (problem == nullptr) to.assign(text.data, text.size);
        return problem;
    }
};

template <> struct Codec<const char *> {
    static brrr_json *schema() { return detail::type("string"); }
    static brrr_json *write(const char *text) { return brrr_text(text); }
};

template <> struct Codec<char *> : Codec<const char *> {};

template <> struct Codec<Json> {
    static brrr_json *write(Json json) { return brrr_self(json); }
    static const char *read(Json json, Json &to) { return brrr_read_into(json, detail::target(BRRR_T_JSON, to)); }
};

template <> struct Codec<brrr_json *> : Codec<Json> {};

template <> struct Codec<std::nullopt_t> {
    static brrr_json *write(std::nullopt_t) { return brrr_null(); }
};

/// Nothing is null.
template <typename T> struct Codec<std::optional<T>> {
    static brrr_json *schema() {
        brrr_json *schema = brrr_object_of(nullptr, 0), *either[] = {brrr::schema<T>(), detail::type("null")};
        brrr_set(schema, "anyOf", brrr_array_of(either, 2));
        return schema;
    }
    static brrr_json *write(const std::optional<T> &value) { return value ? to_json(*value) : brrr_null(); }
    static const char *read(Json json, std::optional<T> &to) {
        to.reset();
        return brrr_kind_of(json) == BRRR_NULL ? nullptr : Codec<T>::read(json, to.emplace());
    }
};

template <typename T> struct Codec<std::vector<T>> {
    static brrr_json *schema() {
        brrr_json *schema = detail::type("array");
        brrr_set(schema, "items", brrr::schema<T>());
        return schema;
    }
    static brrr_json *write(const std::vector<T> &values) {
        brrr_json *array = brrr_array_of(nullptr, 0);
        for (const auto &value : values) brrr_push(array, to_json<T>(value));
        return array;
    }
    static const char *read(Json json, std::vector<T> &to) {
        if (json == nullptr || brrr_kind_of(json) != BRRR_ARRAY) return "expected an array";
        to.clear();
        for (std::size_t i = 0; i < brrr_count(json); i++) {
            T value{};
            if (const char *problem = Codec<T>::read(brrr_at(json, i), value)) return problem;
            to.push_back(std::move(value));
        }
        return nullptr;
    }
};

template <typename T> struct Codec<std::map<std::string, T>> {
    static brrr_json *schema() {
        brrr_json *schema = detail::type("object");
        brrr_set(schema, "additionalProperties", brrr::schema<T>());
        return schema;
    }
    static brrr_json *write(const std::map<std::string, T> &values) {
        brrr_json *object = brrr_object_of(nullptr, 0);
        for (const auto &[key, value] : values) brrr_set_n(object, {key.data(), key.size()}, to_json(value));
        return object;
    }
    static const char *read(Json json, std::map<std::string, T> &to) {
        if (json == nullptr || brrr_kind_of(json) != BRRR_OBJECT) return "expected an object";
        to.clear();
        for (std::size_t i = 0; i < brrr_count(json); i++) {
            brrr_string key = brrr_key_n(json, i);
            if (const char *problem = Codec<T>::read(brrr_at(json, i), to[std::string(key.data, key.size)])) return problem;
        }
        return nullptr;
    }
};

template <typename... T> struct Codec<std::tuple<T...>> {
    static brrr_json *schema() {
        brrr_json *schema = detail::type("array"), *items[] = {brrr::schema<T>()..., nullptr};
        brrr_set(schema, "prefixItems", brrr_array_of(items, sizeof...(T)));
        brrr_set(schema, "minItems", brrr_uint(sizeof...(T)));
        brrr_set(schema, "maxItems", brrr_uint(sizeof...(T)));
        return schema;
    }
    static brrr_json *write(const std::tuple<T...> &values) {
        brrr_json *array = brrr_array_of(nullptr, 0);
        std::apply([&](const auto &...value) { (brrr_push(array, to_json(value)), ...); }, values);
        return array;
    }
    static const char *read(Json json, std::tuple<T...> &to) {
        if (brrr_kind_of(json) != BRRR_ARRAY || brrr_count(json) != sizeof...(T)) return "expected an array of that length";
        const char *problem = nullptr;
        std::size_t i = 0;
        auto read_one = [&]<typename V>(V &value) {
            if (problem == nullptr) problem = Codec<V>::read(brrr_at(json, i++), value);
        };
        std::apply([&](auto &...value) { (read_one(value), ...); }, to);
        return problem;
    }
};

} // namespace brrr

#endif
