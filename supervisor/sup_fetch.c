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
enum { CONNECT_S = 20, STALL_S = 30, WHOLE_S = 3600, REDIRECT_MAX = 5 };

bool sup_is_url(const char *s)
{
    return !strncmp(s, "https://", 8) || !strncmp(s, "http://", 7) || !strncmp(s, "file://", 7);
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

/* As it may be told: a password, and the signature in the query of a presigned URL, are secrets. */
static char *shown_url(const struct sup_curl *c, CURLU *u)
{
    CURLU *copy = c->curl_url_dup(u);
    char *text = NULL, *shown;

    c->curl_url_set(copy, CURLUPART_USER, NULL, 0);
    c->curl_url_set(copy, CURLUPART_PASSWORD, NULL, 0);
    c->curl_url_set(copy, CURLUPART_QUERY, NULL, 0);
    c->curl_url_set(copy, CURLUPART_FRAGMENT, NULL, 0);
    c->curl_url_get(copy, CURLUPART_URL, &text, 0);
    shown = rel_xstrdup(text ? text : "the URL");
    c->curl_free(text);
    c->curl_url_cleanup(copy);
    return shown;
}

static void set_options(const struct sup_curl *c, CURL *curl, const char *url, struct sink *sink,
                        char *text)
{
    c->curl_easy_setopt(curl, CURLOPT_URL, url);
    c->curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http,file");
    c->curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    c->curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    c->curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)REDIRECT_MAX);
    c->curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    c->curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* this is a worker thread */
    c->curl_easy_setopt(curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
    c->curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    c->curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    c->curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
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

static int perform(struct fetch *f, const char *url, const char *shown, struct rel_err *e)
{
    char text[CURL_ERROR_SIZE] = "";
    CURLcode result;

    f->curl = f->c.curl_easy_init();
    if (!f->curl)
        return rel_fail(e, REL_E_INTERNAL, 0, "libcurl cannot start");
    set_options(&f->c, f->curl, url, &f->sink, text);
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

int sup_fetch(const char *url, const char *path, struct rel_err *e)
{
    __attribute__((cleanup(fetch_fini))) struct fetch f = {0};
    rel_autotmp struct rel_tmp t = REL_TMP_INIT;
    rel_autofree char *shown = NULL;

    if (sup_curl_load(&f.c, e) < 0)
        return -1;
    f.u = f.c.curl_url();
    if (!f.u || f.c.curl_url_set(f.u, CURLUPART_URL, url, 0) != CURLUE_OK)
        return rel_fail(e, REL_E_INPUT, 0, "what was given to fetch is no URL");
    shown = shown_url(&f.c, f.u);
    if (check_scheme(&f.c, f.u, shown, e) < 0 || rel_tmp_open(&t, AT_FDCWD, path, 0600, e) < 0)
        return -1;
    f.sink.fd = t.fd;
    if (perform(&f, url, shown, e) < 0)
        return -1;
    return rel_tmp_commit(&t, e);
}
