/// Task handlers for brrr-host in C++23, on top of the C SDK (<brrr.h>, which works here as well, but for its macros).
///
///     brrr::Result<std::int64_t> fib(std::int64_t n);
///     constexpr brrr::Task<fib> fib_task{"fib", {"n"}};
///
///     brrr::Result<std::int64_t> fib(std::int64_t n) {
///         if (n < 2) return n;
///         auto [a, b] = BRRR_TRY(brrr::gather(fib_task(n - 2), fib_task(n - 1)));
///         return a + b;
///     }
///
///     BRRR_WORKER(fib_task)
///
/// | header | what it holds |
/// |---|---|
/// | brrr/error.hpp | Result, Error, BRRR_TRY: retry or give up, catch or pass on |
/// | brrr/codec.hpp | what is written as JSON and read from it, and its JSON Schema |
/// | brrr/containers.hpp, brrr/fields.hpp | more of the library's types; BRRR_FIELDS and BRRR_ENUM for types of your own |
/// | brrr/call.hpp | Call and its options, promise |
/// | brrr/wait.hpp | several calls: gather, settle, first, next; with a limit: gather_for, settle_for, first_for |
/// | brrr/options.hpp | Scope, Backoff |
/// | brrr/task.hpp | Task, Options, BRRR_WORKER |
/// | brrr/http.hpp | requests, one or several at once; env: variables |
/// | brrr/system.hpp | log, clock, sleep, random numbers, time left |
#ifndef BRRR_HPP
#define BRRR_HPP

#include <brrr/call.hpp>
#include <brrr/codec.hpp>
#include <brrr/containers.hpp>
#include <brrr/error.hpp>
#include <brrr/fields.hpp>
#include <brrr/http.hpp>
#include <brrr/options.hpp>
#include <brrr/system.hpp>
#include <brrr/task.hpp>
#include <brrr/wait.hpp>

#endif
