/// Types of your own as JSON: structs whose fields BRRR_FIELDS names, enums whose names BRRR_ENUM gives.
#ifndef BRRR_FIELDS_HPP
#define BRRR_FIELDS_HPP

#include <brrr/codec.hpp>

#include <algorithm>

namespace brrr {

namespace detail {

template <typename T> constexpr bool is_optional = false;
template <typename T> constexpr bool is_optional<std::optional<T>> = true;

/// The schema of an object whose values have names. What is optional may be left out.
class ObjectSchema {
  public:
    template <typename T> void add(const char *name) {
        brrr_set(properties_, name, brrr::schema<T>());
        if (!is_optional<T>) brrr_push(required_, brrr_text(name));
    }
    [[nodiscard]] brrr_json *schema() const {
        brrr_json *schema = type("object");
        brrr_set(schema, "properties", properties_);
        brrr_set(schema, "required", required_);
        return schema;
    }

  private:
    brrr_json *properties_ = brrr_object_of(nullptr, 0), *required_ = brrr_array_of(nullptr, 0);
};

/// A type that BRRR_FIELDS was given.
template <typename T>
concept Fields = requires(T &value) { brrr_fields(value, [](const char *, auto &) {}); };

/// A type that BRRR_ENUM was given.
template <typename T>
concept Enum = requires(T value) { brrr_enum(value, [](const char *, T) {}); };

/// How many names the macros below can go through.
constexpr std::size_t most_names = 64;

constexpr bool few_enough(std::string_view names) {
    return static_cast<std::size_t>(std::ranges::count(names, ',')) < most_names;
}

} // namespace detail

template <detail::Fields T> struct Codec<T> {
    static brrr_json *schema() {
        // A type may contain itself. Inside its own schema it is any object.
        static bool inside = false;
        if (inside) return detail::type("object");
        inside = true;
        detail::ObjectSchema object;
        T value{};
        brrr_fields(value, [&]<typename V>(const char *name, V &) { object.add<V>(name); });
        inside = false;
        return object.schema();
    }
    static brrr_json *write(const T &value) {
        brrr_json *object = brrr_object_of(nullptr, 0);
        brrr_fields(value, [&](const char *name, const auto &field) { brrr_set(object, name, to_json(field)); });
        return object;
    }
    static const char *read(Json json, T &to) {
        if (brrr_kind_of(json) != BRRR_OBJECT) return "expected an object";
        const char *problem = nullptr;
        brrr_fields(to, [&]<typename V>(const char *name, V &field) {
            if (problem != nullptr) return;
            const char *unfit = Codec<V>::read(brrr_get(json, name), field);
            if (unfit != nullptr) problem = brrr_format("%s: %s", name, unfit);
        });
        return problem;
    }
};

/// Its name, as text.
template <detail::Enum T> struct Codec<T> {
    static brrr_json *schema() {
        brrr_json *names = brrr_array_of(nullptr, 0), *schema = detail::type("string");
        brrr_enum(T(), [&](const char *name, T) { brrr_push(names, brrr_text(name)); });
        brrr_set(schema, "enum", names);
        return schema;
    }
    /// A value that has no name is written as null, which can't be read back.
    static brrr_json *write(T value) {
        const char *found = nullptr;
        brrr_enum(value, [&](const char *name, T one) { found = one == value ? name : found; });
        return brrr_text(found);
    }
    static const char *read(Json json, T &to) {
        std::string text, names;
        if (const char *problem = Codec<std::string>::read(json, text)) return problem;
        bool found = false;
        brrr_enum(to, [&](const char *name, T one) {
            names += (names.empty() ? "" : ", ") + std::string(name);
            if (text == name) to = one, found = true;
        });
        return found ? nullptr : brrr_format("expected one of %s", names.c_str());
    }
};

} // namespace brrr

/// Makes an object of a struct, in the struct's namespace: `BRRR_FIELDS(Point, x, y)`.
#define BRRR_FIELDS(Type, ...)                                                                              \
    template <typename V, typename F>                                                                       \
        requires std::same_as<std::remove_const_t<V>, Type>                                                 \
    void brrr_fields([[maybe_unused]] V &value, [[maybe_unused]] F &&each) {                                \
        static_assert(::brrr::detail::few_enough(#__VA_ARGS__), "BRRR_FIELDS takes up to 64 fields");       \
        BRRR_FOR_EACH_(BRRR_FIELD_, __VA_ARGS__)                                                            \
    }
/// Makes text of an enum, in the enum's namespace: `enum class Color { Red, Green }; BRRR_ENUM(Color, Red, Green)`.
#define BRRR_ENUM(Type, ...)                                                                                \
    template <std::same_as<Type> V, typename F> constexpr void brrr_enum(V, F &&each) {                     \
        static_assert(::brrr::detail::few_enough(#__VA_ARGS__), "BRRR_ENUM takes up to 64 names");          \
        BRRR_FOR_EACH_(BRRR_ENUMERATOR_, __VA_ARGS__)                                                       \
    }
#define BRRR_FIELD_(name) each(#name, value.name);
#define BRRR_ENUMERATOR_(name) each(#name, V::name);

// macro(a) macro(b) … A macro does not expand itself, so each step leaves a name and its parentheses apart, and a further scan
// of the whole puts them together: BRRR_SCAN_ scans often enough for 64 steps.
#define BRRR_FOR_EACH_(macro, ...) __VA_OPT__(BRRR_SCAN_(BRRR_STEP_(macro, __VA_ARGS__)))
#define BRRR_STEP_(macro, first, ...) macro(first) __VA_OPT__(BRRR_STEP_AGAIN_ BRRR_NOTHING_ (macro, __VA_ARGS__))
#define BRRR_STEP_AGAIN_() BRRR_STEP_
#define BRRR_NOTHING_ ()
#define BRRR_SCAN_(...) BRRR_SCAN_16_(BRRR_SCAN_16_(BRRR_SCAN_16_(BRRR_SCAN_16_(__VA_ARGS__))))
#define BRRR_SCAN_16_(...) BRRR_SCAN_4_(BRRR_SCAN_4_(BRRR_SCAN_4_(BRRR_SCAN_4_(__VA_ARGS__))))
#define BRRR_SCAN_4_(...) BRRR_SCAN_1_(BRRR_SCAN_1_(BRRR_SCAN_1_(BRRR_SCAN_1_(__VA_ARGS__))))
#define BRRR_SCAN_1_(...) __VA_ARGS__

#endif
