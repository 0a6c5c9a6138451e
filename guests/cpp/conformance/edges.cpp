/// Bytes, topics, hashes, the request itself, and calls between languages.
#include <algorithm>

#include "tasks.hpp"

brrr::Bytes echo(const App &, brrr::Bytes payload) {
    return payload;
}

Result<tuple<std::size_t, bool>> call_raw(std::size_t bytes) {
    vector<std::uint8_t> sent(bytes);
    for (std::size_t i = 0; i < bytes; i++) sent[i] = static_cast<std::uint8_t>(i);
    brrr::Bytes got = BRRR_TRY(echo_task(sent).await());
    return tuple(got.size(), std::ranges::equal(got, sent));
}

Result<int64_t> call_topic(string topic, int64_t i) {
    return leaf_task(i).topic(topic).await();
}

Result<tuple<int64_t, int64_t>> call_hash(string hash) {
    auto first = BRRR_TRY(leaf_task(1).hash(hash).await());
    auto second = BRRR_TRY(leaf_task(2).hash(hash).await());
    return tuple(first, second);
}

Result<brrr::Json> relays(string task, optional<string> topic, brrr::Json args) {
    auto call = brrr::call_json<brrr::Json>(task, args);
    if (topic) call.topic(*topic);
    return call.await();
}

About about(const App &app) {
    return {app.task, app.call_hash, app.job_id, app.topic, app.attempt, app.has_deadline};
}

string cpp_greet(string name) {
    return name + " from cpp";
}

Result<vector<string>> cpp_gather(string name, vector<string> tasks, vector<optional<string>> topics) {
    vector<brrr::Call<string>> calls;
    for (std::size_t i = 0; i < tasks.size(); i++) {
        calls.push_back(brrr::call<string>(tasks[i], {{"name", name}}));
        if (i < topics.size() && topics[i]) calls.back().topic(*topics[i]);
    }
    return brrr::gather(std::move(calls));
}
