/// Output, clock, sleep, random numbers; and what there is none of.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>

#include "tasks.hpp"

Result<string> prints(string line) {
    std::printf("before %s\n", line.c_str());
    brrr::log(brrr::Level::Warn, "warning " + line);
    BRRR_TRY(leaf_task(1).await());
    std::printf("after %s\n", line.c_str());
    return line;
}

static int64_t now_ms() {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()).time_since_epoch().count();
}

/// Below 2^53.
static int64_t random_int() {
    std::random_device source;
    return static_cast<int64_t>((std::uint64_t{source()} << 32 | source()) >> 11);
}

Result<tuple<int64_t, int64_t>> wall_clock() {
    int64_t time = now_ms();
    return tuple(time, BRRR_TRY(leaf_task(time).await()));
}

Result<int64_t> sleeps(int64_t ms) {
    int64_t before = now_ms();
    brrr::sleep(std::chrono::milliseconds(ms));
    return leaf_task(now_ms() - before).await();
}

Result<tuple<int64_t, int64_t, int64_t>> random_numbers() {
    int64_t first = random_int();
    int64_t given = BRRR_TRY(leaf_task(first).await());
    return tuple(first, given, random_int());
}

Real real(int64_t ms) {
    int64_t before = now_ms();
    brrr::sleep(std::chrono::milliseconds(ms));
    return {before, now_ms(), random_int()};
}

double sleeper(double seconds) {
    int64_t before = now_ms();
    brrr::sleep(std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000)));
    return static_cast<double>(now_ms() - before) / 1000;
}

static string attempt(const string &path, const char *mode) {
    std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path.c_str(), mode), std::fclose);
    return file ? "got it" : string("refused: ") + std::strerror(errno);
}

extern "C" char **environ;

Forbidden forbidden(int64_t, string path) {
    string files = attempt(path, "r"), written = attempt(path + ".new", "w");
    vector<string> environment;
    for (char **entry = environ; entry != nullptr && *entry != nullptr; entry++) environment.emplace_back(*entry);
    // The C library for WASI has neither socket nor connect.
    return {"absent", written == "got it" ? written : files, environment};
}
