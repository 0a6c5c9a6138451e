// Handlers of tasks; `brrr-host build` makes one component of all C++ files.
#include <brrr.hpp>
#include <cstdio>

std::string hello(std::string greetee) {
    std::string greeting = "Hello, " + greetee + "!";
    std::puts(greeting.c_str()); // appears on the worker's output
    return greeting;
}

struct Dice {
    std::vector<std::int64_t> rolls;
    std::int64_t sum;
};
BRRR_FIELDS(Dice, rolls, sum)

// The number of the roll only makes each a call of its own: the same call made twice is run once.
std::int64_t roll(std::int64_t) {
    return 1 + static_cast<std::int64_t>(brrr::random() % 6);
}

brrr::Result<Dice> dice(std::int64_t count);

// What others call a handler by, the names of its parameters, and how it is run. A leaf has the real clock and real
// random numbers: the place for all that is not the same every time.
constexpr brrr::Task<hello> hello_task{"hello", {"greetee"}};
constexpr brrr::Task<dice> dice_task{"dice", {"count"}};
constexpr brrr::Task<roll> roll_task{"roll", {"nth"}, {.leaf = true}};

// Run again from its beginning once the rolls are there, so it must come to the same calls again. The rolls are queued
// together, and each is run once, by whichever worker is free.
brrr::Result<Dice> dice(std::int64_t count) {
    std::vector<decltype(roll_task(0))> calls;
    for (std::int64_t nth = 0; nth < count; nth++) calls.push_back(roll_task(nth));
    Dice all{BRRR_TRY(brrr::gather(calls)), 0};
    for (std::int64_t points : all.rolls) all.sum += points;
    return all;
}

BRRR_WORKER(hello_task, dice_task, roll_task)
