#include <brrr.hpp>
#include <cstdio>

std::string hello(std::string greetee) {
    std::string greeting = "Hello, " + greetee + "!";
    std::puts(greeting.c_str()); // appears on the worker's output
    return greeting;
}

brrr::Result<std::int64_t> fib(std::int64_t n);

// What others call a handler by, the names of its parameters, and how it is run.
constexpr brrr::Task<hello> hello_task{"hello", {"greetee"}};
constexpr brrr::Task<fib> fib_task{"fib", {"n"}, {.max_retries = 3}};

// Looks recursive, runs as a graph: every fib(n) is a call of its own, run once and remembered.
brrr::Result<std::int64_t> fib(std::int64_t n) {
    if (n < 2) return n;
    auto [a, b] = BRRR_TRY(brrr::gather(fib_task(n - 2), fib_task(n - 1))); // two calls, queued together
    return a + b;
}

BRRR_WORKER(hello_task, fib_task)
