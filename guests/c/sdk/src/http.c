/* Requests, several at once, over wasi:http. Of a component only. */
#include <strings.h>

#include "../bindings/brrr_world.h"
#include "internal.h"

/* Moved at once between guest and host. */
enum { PIECE = 64 << 10 };

typedef enum phase { SENDING, WAITING, READING, DONE } phase;

/* One request on its way. What belongs to something is dropped before it: streams before their bodies. */
typedef struct exchange {
    brrr_request *request;
    /* As it is now, after redirects. */
    const char *method, *text;
    brrr_bytes body;
    bool bare;
    int redirects;
    url url;
    phase phase;
    size_t sent;
    wasi_http_types_own_outgoing_body_t out;
    wasi_http_types_own_output_stream_t out_stream;
    wasi_http_types_own_future_incoming_response_t answer;
    wasi_http_types_own_incoming_response_t response;
    wasi_http_types_own_incoming_body_t in;
    wasi_http_types_own_input_stream_t in_stream;
    bool has_timer;
    wasi_io_poll_own_pollable_t timer;
    buffer content;
} exchange;

static brrr_world_string_t text(const char *text) {
    return (brrr_world_string_t){(uint8_t *)(uintptr_t)text, strlen(text)};
}

/* Gives up what the phase still holds. */
static void release(exchange *x) {
    switch (x->phase) {
    case SENDING:
        wasi_io_streams_output_stream_drop_own(x->out_stream);
        wasi_http_types_outgoing_body_drop_own(x->out);
        wasi_http_types_future_incoming_response_drop_own(x->answer);
        break;
    case WAITING:
        wasi_http_types_future_incoming_response_drop_own(x->answer);
        break;
    case READING:
        wasi_io_streams_input_stream_drop_own(x->in_stream);
        wasi_http_types_incoming_body_drop_own(x->in);
        wasi_http_types_incoming_response_drop_own(x->response);
        break;
    case DONE:
        break;
    }
    x->phase = DONE;
}

static void fail(exchange *x, const char *problem) {
    release(x);
    x->request->problem = brrr_request_problem(x->method, x->text, problem);
}

static const char *meaning(const wasi_http_types_error_code_t *code) {
    switch (code->tag) {
    case WASI_HTTP_TYPES_ERROR_CODE_INTERNAL_ERROR:
        // The host says itself what has no code of its own: what it does not allow, above all.
        return code->val.internal_error.is_some ? (const char *)code->val.internal_error.val.ptr : "internal error";
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_REFUSED:
        return "connection refused";
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_TIMEOUT:
        return "no connection in time";
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_RESPONSE_INCOMPLETE:
        return "incomplete HTTP response";
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_RESPONSE_HEADER_SECTION_SIZE:
        return "the response has too large headers";
    default:
        return brrr_join("error ", brrr_digits(code->tag), " of wasi:http", NULL);
    }
}

static wasi_http_types_method_t method_of(const char *name) {
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    for (uint8_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) return (wasi_http_types_method_t){.tag = i};
    }
    wasi_http_types_method_t other = {.tag = WASI_HTTP_TYPES_METHOD_OTHER};
    other.val.other = text(name);
    return other;
}

