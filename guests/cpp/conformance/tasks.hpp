/// The tasks of this guest: guests/CONFORMANCE.md says what each does.
#ifndef TASKS_HPP
#define TASKS_HPP

#include <brrr.hpp>

using brrr::App;
using brrr::Result;
using std::int64_t;
using std::map;
using std::optional;
using std::string;
using std::tuple;
using std::vector;
using namespace std::chrono_literals;

// graph.cpp
void noop();
string hello(string greetee);
int64_t leaf(int64_t i);
string big_result(std::size_t bytes);
Result<int64_t> fib(int64_t n, optional<string> salt);
Result<vector<string>> spawns(int64_t n);
Result<tuple<string, string>> spawns_between();
Result<int64_t> fan_out(int64_t n);
Result<vector<int64_t>> gather(int64_t n);
Result<int64_t> sequential(int64_t n);
Result<vector<int64_t>> chains(int64_t n);
Result<tuple<std::size_t, int64_t, int64_t>> race(string slow, string gate);
Result<vector<optional<int64_t>>> race_of(std::size_t need, int64_t n);

// failures.cpp
struct Caught {
    string kind, task, message;
    int64_t fine;
};
struct Seen {
    string kind, task, message;
    std::uint32_t attempts;
};
struct Attempt {
    std::uint32_t attempt;
};
BRRR_FIELDS(Caught, kind, task, message, fine)
BRRR_FIELDS(Seen, kind, task, message, attempts)
BRRR_FIELDS(Attempt, attempt)
Result<int64_t> fails(string message);
Result<Caught> catches(string message);
Result<int64_t> fails_child(string message);
Result<void> unknown_child();
Result<void> stubborn();
Result<int64_t> always_fails();
Result<Seen> calls_always_fails(bool catches);
Result<Attempt> flaky(const App &app, std::uint32_t until);

// errors.cpp
struct Values {
    vector<double> values;
};
BRRR_FIELDS(Values, values)
Result<string> cut(string kind, string text);
Result<void> causes();
Result<void> several();
int64_t to_number(string text);
string format_number(int64_t n);
void nothing();
Values no_number();
Result<string> zone();

// limits.cpp
void full_options();
void loops();
Result<string> with_options();
string patient();
Result<void> grows();
int64_t recurses();

// edges.cpp
struct About {
    string task, call_hash, root_id, topic;
    std::uint32_t attempt;
    bool has_deadline;
};
BRRR_FIELDS(About, task, call_hash, root_id, topic, attempt, has_deadline)
brrr::Bytes echo(const App &app, brrr::Bytes payload);
Result<tuple<std::size_t, bool>> call_raw(std::size_t bytes);
Result<int64_t> call_topic(string topic, int64_t i);
Result<tuple<int64_t, int64_t>> call_hash(string hash);
Result<brrr::Json> relays(string task, optional<string> topic, brrr::Json args);
About about(const App &app);
string cpp_greet(string name);
Result<vector<string>> cpp_gather(string name, vector<string> tasks, vector<optional<string>> topics);

// time.cpp
struct Rejected {
    string kind, message;
};
BRRR_FIELDS(Rejected, kind, message)
string nap(int64_t ms, string tag);
Result<vector<string>> sides(int64_t ms, string salt);
Result<void> fail_fast(int64_t ms, string salt);
Result<string> too_late(int64_t ms, int64_t limit, string tag);
Result<tuple<string, string>> twice_late(int64_t ms, int64_t limit, string tag);
Result<brrr::Json> asks(string name, int64_t limit);
Result<brrr::Json> asks_or(string name, int64_t ms, string tag);
Result<Rejected> asks_caught(string name);

// identity.cpp
struct Code {
    int64_t code;
};
BRRR_FIELDS(Code, code)
int64_t dice(int64_t i);
Result<int64_t> scoped(optional<string> scope, int64_t i);
Result<void> attaches(int64_t code);
Result<int64_t> reads_details(int64_t code);
void logs_fields();
string described(string text, int64_t times);

