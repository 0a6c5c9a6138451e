/// Handlers as tasks: their parameters by name, and how they are run.
#ifndef BRRR_TASK_HPP
#define BRRR_TASK_HPP

#include <brrr/fields.hpp>
#include <brrr/wait.hpp>

namespace brrr {

/// The call at hand, for handlers that take it first, as `const brrr::App &`: task, call_hash, attempt, ….
using App = brrr_app;

/// How a task is run; what is not set is the worker's choice.
struct Options {
    /// How long one run may take.
    std::optional<std::chrono::milliseconds> timeout{};
    /// How often it is run again after a retryable error, a trap, or running out of time or memory.
    std::optional<std::uint32_t> max_retries{};
    /// The pause before the first of those, and the longest where they grow.
    std::optional<std::chrono::milliseconds> retry_delay{};
    std::optional<std::chrono::milliseconds> max_retry_delay{};
    std::optional<Backoff> backoff{};
    /// Runs of the task at once, in one worker.
    std::optional<std::uint32_t> max_running{};
    /// What one run may have; the worker may allow less.
    std::optional<std::uint64_t> memory_bytes{};
    /// It calls nobody, and has the real clock, sleep and random numbers.
    bool leaf = false;
    /// Who shares a call's value, where the call does not say.
    std::optional<Scope> scope{};
    /// A text for people.
    const char *description = nullptr;
    /// JSON Schemas (2020-12) of the arguments and of the value, in place of those that are made of the handler's types.
    const char *input_schema = nullptr;
    const char *output_schema = nullptr;
};

namespace detail {

/// Not constexpr: a task that gets here while it is compiled does not compile.
inline void every_parameter_needs_a_name() {}

template <typename R> struct Returned {
    using Value = R;
};
template <typename T> struct Returned<Result<T>> {
    using Value = T;
};

constexpr std::int64_t number(std::optional<std::chrono::milliseconds> time) {
    return time ? time->count() : -1;
}

/// `options` live as long as the program: the scope's text is in them.
constexpr brrr_task entry(const char *name, brrr_error *(*run)(brrr_app *), const Options &options,
                          brrr_json *(*schema)(bool of_value) = nullptr) {
    return {
        .name = name,
        .run = run,
        .timeout_ms = number(options.timeout),
        .max_retries = options.max_retries ? std::int64_t{*options.max_retries} : -1,
        .retry_delay_ms = number(options.retry_delay),
        .max_retry_delay_ms = number(options.max_retry_delay),
        .backoff = options.backoff ? static_cast<brrr_backoff>(*options.backoff) : BRRR_BACKOFF_DEFAULT,
        .max_running = options.max_running ? std::int64_t{*options.max_running} : -1,
        .memory_bytes = options.memory_bytes ? static_cast<std::int64_t>(*options.memory_bytes) : -1,
        .leaf = options.leaf,
        .scope = options.scope ? options.scope->text() : nullptr,
        .description = options.description,
        .input_schema = options.input_schema,
        .output_schema = options.output_schema,
        .schema = schema,
    };
}

template <typename T> brrr_error *give(brrr_app *app, const T &value) {
    return brrr_return_json(app, to_json(value));
}

inline brrr_error *give(brrr_app *app, Bytes value) {
    return brrr_return_bytes(app, {value.data(), value.size()});
}

/// Runs a handler and gives what it gave.
template <typename F> brrr_error *finish(brrr_app *app, F &&handler) {
    using R = decltype(handler());
    if constexpr (std::is_void_v<R>) {
        handler();
        return nullptr;
    } else if constexpr (std::same_as<R, Result<void>>) {
        R result = handler();
        return result ? nullptr : result.error().raw();
    } else if constexpr (!std::same_as<R, typename Returned<R>::Value>) {
        R result = handler();
        return result ? give(app, *result) : result.error().raw();
    } else {
        return give(app, handler());
    }
}

template <typename R, typename... P> struct Signature {
    using Value = typename Returned<R>::Value;
    static constexpr std::size_t count = sizeof...(P);
    using Names = std::array<const char *, count>;

    template <typename F> static brrr_error *run(brrr_app *app, const Names &names, F &&handler) {
        return run(app, names, handler, std::make_index_sequence<count>());
    }

    static Call<Value> call(const char *task, const Names &names, const std::decay_t<P> &...arguments) {
        brrr_json *object = brrr_object_of(nullptr, 0);
        std::size_t i = 0;
        (brrr_set(object, names[i++], to_json(arguments)), ...);
        return Call<Value>(brrr_call_json(task, object));
    }

    static brrr_json *schema(const Names &names, bool of_value) {
        if (of_value) return brrr::schema<Value>();
        ObjectSchema arguments;
        std::size_t i = 0;
        (arguments.add<std::decay_t<P>>(names[i++]), ...);
        return arguments.schema();
    }

  private:
    template <typename F, std::size_t... I>
    static brrr_error *run(brrr_app *app, const Names &names, F &&handler, std::index_sequence<I...>) {
        // One more than there are, as an array can't be empty. Unused where a handler has no parameters.
        [[maybe_unused]] std::array<Json, count + 1> given{};
        const brrr_parameter parameters[] = {
            {names[I], is_optional<std::decay_t<P>>, {BRRR_T_JSON, sizeof(Json), &given[I]}}..., {}};
        if (brrr_error *error = brrr_args_into(app, parameters, count)) return error;
        std::tuple<std::decay_t<P>...> arguments;
        const char *problem = nullptr, *name = nullptr;
        [[maybe_unused]] auto read = [&]<typename T>(Json json, T &to, const char *parameter) {
            if (problem != nullptr || (is_optional<T> && json == nullptr)) return;
            problem = Codec<T>::read(json, to);
            name = parameter;
        };
        (read(given[I], std::get<I>(arguments), names[I]), ...);
        if (problem != nullptr) return brrr_permanent("the arguments do not fit: %s: %s", name, problem);
        return finish(app, [&] { return handler(std::get<I>(std::move(arguments))...); });
    }
};

/// A handler's parameters without the App, and a way to run it.
template <typename F> struct Handled;
template <typename R, typename... P> struct Handled<R (*)(P...)> : Signature<R, P...> {
    static brrr_error *start(brrr_app *app, const typename Signature<R, P...>::Names &names, R (*handler)(P...)) {
        return Signature<R, P...>::run(app, names, handler);
    }
};
template <typename R, typename... P> struct Handled<R (*)(const App &, P...)> : Signature<R, P...> {
    static brrr_error *start(brrr_app *app, const typename Signature<R, P...>::Names &names, R (*handler)(const App &, P...)) {
        return Signature<R, P...>::run(app, names, [&](P... rest) { return handler(*app, std::move(rest)...); });
    }
};

} // namespace detail

/// A handler as a task: `constexpr brrr::Task<pay> pay_task{"pay", {"account", "cents"}, {.max_retries = 3}};`
///
/// A parameter that is a std::optional may be left out by callers; unknown arguments are refused. What it takes is owned
/// (std::string, not std::string_view). Calling the task makes a Call: `pay_task("a", 200).await()`.
template <auto Handler> class Task {
    using Handled = detail::Handled<decltype(Handler)>;
    using Names = typename Handled::Names;

  public:
    constexpr Task(const char *name, Names parameters = {}, Options options = {})
        : name_(name), parameters_(parameters), options_(options) {
        for (const char *parameter : parameters) {
            if (parameter == nullptr) detail::every_parameter_needs_a_name();
        }
    }

    template <typename... A> auto operator()(A &&...arguments) const {
        return Handled::call(name_, parameters_, std::forward<A>(arguments)...);
    }

    brrr_error *run(brrr_app *app) const { return Handled::start(app, parameters_, Handler); }
    brrr_json *schema(bool of_value) const { return Handled::schema(parameters_, of_value); }
    constexpr brrr_task entry(brrr_error *(*run)(brrr_app *), brrr_json *(*schema)(bool)) const {
        return detail::entry(name_, run, options_, schema);
    }

  private:
    const char *name_;
    Names parameters_;
    Options options_;
};

/// A handler of bytes, no JSON: `brrr::Bytes echo(const brrr::App &app, brrr::Bytes payload)`, or a Result of that. Calling
/// the task makes a Call<Bytes>; the bytes must live until that is waited for.
template <auto Handler> class RawTask {
  public:
    constexpr RawTask(const char *name, Options options = {}) : name_(name), options_(options) {}

    auto operator()(Bytes payload) const { return call_bytes(name_, payload); }

    brrr_error *run(brrr_app *app) const {
        return detail::finish(app, [&] { return Handler(*app, Bytes(app->payload.data, app->payload.size)); });
    }
    constexpr brrr_task entry(brrr_error *(*run)(brrr_app *), brrr_json *(*)(bool)) const {
        return detail::entry(name_, run, options_);
    }
    // Bytes have none.
    brrr_json *schema(bool) const { return nullptr; }

  private:
    const char *name_;
    Options options_;
};

namespace detail {

template <const auto &task> brrr_error *run(brrr_app *app) {
    return task.run(app);
}

template <const auto &task> brrr_json *schema_of(bool of_value) {
    return task.schema(of_value);
}

template <const auto &...tasks> constexpr std::array<brrr_task, sizeof...(tasks)> table() {
    return {tasks.entry(run<tasks>, schema_of<tasks>)...};
}

} // namespace detail

} // namespace brrr

/// The tasks of this worker, once in the program: `BRRR_WORKER(hello_task, fib_task)`
#define BRRR_WORKER(...)                                                       \
    static constexpr auto brrr_list_ = ::brrr::detail::table<__VA_ARGS__>(); \
    extern "C" {                                                               \
    const char *const brrr_sdk = "cpp";                                        \
    const brrr_task *const brrr_tasks = brrr_list_.data();                     \
    const size_t brrr_task_count = brrr_list_.size();                          \
    }

#endif
