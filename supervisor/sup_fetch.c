/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_fetch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

#include "base/rel_io.h"
#include "supervisor/sup_curl.h"

/* A release of 15 MB is usual; one with a bundled model may have gigabytes. */
static const int64_t size_max = INT64_C(8) << 30;
enum { CONNECT_S = 20, WHOLE_S = 3600, REDIRECT_MAX = 5 };
const struct sup_fetch_pace sup_fetch_pace_default = {.bytes_s = 1024, .patience_s = 30};

bool sup_is_url(const char *s)
{
    return !strncmp(s, "https://", 8) || !strncmp(s, "http://", 7) || !strncmp(s, "file://", 7);
}

#define LETTERS_DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* "shop.example.com:8443", "[::1]:80", "". */
static bool is_host(const char *s, const char *end)
{
    s += *s == '[' ? strspn(s, "[]:0123456789abcdefABCDEF") : strspn(s, LETTERS_DIGITS "._-");
    if (s < end && *s == ':')
        s += 1 + strspn(s + 1, "0123456789");
    return s == end;
}

/* By hand: the parent loads no libcurl for it. Where no host stands nothing is told at all, it
 * could be a part of a password. */
char *sup_shown_release(const char *release)
{
    const char *host = sup_is_url(release) ? strstr(release, "://") : NULL, *slash, *at;
    int scheme_len;

    if (!host)
        return rel_xstrdup(release);
    host += 3;
    scheme_len = (int)(host - release);
    slash = host + strcspn(host, "/?#");
    at = memrchr(host, '@', (size_t)(slash - host));
    if (at)
        host = at + 1;
    if (!is_host(host, slash))
        return rel_xstrdup("the URL");
    return rel_strf("%.*s%.*s", scheme_len, release, (int)strcspn(host, "?#"), host);
}

struct sink {
    int fd;
    int64_t n;
    struct rel_err e;
};

static size_t on_body(char *bytes, size_t one, size_t n, void *ctx)
{
    struct sink *s = ctx;

    (void)one;
    s->n += (int64_t)n;
    if (s->n > size_max) {
        rel_fail(&s->e, REL_E_INPUT, 0, "it has more than %lld bytes", (long long)size_max);
        return 0;
    }
    return rel_write_all(s->fd, bytes, n, &s->e) < 0 ? 0 : n;
}

static bool is_this_host(const char *host)
{
    struct in_addr a;

    if (!strcmp(host, "localhost") || !strcmp(host, "[::1]"))
        return true;
    return inet_pton(AF_INET, host, &a) == 1 && ntohl(a.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* Without TLS anybody on the way could put another program in its place; on loopback there is no
 * way. */
static int check_scheme(const struct sup_curl *c, CURLU *u, const char *shown, struct rel_err *e)
{
    char *scheme = NULL, *host = NULL;
    bool plain =
        c->curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK || !strcmp(scheme, "http");
    bool far =
        plain && (c->curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK || !is_this_host(host));

    c->curl_free(scheme);
    c->curl_free(host);
    if (far)
        return rel_fail(e, REL_E_INPUT, 0, "%s: http is taken from this host only, use https",
                        shown);
    return 0;
}

/* A plain host is this one: no proxy stands between it and us. */
static void set_proxy(const struct sup_curl *c, CURL *curl, CURLU *u)
{
    rel_autofree char *near = NULL;
    char *host = NULL;

    if (c->curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && is_this_host(host))
        near = rel_strf("localhost,127.0.0.1,::1,%s", host);
    c->curl_free(host);
    c->curl_easy_setopt(curl, CURLOPT_NOPROXY, near ? near : "localhost,127.0.0.1,::1");
}

static void set_options(const struct sup_curl *c, CURL *curl, const char *url,
                        const struct sup_fetch_pace *pace, struct sink *sink, char *text)
{
    c->curl_easy_setopt(curl, CURLOPT_URL, url);
    c->curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http,file");
    c->curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    c->curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    c->curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)REDIRECT_MAX);
    c->curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    c->curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* this is a worker thread */
    c->curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    c->curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, pace->bytes_s);
    c->curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, pace->patience_s);
    c->curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)WHOLE_S);
    c->curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)size_max);
    c->curl_easy_setopt(curl, CURLOPT_USERAGENT, "relsup/" RELPACK_VERSION);
    c->curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
    c->curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    c->curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink);
}

static enum rel_code code_of(CURLcode result)
{
    switch (result) {
    case CURLE_HTTP_RETURNED_ERROR:
    case CURLE_FILE_COULDNT_READ_FILE:
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_TOO_MANY_REDIRECTS:
        return REL_E_INPUT;
    case CURLE_OPERATION_TIMEDOUT:
        return REL_E_TIMEOUT;
    default:
        return REL_E_UNREACHABLE;
    }
}

struct fetch {
    struct sup_curl c;
    CURLU *u;
    CURL *curl;
    struct sink sink;
};

static void fetch_fini(struct fetch *f)
{
    if (f->curl)
        f->c.curl_easy_cleanup(f->curl);
    if (f->u)
        f->c.curl_url_cleanup(f->u);
}

static int perform(struct fetch *f, const char *url, const char *shown,
                   const struct sup_fetch_pace *pace, struct rel_err *e)
{
    char text[CURL_ERROR_SIZE] = "";
    CURLcode result;

    f->curl = f->c.curl_easy_init();
    if (!f->curl)
        return rel_fail(e, REL_E_INTERNAL, 0, "libcurl cannot start");
    set_options(&f->c, f->curl, url, pace, &f->sink, text);
    set_proxy(&f->c, f->curl, f->u);
    result = f->c.curl_easy_perform(f->curl);
    if (result == CURLE_OK)
        return 0;
    if (f->sink.e.code) {
        *e = f->sink.e;
        return rel_wrap(e, "fetch %s", shown);
    }
    return rel_fail(e, code_of(result), 0, "fetch %s: %s", shown,
                    *text ? text : f->c.curl_easy_strerror(result));
}

int sup_fetch(const char *url, const char *path, const struct sup_fetch_pace *pace,
              struct rel_err *e)
{
    __attribute__((cleanup(fetch_fini))) struct fetch f = {0};
    rel_autotmp struct rel_tmp t = REL_TMP_INIT;
    rel_autofree char *shown = sup_shown_release(url);

    if (sup_curl_load(&f.c, e) < 0)
        return -1;
    f.u = f.c.curl_url();
    if (!f.u || f.c.curl_url_set(f.u, CURLUPART_URL, url, 0) != CURLUE_OK)
        return rel_fail(e, REL_E_INPUT, 0, "what was given to fetch is no URL");
    if (check_scheme(&f.c, f.u, shown, e) < 0 || rel_tmp_open(&t, AT_FDCWD, path, 0600, e) < 0)
        return -1;
    f.sink.fd = t.fd;
    if (perform(&f, url, shown, pace, e) < 0)
        return -1;
    return rel_tmp_commit(&t, e);
}