// world.cpp
struct Real {
    int64_t before, after, random;
};
struct Forbidden {
    string network, files;
    vector<string> environment;
};
BRRR_FIELDS(Real, before, after, random)
BRRR_FIELDS(Forbidden, network, files, environment)
Result<string> prints(string line);
Result<tuple<int64_t, int64_t>> wall_clock();
Result<int64_t> sleeps(int64_t ms);
Result<tuple<int64_t, int64_t, int64_t>> random_numbers();
Real real(int64_t ms);
double sleeper(double seconds);
Forbidden forbidden(int64_t port, string path);

// allowed.cpp
struct Got {
    int status;
    string body;
};
BRRR_FIELDS(Got, status, body)
Result<Got> http_get(string url);
Result<Got> http_send(string method, string url, map<string, string> headers, string body);
Result<vector<string>> http_several(vector<string> urls);
Result<tuple<string, int64_t>> http_beside(string url, int64_t i);
string http_caught(string url);
string env_get(string key);
string file_read(string path);
string file_write(string path, string text);

constexpr brrr::Task<noop> noop_task{"noop"};
constexpr brrr::Task<hello> hello_task{"hello", {"greetee"}};
constexpr brrr::Task<leaf> leaf_task{"leaf", {"i"}};
constexpr brrr::Task<big_result> big_result_task{"big_result", {"bytes"}};
constexpr brrr::Task<fib> fib_task{"fib", {"n", "salt"}};
constexpr brrr::Task<spawns> spawns_task{"spawns", {"n"}};
constexpr brrr::Task<spawns_between> spawns_between_task{"spawns_between"};
constexpr brrr::Task<fan_out> fan_out_task{"fan_out", {"n"}};
constexpr brrr::Task<gather> gather_task{"gather", {"n"}};
constexpr brrr::Task<sequential> sequential_task{"sequential", {"n"}};
constexpr brrr::Task<chains> chains_task{"chains", {"n"}};
constexpr brrr::Task<race> race_task{"race", {"slow", "gate"}};
constexpr brrr::Task<race_of> race_of_task{"race_of", {"need", "n"}};
constexpr brrr::Task<fails> fails_task{"fails", {"message"}, {.max_retries = 0}};
constexpr brrr::Task<catches> catches_task{"catches", {"message"}};
constexpr brrr::Task<fails_child> fails_child_task{"fails_child", {"message"}};
constexpr brrr::Task<unknown_child> unknown_child_task{"unknown_child"};
constexpr brrr::Task<stubborn> stubborn_task{"stubborn", {}, {.max_retries = 3}};
constexpr brrr::Task<always_fails> always_fails_task{"always_fails", {}, {.max_retries = 2, .retry_delay = 10ms}};
constexpr brrr::Task<calls_always_fails> calls_always_fails_task{"calls_always_fails", {"catch"}, {.max_retries = 5}};
constexpr brrr::Task<flaky> flaky_task{
    "flaky", {"until"}, {.max_retries = 3, .retry_delay = 10ms, .backoff = brrr::Backoff::Fixed}};
constexpr brrr::Task<cut> cut_task{"cut", {"kind", "text"}, {.max_retries = 1, .retry_delay = 10ms}};
constexpr brrr::Task<causes> causes_task{"causes", {}, {.max_retries = 0}};
constexpr brrr::Task<several> several_task{"several", {}, {.max_retries = 0}};
constexpr brrr::Task<to_number> to_number_task{"to_number", {"text"}, {.max_retries = 0}};
constexpr brrr::Task<format_number> format_number_task{"format_number", {"n"}};
constexpr brrr::Task<nothing> nothing_task{"nothing"};
constexpr brrr::Task<no_number> no_number_task{"no_number", {}, {.max_retries = 1, .retry_delay = 10ms}};
constexpr brrr::Task<zone> zone_task{"zone"};
constexpr brrr::Task<full_options> full_options_task{"full_options",
                                                     {},
                                                     {.timeout = 10s,
                                                      .max_retries = 1,
                                                      .retry_delay = 10ms,
                                                      .max_retry_delay = 1s,
                                                      .backoff = brrr::Backoff::Exponential,
                                                      .max_running = 2,
                                                      .memory_bytes = 128 << 20}};
