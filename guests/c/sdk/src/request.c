/* Requests and variables: what is the same in a component and natively. */
#include <strings.h>

#include "internal.h"

brrr_request brrr_http_request(const char *method, const char *url) {
    return (brrr_request){.method = method, .url = url, .timeout_ms = -1, .redirects = 10};
}

brrr_request brrr_http_get(const char *url) {
    return brrr_http_request("GET", url);
}

brrr_error *brrr_http_send(brrr_request *requests, size_t count) {
    brrr_flush();
    brrr_host_send(requests, count);
    for (size_t i = 0; i < count; i++) {
        if (requests[i].problem != NULL) return brrr_error_new(BRRR_RETRYABLE, requests[i].problem);
    }
    return NULL;
}

const char *brrr_http_header(const brrr_request *request, const char *name) {
    for (size_t i = 0; i < request->response_header_count; i++) {
        if (strcasecmp(request->response_headers[i].name, name) == 0) return request->response_headers[i].value;
    }
    return NULL;
}

/* Without the query, in which there may be secrets, and without a password. */
const char *brrr_request_problem(const char *method, const char *url, const char *problem) {
    size_t scheme = 0, end = strcspn(url, "?#");
    const char *host = strstr(url, "://");
    if (host != NULL && (size_t)(host - url) < end) scheme = (size_t)(host - url) + 3;
    const char *at = memchr(url + scheme, '@', end - scheme);
    size_t from = at != NULL ? (size_t)(at - url) + 1 : scheme;
    return brrr_join(method, " ", brrr_copy(url, scheme), brrr_copy(url + from, end - from), ": ", problem, NULL);
}

brrr_error *brrr_env(const char *key, const char **value) {
    *value = getenv(key);
    if (*value != NULL) return NULL;
    return brrr_error_new(BRRR_RETRYABLE, brrr_join("the variable ", key, " is not allowed: --env ", key, NULL));
}