/* Headers that go to this place: after a redirect to another one, without what was meant for the first. */
static bool headers_of(const exchange *x, wasi_http_types_own_fields_t *fields) {
    const brrr_request *request = x->request;
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;
        if (!brrr_is_text(name, strlen(name))) return false;
    }
    brrr_world_tuple2_string_list_u8_t *list = brrr_alloc((request->header_count + 1) * sizeof *list);
    size_t count = 0;
    bool has_length = false;
    for (size_t i = 0; i < request->header_count; i++) {
        const brrr_header *header = &request->headers[i];
        bool secret = strcasecmp(header->name, "authorization") == 0 || strcasecmp(header->name, "cookie") == 0;
        bool of_body = strncasecmp(header->name, "content-", 8) == 0;
        if ((secret && x->bare) || (of_body && x->body.size == 0 && request->body.size > 0)) continue;
        has_length |= strcasecmp(header->name, "content-length") == 0;
        brrr_world_string_t value = text(header->value);
        list[count++] = (brrr_world_tuple2_string_list_u8_t){text(header->name), {value.ptr, value.len}};
    }
    if (x->body.size > 0 && !has_length) {
        // As it is known, it is said: not every server takes a body in chunks.
        brrr_world_string_t value = text(brrr_digits(x->body.size));
        list[count++] = (brrr_world_tuple2_string_list_u8_t){text("content-length"), {value.ptr, value.len}};
    }
    brrr_world_list_tuple2_string_list_u8_t entries = {list, count};
    wasi_http_types_header_error_t error;
    return wasi_http_types_static_fields_from_list(&entries, fields, &error);
}

static void start(exchange *x) {
    x->phase = DONE;
    const char *problem = brrr_url_parse(x->text, &x->url);
    if (problem == NULL && !brrr_is_text(x->method, strlen(x->method))) problem = "the method is not UTF-8";
    if (problem != NULL) {
        fail(x, problem);
        return;
    }
    wasi_http_types_own_fields_t fields;
    if (!headers_of(x, &fields)) {
        fail(x, "a header is not what HTTP takes");
        return;
    }
    wasi_http_types_own_outgoing_request_t request = wasi_http_types_constructor_outgoing_request(fields);
    wasi_http_types_borrow_outgoing_request_t it = wasi_http_types_borrow_outgoing_request(request);
    wasi_http_types_method_t method = method_of(x->method);
    wasi_http_types_scheme_t scheme = {
        .tag = x->url.https ? WASI_HTTP_TYPES_SCHEME_HTTPS : WASI_HTTP_TYPES_SCHEME_HTTP};
    brrr_world_string_t authority = text(x->url.authority), path = text(x->url.path);
    if (!wasi_http_types_method_outgoing_request_set_method(it, &method) ||
        !wasi_http_types_method_outgoing_request_set_scheme(it, &scheme) ||
        !wasi_http_types_method_outgoing_request_set_authority(it, &authority) ||
        !wasi_http_types_method_outgoing_request_set_path_with_query(it, &path) ||
        !wasi_http_types_method_outgoing_request_body(it, &x->out)) {
        wasi_http_types_outgoing_request_drop_own(request);
        fail(x, "method or URL is not what HTTP takes");
        return;
    }
    // Of a new body there is a stream.
    wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(x->out), &x->out_stream);
    wasi_http_types_error_code_t code;
    if (!wasi_http_outgoing_handler_handle(request, NULL, &x->answer, &code)) {
        wasi_io_streams_output_stream_drop_own(x->out_stream);
        wasi_http_types_outgoing_body_drop_own(x->out);
        fail(x, meaning(&code));
        return;
    }
    x->sent = 0;
    x->content = (buffer){0};
    x->phase = SENDING;
}

/* Each returns whether the phase has ended; otherwise `wait` is what it waits for. */
static bool send(exchange *x, wasi_io_poll_own_pollable_t *wait) {
    wasi_io_streams_borrow_output_stream_t stream = wasi_io_streams_borrow_output_stream(x->out_stream);
    wasi_io_streams_stream_error_t error;
    // A server that does not want all of it says so in its response, which is what counts.
    bool fine = true;
    while (fine && x->sent < x->body.size) {
        uint64_t room;
        fine = wasi_io_streams_method_output_stream_check_write(stream, &room, &error);
        if (!fine) break;
        if (room == 0) {
            *wait = wasi_io_streams_method_output_stream_subscribe(stream);
            return false;
        }
        size_t left = x->body.size - x->sent;
        brrr_world_list_u8_t piece = {(uint8_t *)(uintptr_t)x->body.data + x->sent, left < room ? left : (size_t)room};
        fine = wasi_io_streams_method_output_stream_write(stream, &piece, &error);
        x->sent += piece.len;
    }
    fine = fine && wasi_io_streams_method_output_stream_flush(stream, &error);
    wasi_io_streams_output_stream_drop_own(x->out_stream);
    wasi_http_types_error_code_t code;
    if (fine) wasi_http_types_static_outgoing_body_finish(x->out, NULL, &code);
    else wasi_http_types_outgoing_body_drop_own(x->out);
    x->phase = WAITING;
    return true;
}

