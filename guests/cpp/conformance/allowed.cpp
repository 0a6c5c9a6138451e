/// What a handler may touch, where the host allows it: requests, environment, files.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "tasks.hpp"

namespace http = brrr::http;

static Result<Got> got(Result<http::Response> response) {
    if (!response) return std::unexpected(response.error());
    return Got{response->status, response->body};
}

Result<Got> http_get(string url) {
    return got(http::get(url).send());
}

Result<Got> http_send(string method, string url, map<string, string> headers, string body) {
    http::Request request(method, url);
    for (const auto &[name, value] : headers) request.header(name, value);
    return got(request.body(body).send());
}

Result<vector<string>> http_several(vector<string> urls) {
    vector<http::Request> requests;
    for (const string &url : urls) requests.push_back(http::get(url));
    vector<string> bodies;
    for (auto &response : http::send(requests)) bodies.push_back(BRRR_TRY(std::move(response)).body);
    return bodies;
}

Result<tuple<string, int64_t>> http_beside(string url, int64_t i) {
    string body = BRRR_TRY(http::get(url).send()).body;
    return tuple(body, BRRR_TRY(leaf_task(i).await()));
}

string http_caught(string url) {
    auto response = http::get(url).send();
    return response ? "status " + std::to_string(response->status) : string("error: ") + response.error().message();
}

string env_get(string key) {
    auto value = brrr::env(key);
    return value ? *value : string("error: ") + value.error().message();
}

string file_read(string path) {
    std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path.c_str(), "r"), std::fclose);
    if (!file) return string("error: ") + std::strerror(errno);
    string text(1000, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file.get()));
    return text;
}

string file_write(string path, string text) {
    std::FILE *file = std::fopen(path.c_str(), "w");
    if (file == nullptr) return string("error: ") + std::strerror(errno);
    bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    written = std::fclose(file) == 0 && written;
    return written ? "written" : string("error: ") + std::strerror(errno);
}
