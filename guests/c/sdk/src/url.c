/* URLs of requests: their parts, and where a redirect leads. */
#include <strings.h>

#include "internal.h"

/* The length of the scheme with its "://", or 0. */
static size_t scheme_of(const char *text) {
    if (strncasecmp(text, "http://", 7) == 0) return 7;
    return strncasecmp(text, "https://", 8) == 0 ? 8 : 0;
}

const char *brrr_url_parse(const char *text, url *parsed) {
    for (const char *at = text; *at != 0; at++) {
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f) return "not a URL; encode what is special in it";
    }
    size_t scheme = scheme_of(text);
    if (scheme == 0) return "not a URL of http or https";
    size_t host = strcspn(text + scheme, "/?#");
    if (host == 0) return "the URL has no host";
    const char *rest = text + scheme + host;
    *parsed = (url){.https = scheme == 8, .authority = brrr_copy(text + scheme, host)};
    char *path = brrr_copy(rest, strcspn(rest, "#"));
    parsed->path = *path == '/' ? path : brrr_join("/", path, NULL);
    return NULL;
}

bool brrr_url_same_origin(const url *a, const url *b) {
    return a->https == b->https && strcasecmp(a->authority, b->authority) == 0;
}

/* Takes `.` and `..` out of a path, which begins with a slash; what follows a `?` is not looked at. */
static const char *without_dots(const char *path) {
    buffer out = {0};
    size_t end = strcspn(path, "?");
    for (size_t at = 0; at < end;) {
        // A segment with the slash before it.
        size_t size = 1 + strcspn(path + at + 1, "/?");
        bool last = at + size >= end;
        const char *name = path + at + 1;
        if (size == 2 && name[0] == '.') {
            if (last) brrr_put_char(&out, '/');
        } else if (size == 3 && name[0] == '.' && name[1] == '.') {
            while (out.size > 0 && out.data[--out.size] != '/') {}
            if (last) brrr_put_char(&out, '/');
        } else {
            brrr_put(&out, path + at, size);
        }
        at += size;
    }
    brrr_put(&out, path + end, strlen(path + end) + 1);
    return out.data;
}

const char *brrr_url_join(const url *base, const char *reference) {
    // With a scheme of its own it is a whole URL.
    if (reference[strcspn(reference, ":/?#")] == ':') return reference;
    const char *scheme = base->https ? "https:" : "http:";
    if (strncmp(reference, "//", 2) == 0) return brrr_join(scheme, reference, NULL);
    const char *path = brrr_copy(base->path, strcspn(base->path, "?"));
    if (*reference == '/') {
        path = reference;
    } else if (*reference == '?') {
        path = brrr_join(path, reference, NULL);
    } else if (*reference != 0 && *reference != '#') {
        size_t folder = (size_t)(strrchr(path, '/') - path) + 1;
        path = brrr_join(brrr_copy(path, folder), reference, NULL);
    }
    return brrr_join(scheme, "//", base->authority, without_dots(path), NULL);
}