static const char *keep_headers(exchange *x) {
    wasi_http_types_borrow_incoming_response_t response = wasi_http_types_borrow_incoming_response(x->response);
    x->request->status = wasi_http_types_method_incoming_response_status(response);
    wasi_http_types_own_fields_t fields = wasi_http_types_method_incoming_response_headers(response);
    brrr_world_list_tuple2_string_list_u8_t entries;
    wasi_http_types_method_fields_entries(wasi_http_types_borrow_fields(fields), &entries);
    brrr_header *headers = brrr_alloc(entries.len * sizeof *headers);
    for (size_t i = 0; i < entries.len; i++) {
        headers[i] = (brrr_header){(const char *)entries.ptr[i].f0.ptr,
                                   brrr_copy((const char *)entries.ptr[i].f1.ptr, entries.ptr[i].f1.len)};
    }
    wasi_http_types_fields_drop_own(fields);
    x->request->response_headers = headers;
    x->request->response_header_count = entries.len;
    uint16_t status = x->request->status;
    bool redirect = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    return redirect && x->request->redirects > 0 ? brrr_http_header(x->request, "location") : NULL;
}

/* Goes on to where a redirect leads. */
static void follow(exchange *x, const char *location) {
    wasi_http_types_incoming_response_drop_own(x->response);
    x->phase = DONE;
    if (x->redirects-- == 0) {
        fail(x, brrr_join("more than ", brrr_digits((uint64_t)x->request->redirects), " redirects", NULL));
        return;
    }
    uint16_t status = x->request->status;
    bool head = strcmp(x->method, "HEAD") == 0, post = strcmp(x->method, "POST") == 0;
    if ((status == 303 && !head) || (status < 303 && post)) {
        x->method = "GET";
        x->body = (brrr_bytes){0};
    }
    url from = x->url, to;
    x->text = brrr_url_join(&from, location);
    x->bare |= brrr_url_parse(x->text, &to) == NULL && !brrr_url_same_origin(&from, &to);
    start(x);
}

static bool receive(exchange *x, wasi_io_poll_own_pollable_t *wait) {
    wasi_http_types_borrow_future_incoming_response_t answer = wasi_http_types_borrow_future_incoming_response(x->answer);
    wasi_http_types_result_result_own_incoming_response_error_code_void_t got;
    if (!wasi_http_types_method_future_incoming_response_get(answer, &got)) {
        *wait = wasi_http_types_method_future_incoming_response_subscribe(answer);
        return false;
    }
    if (got.is_err || got.val.ok.is_err) {
        fail(x, got.is_err ? "its answer was taken already" : meaning(&got.val.ok.val.err));
        return true;
    }
    wasi_http_types_future_incoming_response_drop_own(x->answer);
    x->response = got.val.ok.val.ok;
    const char *location = keep_headers(x);
    if (location != NULL) {
        follow(x, location);
        return true;
    }
    // Of a new response there is a body, and a stream of that.
    wasi_http_types_method_incoming_response_consume(wasi_http_types_borrow_incoming_response(x->response), &x->in);
    wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(x->in), &x->in_stream);
    x->phase = READING;
    return true;
}