constexpr brrr::Task<loops> loops_task{"loops"};
constexpr brrr::Task<loops> spin_task{"spin_briefly_limited", {}, {.timeout = 300ms, .max_retries = 0}};
constexpr brrr::Task<with_options> with_options_task{"with_options"};
constexpr brrr::Task<patient> patient_task{"patient", {}, {.timeout = 500ms, .leaf = true}};
constexpr brrr::Task<grows> grows_task{"grows", {}, {.max_retries = 0}};
constexpr brrr::Task<recurses> recurses_task{"recurses", {}, {.max_retries = 0}};
constexpr brrr::RawTask<echo> echo_task{"echo"};
constexpr brrr::Task<call_raw> call_raw_task{"call_raw", {"bytes"}};
constexpr brrr::Task<call_topic> call_topic_task{"call_topic", {"topic", "i"}};
constexpr brrr::Task<call_hash> call_hash_task{"call_hash", {"hash"}};
constexpr brrr::Task<relays> relays_task{"relays", {"task", "topic", "args"}};
constexpr brrr::Task<about> about_task{"about", {}, {.timeout = 30s}};
constexpr brrr::Task<cpp_greet> cpp_greet_task{"cpp_greet", {"name"}};
constexpr brrr::Task<cpp_gather> cpp_gather_task{"cpp_gather", {"name", "tasks", "topics"}};
constexpr brrr::Task<nap> nap_task{"nap", {"ms", "tag"}, {.leaf = true}};
constexpr brrr::Task<sides> sides_task{"sides", {"ms", "salt"}};
constexpr brrr::Task<fail_fast> fail_fast_task{"fail_fast", {"ms", "salt"}, {.max_retries = 0}};
constexpr brrr::Task<too_late> too_late_task{"too_late", {"ms", "limit", "tag"}};
constexpr brrr::Task<twice_late> twice_late_task{"twice_late", {"ms", "limit", "tag"}};
constexpr brrr::Task<asks> asks_task{"asks", {"name", "limit"}};
constexpr brrr::Task<asks_or> asks_or_task{"asks_or", {"name", "ms", "tag"}};
constexpr brrr::Task<asks_caught> asks_caught_task{"asks_caught", {"name"}};
constexpr brrr::Task<dice> dice_task{"dice", {"i"}, {.leaf = true}};
constexpr brrr::Task<scoped> scoped_task{"scoped", {"scope", "i"}};
constexpr brrr::Task<attaches> attaches_task{"attaches", {"code"}, {.max_retries = 0}};
constexpr brrr::Task<reads_details> reads_details_task{"reads_details", {"code"}};
constexpr brrr::Task<logs_fields> logs_fields_task{"logs_fields"};
constexpr brrr::Task<described> described_task{
    "described", {"text", "times"}, {.max_retries = 0, .description = "Repeats a text."}};
constexpr brrr::Task<prints> prints_task{"prints", {"line"}};
constexpr brrr::Task<wall_clock> clock_task{"clock"};
constexpr brrr::Task<sleeps> sleeps_task{"sleeps", {"ms"}};
constexpr brrr::Task<random_numbers> random_task{"random"};
constexpr brrr::Task<real> real_task{"real", {"ms"}, {.leaf = true}};
constexpr brrr::Task<sleeper> sleeper_task{"sleeper", {"seconds"}, {.leaf = true}};
constexpr brrr::Task<forbidden> forbidden_task{"forbidden", {"port", "path"}};
constexpr brrr::Task<http_get> http_get_task{"http_get", {"url"}, {.max_retries = 0, .leaf = true}};
constexpr brrr::Task<http_send> http_send_task{
    "http_send", {"method", "url", "headers", "body"}, {.max_retries = 0, .leaf = true}};
constexpr brrr::Task<http_several> http_several_task{"http_several", {"urls"}, {.max_retries = 0, .leaf = true}};
constexpr brrr::Task<http_beside> http_beside_task{"http_beside", {"url", "i"}, {.max_retries = 0}};
constexpr brrr::Task<http_caught> http_caught_task{"http_caught", {"url"}, {.leaf = true}};
constexpr brrr::Task<env_get> env_get_task{"env_get", {"key"}, {.leaf = true}};
constexpr brrr::Task<file_read> file_read_task{"file_read", {"path"}, {.leaf = true}};
constexpr brrr::Task<file_write> file_write_task{"file_write", {"path", "text"}, {.leaf = true}};

#endif
