/* What a handler may touch, where the host allows it: requests, environment, files. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tasks.h"

static brrr_string text_of(const brrr_request *request) {
    return (brrr_string){(const char *)request->content.data, request->content.size};
}

static brrr_error *got(brrr_app *app, const brrr_request *request) {
    return brrr_return(app, brrr_object(brrr_kv("status", request->status), brrr_kv("body", text_of(request))));
}

HANDLER(http_get) {
    const char *url;
    BRRR_TRY(brrr_args(app, brrr_arg("url", &url)));
    brrr_request request = brrr_http_get(url);
    BRRR_TRY(brrr_http_send(&request, 1));
    return got(app, &request);
}

HANDLER(http_send) {
    const char *method, *url;
    const brrr_json *given;
    brrr_string body;
    BRRR_TRY(brrr_args(app, brrr_arg("method", &method), brrr_arg("url", &url), brrr_arg("headers", &given),
                       brrr_arg("body", &body)));
    brrr_header headers[16];
    brrr_request request = brrr_http_request(method, url);
    request.headers = headers;
    for (size_t i = 0; i < brrr_count(given) && i < 16; i++) {
        headers[i].name = brrr_key(given, i);
        if (brrr_read(brrr_at(given, i), &headers[i].value) != NULL) return brrr_permanent("headers are text");
        request.header_count++;
    }
    request.body = (brrr_bytes){(const uint8_t *)body.data, body.size};
    BRRR_TRY(brrr_http_send(&request, 1));
    return got(app, &request);
}

HANDLER(http_several) {
    const brrr_json *urls;
    BRRR_TRY(brrr_args(app, brrr_arg("urls", &urls)));
    size_t count = brrr_count(urls);
    brrr_request *requests = malloc(count * sizeof *requests);
    for (size_t i = 0; i < count; i++) {
        const char *url;
        if (brrr_read(brrr_at(urls, i), &url) != NULL) return brrr_permanent("URLs are text");
        requests[i] = brrr_http_get(url);
    }
    BRRR_TRY(brrr_http_send(requests, count));
    brrr_json *bodies = brrr_array();
    for (size_t i = 0; i < count; i++) brrr_push(bodies, brrr_value(text_of(&requests[i])));
    return brrr_return(app, bodies);
}

/* C waits for requests or for calls: one after the other. */
HANDLER(http_beside) {
    const char *url;
    int64_t i, given;
    BRRR_TRY(brrr_args(app, brrr_arg("url", &url), brrr_arg("i", &i)));
    brrr_request request = brrr_http_get(url);
    BRRR_TRY(brrr_http_send(&request, 1));
    brrr_call call = brrr_call("leaf", brrr_kv("i", i));
    BRRR_TRY(brrr_await(&call, &given));
    return brrr_return(app, brrr_array(brrr_value(text_of(&request)), brrr_value(given)));
}

HANDLER(http_caught) {
    const char *url;
    BRRR_TRY(brrr_args(app, brrr_arg("url", &url)));
    brrr_request request = brrr_http_get(url);
    brrr_error *error = brrr_http_send(&request, 1);
    if (error != NULL) return brrr_return(app, brrr_format("error: %s", error->message));
    return brrr_return(app, brrr_format("status %d", request.status));
}

HANDLER(env_get) {
    const char *key, *value;
    BRRR_TRY(brrr_args(app, brrr_arg("key", &key)));
    brrr_error *error = brrr_env(key, &value);
    return brrr_return(app, error == NULL ? value : brrr_format("error: %s", error->message));
}

HANDLER(file_read) {
    const char *path;
    BRRR_TRY(brrr_args(app, brrr_arg("path", &path)));
    FILE *file = fopen(path, "r");
    if (file == NULL) return brrr_return(app, brrr_format("error: %s", strerror(errno)));
    char text[1000];
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    return brrr_return(app, ((brrr_string){text, size}));
}

HANDLER(file_write) {
    const char *path, *text;
    BRRR_TRY(brrr_args(app, brrr_arg("path", &path), brrr_arg("text", &text)));
    FILE *file = fopen(path, "w");
    if (file == NULL) return brrr_return(app, brrr_format("error: %s", strerror(errno)));
    bool written = fputs(text, file) >= 0;
    written = fclose(file) == 0 && written;
    return brrr_return(app, written ? "written" : brrr_format("error: %s", strerror(errno)));
}