static bool read(exchange *x, wasi_io_poll_own_pollable_t *wait) {
    wasi_io_streams_borrow_input_stream_t stream = wasi_io_streams_borrow_input_stream(x->in_stream);
    for (;;) {
        brrr_world_list_u8_t piece;
        wasi_io_streams_stream_error_t error;
        if (!wasi_io_streams_method_input_stream_read(stream, PIECE, &piece, &error)) {
            if (error.tag == WASI_IO_STREAMS_STREAM_ERROR_CLOSED) {
                release(x);
                brrr_put_char(&x->content, 0);
                x->request->content = (brrr_bytes){(const uint8_t *)x->content.data, x->content.size - 1};
            } else {
                brrr_world_string_t why;
                wasi_io_error_method_error_to_debug_string(
                    wasi_io_error_borrow_error(error.val.last_operation_failed), &why);
                wasi_io_error_error_drop_own(error.val.last_operation_failed);
                fail(x, (const char *)why.ptr);
            }
            return true;
        }
        if (piece.len == 0) {
            *wait = wasi_io_streams_method_input_stream_subscribe(stream);
            return false;
        }
        brrr_put(&x->content, piece.ptr, piece.len);
        free(piece.ptr);
    }
}

/* Goes on as far as it can; false when it has ended. */
static bool advance(exchange *x, wasi_io_poll_own_pollable_t *wait) {
    for (;;) {
        bool ended;
        switch (x->phase) {
        case SENDING: ended = send(x, wait); break;
        case WAITING: ended = receive(x, wait); break;
        case READING: ended = read(x, wait); break;
        default: return false;
        }
        if (!ended) return true;
    }
}

/* Waits until one of them can go on; those whose time is over are given up. */
static void wait_for(exchange **open, wasi_io_poll_own_pollable_t *waits, size_t count) {
    wasi_io_poll_borrow_pollable_t *list = brrr_alloc(2 * count * sizeof *list);
    exchange **late = brrr_alloc(2 * count * sizeof *late);
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        late[size] = NULL;
        list[size++] = wasi_io_poll_borrow_pollable(waits[i]);
        if (!open[i]->has_timer) continue;
        late[size] = open[i];
        list[size++] = wasi_io_poll_borrow_pollable(open[i]->timer);
    }
    wasi_io_poll_list_borrow_pollable_t asked = {list, size};
    brrr_world_list_u32_t ready;
    wasi_io_poll_poll(&asked, &ready);
    for (size_t i = 0; i < count; i++) wasi_io_poll_pollable_drop_own(waits[i]);
    for (size_t i = 0; i < ready.len; i++) {
        exchange *x = late[ready.ptr[i]];
        if (x != NULL) fail(x, "no whole answer in its time");
    }
    free(ready.ptr);
    free(list);
    free(late);
}

void brrr_host_send(brrr_request *requests, size_t count) {
    exchange *exchanges = brrr_alloc(count * sizeof *exchanges);
    for (size_t i = 0; i < count; i++) {
        brrr_request *request = &requests[i];
        exchange *x = &exchanges[i];
        *x = (exchange){.request = request, .method = request->method, .text = request->url, .body = request->body,
                        .redirects = request->redirects, .has_timer = request->timeout_ms >= 0};
        if (x->has_timer) {
            uint64_t ns;
            if (__builtin_mul_overflow((uint64_t)request->timeout_ms, 1000000, &ns)) ns = UINT64_MAX;
            x->timer = wasi_clocks_monotonic_clock_subscribe_duration(ns);
        }
        start(x);
    }
    exchange **open = brrr_alloc(count * sizeof *open);
    wasi_io_poll_own_pollable_t *waits = brrr_alloc(count * sizeof *waits);
    for (;;) {
        size_t waiting = 0;
        for (size_t i = 0; i < count; i++) {
            if (!advance(&exchanges[i], &waits[waiting])) continue;
            open[waiting++] = &exchanges[i];
        }
        if (waiting == 0) break;
        wait_for(open, waits, waiting);
    }
    for (size_t i = 0; i < count; i++) {
        if (exchanges[i].has_timer) wasi_io_poll_pollable_drop_own(exchanges[i].timer);
    }
    free(waits);
    free(open);
    free(exchanges);
}
