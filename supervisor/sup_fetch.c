/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_fetch.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

#include "base/rel_io.h"

/* A release of 15 MB is usual; one with a bundled model may have gigabytes. */
static const int64_t size_max = INT64_C(8) << 30;
enum { CONNECT_S = 20, STALL_S = 30, WHOLE_S = 3600, REDIRECT_MAX = 5 };

bool sup_is_url(const char *s)
{
    return !strncmp(s, "https://", 8) || !strncmp(s, "http://", 7) || !strncmp(s, "file://", 7);
}

static void curl_close_p(CURL **curl)
{
    curl_easy_cleanup(*curl);
}
#define autocurl __attribute__((cleanup(curl_close_p)))

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
    return !strcmp(host, "localhost") || !strncmp(host, "127.", 4) || !strcmp(host, "[::1]");
}

/* Without TLS anybody on the way could put another program in its place; on loopback there is no
 * way. */
static int check_scheme(CURLU *u, const char *shown, struct rel_err *e)
{
    char *scheme = NULL, *host = NULL;
    bool plain =
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK || !strcmp(scheme, "http");
    bool far =
        plain && (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK || !is_this_host(host));

    curl_free(scheme);
    curl_free(host);
    if (far)
        return rel_fail(e, REL_E_INPUT, 0, "%s: http is taken from this host only, use https",
                        shown);
    return 0;
}

/* As it may be told: a password, and the signature in the query of a presigned URL, are secrets. */
static char *shown_url(CURLU *u)
{
    CURLU *copy = curl_url_dup(u);
    char *text = NULL, *shown;

    curl_url_set(copy, CURLUPART_USER, NULL, 0);
    curl_url_set(copy, CURLUPART_PASSWORD, NULL, 0);
    curl_url_set(copy, CURLUPART_QUERY, NULL, 0);
    curl_url_set(copy, CURLUPART_FRAGMENT, NULL, 0);
    curl_url_get(copy, CURLUPART_URL, &text, 0);
    shown = rel_xstrdup(text ? text : "the URL");
    curl_free(text);
    curl_url_cleanup(copy);
    return shown;
}

static void set_options(CURL *curl, const char *url, struct sink *sink, char *text)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http,file");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)REDIRECT_MAX);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* this is a worker thread */
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)WHOLE_S);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)size_max);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "relsup/" RELPACK_VERSION);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink);
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

static int perform(const char *url, const char *shown, struct sink *sink, struct rel_err *e)
{
    char text[CURL_ERROR_SIZE] = "";
    autocurl CURL *curl = curl_easy_init();
    CURLcode result;

    if (!curl)
        return rel_fail(e, REL_E_INTERNAL, 0, "libcurl cannot start");
    set_options(curl, url, sink, text);
    result = curl_easy_perform(curl);
    if (result == CURLE_OK)
        return 0;
    if (sink->e.code) {
        *e = sink->e;
        return rel_wrap(e, "fetch %s", shown);
    }
    return rel_fail(e, code_of(result), 0, "fetch %s: %s", shown,
                    *text ? text : curl_easy_strerror(result));
}

static int fetch(CURLU *u, const char *url, const char *path, struct rel_err *e)
{
    rel_autofree char *shown = shown_url(u);
    rel_autotmp struct rel_tmp t = REL_TMP_INIT;
    struct sink sink = {0};

    if (check_scheme(u, shown, e) < 0 || rel_tmp_open(&t, AT_FDCWD, path, 0600, e) < 0)
        return -1;
    sink.fd = t.fd;
    if (perform(url, shown, &sink, e) < 0)
        return -1;
    return rel_tmp_commit(&t, e);
}

int sup_fetch(const char *url, const char *path, struct rel_err *e)
{
    CURLU *u = curl_url();
    int result;

    if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK)
        result = rel_fail(e, REL_E_INPUT, 0, "what was given to fetch is no URL");
    else
        result = fetch(u, url, path, e);
    curl_url_cleanup(u);
    return result;
}
