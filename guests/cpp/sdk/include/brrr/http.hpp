/// What the worker lets a component touch: requests, and variables. Each run of a handler does it again, so it belongs into
/// a leaf.
#ifndef BRRR_HTTP_HPP
#define BRRR_HTTP_HPP

#include <brrr/codec.hpp>
#include <brrr/error.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace brrr {

/// A variable's value, or an error that names the flag that would allow it. std::getenv works as well.
inline Result<std::string> env(const std::string &key) {
    const char *value = nullptr;
    if (brrr_error *error = brrr_env(detail::keep(key), &value)) return std::unexpected(Error(error));
    return value;
}

namespace http {

/// What came back, of any status.
struct Response {
    int status = 0;
    /// Names and values, in order.
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;

    [[nodiscard]] bool ok() const { return status >= 200 && status < 300; }

    /// Its body, read as JSON.
    template <typename T> [[nodiscard]] Result<T> json() const {
        const char *problem = nullptr;
        Json json = brrr_parse({reinterpret_cast<const std::uint8_t *>(body.data()), body.size()}, &problem);
        T value{};
        if (json != nullptr) problem = Codec<T>::read(json, value);
        if (problem != nullptr) return retryable(std::string("the response's body does not fit: ") + problem);
        return value;
    }
};

/// A request that is being put together: `BRRR_TRY(brrr::http::get(url).header("accept", "text/plain").send())`.
class Request {
  public:
    Request(std::string method, std::string url) : method_(std::move(method)), url_(std::move(url)) {}

    Request &header(std::string name, std::string value) {
        headers_.emplace_back(std::move(name), std::move(value));
        return *this;
    }
    Request &body(std::string body) {
        body_ = std::move(body);
        return *this;
    }
    /// With this value as its body, in JSON.
    template <typename T> Request &json(const T &value) {
        brrr_bytes text;
        problem_ = brrr_dump(to_json(value), &text);
        if (problem_ != nullptr) return *this;
        header("content-type", "application/json");
        return body(std::string(reinterpret_cast<const char *>(text.data), text.size));
    }
    /// It fails unless the whole response is there in this time. Without one, the run's own time ends it.
    Request &timeout(std::chrono::milliseconds timeout) {
        timeout_ = timeout;
        return *this;
    }
    /// Redirects that it follows; ten at first. Each is asked of the worker.
    Request &redirects(int redirects) {
        redirects_ = redirects;
        return *this;
    }

    /// Sends it and waits for the whole response.
    [[nodiscard]] Result<Response> send() const;

  private:
    friend std::vector<Result<Response>> send(const std::vector<Request> &requests);

    std::string method_, url_, body_;
    std::vector<std::pair<std::string, std::string>> headers_;
    std::optional<std::chrono::milliseconds> timeout_;
    int redirects_ = 10;
    /// Why the body can't be written.
    const char *problem_ = nullptr;
};

inline Request get(std::string url) {
    return {"GET", std::move(url)};
}

inline Request post(std::string url) {
    return {"POST", std::move(url)};
}

/// Sends all of them at once and waits for all; their responses or problems, in order.
inline std::vector<Result<Response>> send(const std::vector<Request> &requests) {
    std::vector<brrr_request> raw;
    std::vector<std::vector<brrr_header>> headers;
    // Not moved any more once they are pointed at.
    headers.reserve(requests.size());
    for (const Request &request : requests) {
        auto &list = headers.emplace_back();
        for (const auto &[name, value] : request.headers_) list.push_back({name.c_str(), value.c_str()});
        brrr_request one = brrr_http_request(detail::keep(request.method_), detail::keep(request.url_));
        one.headers = list.data();
        one.header_count = list.size();
        one.body = {reinterpret_cast<const std::uint8_t *>(request.body_.data()), request.body_.size()};
        if (request.timeout_) one.timeout_ms = request.timeout_->count();
        one.redirects = request.redirects_;
        raw.push_back(one);
    }
    for (const Request &request : requests) {
        // None is sent then: what the server would get is not what was meant.
        if (request.problem_ == nullptr) continue;
        std::string message = std::string("the request's body cannot be written as JSON: ") + request.problem_;
        return std::vector<Result<Response>>(requests.size(), permanent(message));
    }
    // The first problem, which is in its request as well.
    (void)brrr_http_send(raw.data(), raw.size());
    std::vector<Result<Response>> results;
    for (const brrr_request &one : raw) {
        if (one.problem != nullptr) {
            results.emplace_back(retryable(one.problem));
            continue;
        }
        Response response{one.status, {}, std::string(reinterpret_cast<const char *>(one.content.data), one.content.size)};
        for (std::size_t i = 0; i < one.response_header_count; i++) {
            response.headers.emplace_back(one.response_headers[i].name, one.response_headers[i].value);
        }
        results.emplace_back(std::move(response));
    }
    return results;
}

inline Result<Response> Request::send() const {
    return std::move(http::send(std::vector{*this}).front());
}

} // namespace http

} // namespace brrr

#endif
