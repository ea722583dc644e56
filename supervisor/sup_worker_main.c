/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side: what it is asked, what it needs for that, and the work. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/rel_io.h"
#include "supervisor/sup_confine.h"
#include "supervisor/sup_diff.h"
#include "supervisor/sup_fetch.h"
#include "supervisor/sup_incoming.h"
#include "supervisor/sup_worker.h"

enum { REQUEST_MAX = 64 << 10, FILES_MAX = 40 };

/* Libraries that are loaded when they are needed (character sets, name services), and what these
 * and libcrypto are configured by. */
static const char *const libraries[] = {"/lib",
                                        "/lib64",
                                        "/usr/lib",
                                        "/usr/lib64",
                                        "/usr/local/lib",
                                        "/etc/ld.so.cache",
                                        "/nix/store",
                                        "/etc/ssl",
                                        "/etc/pki",
                                        "/etc/crypto-policies",
                                        "/usr/share/crypto-policies",
                                        NULL};
/* Whom to ask for an address, and whom to trust. */
static const char *const for_network[] = {"/etc/resolv.conf",
                                          "/etc/hosts",
                                          "/etc/nsswitch.conf",
                                          "/etc/host.conf",
                                          "/etc/gai.conf",
                                          "/etc/services",
                                          "/etc/ca-certificates",
                                          "/usr/share/ca-certificates",
                                          "/usr/local/share/ca-certificates",
                                          "/run/systemd/resolve",
                                          "/run/nscd",
                                          "/var/run/nscd",
                                          NULL};

/* The files that may be read. */
struct files {
    const char *v[FILES_MAX + 1];
    size_t n;
};

static void add_file(struct files *f, const char *path)
{
    if (path && f->n < FILES_MAX)
        f->v[f->n++] = path;
}

static void add_files(struct files *f, const char *const *paths)
{
    for (; *paths; paths++)
        add_file(f, *paths);
}

json_t *sup_worker_add_request(const char *home, const char *incoming, const char *release,
                               const char *app, const char *key)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s*}", "op", "add", "home", home, "incoming",
                     incoming, "release", release, "app", app, "key", key);
}

/* The file of a file: URL: what the library will open. Owned by the caller. */
static char *path_of_url(const char *url)
{
    const char *from = strchr(url + strlen("file://"), '/');
    char *path = rel_xstrdup(from ? from : ""), *to = path;

    for (const char *p = path; *p; p++) {
        char hex[3] = {p[1], p[1] ? p[2] : '\0', '\0'};
        bool escaped = *p == '%' && isxdigit((unsigned char)hex[0]) &&
                       isxdigit((unsigned char)hex[1]) && strcmp(hex, "00") != 0;

        *to++ = escaped ? (char)strtol(hex, NULL, 16) : *p;
        p += escaped ? 2 : 0;
    }
    *to = '\0';
    return path;
}

static int do_add(const json_t *request, json_t **answer, struct rel_err *e)
{
    const char *op, *home, *incoming, *release;
    struct sup_must must = {0};
    sup_autoarrival struct sup_arrival a = {0};
    rel_autofree char *releases = NULL, *local = NULL;
    struct files read = {0};
    bool url, remote;

    if (json_unpack_ex((json_t *)(uintptr_t)request, NULL, JSON_STRICT,
                       "{s:s, s:s, s:s, s:s, s?s, s?s}", "op", &op, "home", &home, "incoming",
                       &incoming, "release", &release, "app", &must.app, "key", &must.key) < 0)
        return rel_fail(e, REL_E_INTERNAL, 0, "the request to the worker is malformed");
    url = sup_is_url(release);
    local = url && !strncmp(release, "file://", 7) ? path_of_url(release) : NULL;
    remote = url && !local;
    releases = rel_strf("%s/releases", home);
    add_files(&read, libraries);
    add_file(&read, releases);
    add_file(&read, must.key);
    if (remote) {
        add_files(&read, for_network);
        add_file(&read, getenv("SSL_CERT_FILE"));
        add_file(&read, getenv("SSL_CERT_DIR"));
    } else {
        /* the links of a folder may lead anywhere: what is there is packed in their place */
        add_file(&read, local ? local : rel_is_dir(AT_FDCWD, release) ? "/" : release);
    }
    if (sup_confine(&(struct sup_confine){.read = read.v,
                                          .write = (const char *const[]){incoming, NULL},
                                          .network = remote},
                    e) < 0 ||
        sup_incoming_prepare(home, incoming, release, &must, &a, e) < 0)
        return -1;
    *answer = sup_arrival_json(&a);
    return 0;
}

json_t *sup_worker_inspect_request(const char *root)
{
    return json_pack("{s:s, s:s}", "op", "inspect", "root", root);
}

static int do_inspect(const json_t *request, json_t **answer, struct rel_err *e)
{
    rel_autofree char *mark = NULL;
    struct files read = {0};
    const char *op, *root;

    if (json_unpack_ex((json_t *)(uintptr_t)request, NULL, JSON_STRICT, "{s:s, s:s}", "op", &op,
                       "root", &root) < 0)
        return rel_fail(e, REL_E_INTERNAL, 0, "the request to the worker is malformed");
    add_files(&read, libraries);
    add_file(&read, root);
    if (sup_confine(&(struct sup_confine){.read = read.v, .write = (const char *const[]){NULL}},
                    e) < 0 ||
        sup_incoming_inspect(root, &mark, e) < 0)
        return -1;
    *answer = json_pack("{s:s}", "mark", mark);
    return 0;
}

json_t *sup_worker_diff_request(const char *old_root, const char *new_root)
{
    return json_pack("{s:s, s:s, s:s}", "op", "diff", "old", old_root, "new", new_root);
}

static int do_diff(const json_t *request, json_t **answer, struct rel_err *e)
{
    struct files read = {0};
    const char *op, *old_root, *new_root;

    if (json_unpack_ex((json_t *)(uintptr_t)request, NULL, JSON_STRICT, "{s:s, s:s, s:s}", "op",
                       &op, "old", &old_root, "new", &new_root) < 0)
        return rel_fail(e, REL_E_INTERNAL, 0, "the request to the worker is malformed");
    add_files(&read, libraries);
    add_file(&read, old_root);
    add_file(&read, new_root);
    if (sup_confine(&(struct sup_confine){.read = read.v, .write = (const char *const[]){NULL}},
                    e) < 0)
        return -1;
    return sup_diff_make(old_root, new_root, answer, e);
}

static int perform(const json_t *request, json_t **answer, struct rel_err *e)
{
    static const struct {
        const char *op;
        int (*work)(const json_t *request, json_t **answer, struct rel_err *e);
    } ops[] = {{"add", do_add}, {"inspect", do_inspect}, {"diff", do_diff}};
    const char *op = json_string_value(json_object_get(request, "op"));

    for (size_t i = 0; op && i < sizeof(ops) / sizeof(*ops); i++)
        if (!strcmp(ops[i].op, op))
            return ops[i].work(request, answer, e);
    return rel_fail(e, REL_E_USAGE, 0, "only relsup itself asks a worker for something");
}

/* One line. */
static json_t *read_request(void)
{
    rel_autofree char *text = rel_xmalloc(REQUEST_MAX);
    size_t len = 0;

    while (len < REQUEST_MAX && (!len || text[len - 1] != '\n')) {
        ssize_t n = read(STDIN_FILENO, text + len, REQUEST_MAX - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return NULL;
        len += (size_t)n;
    }
    return json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
}

int sup_worker_main(struct rel_err *e)
{
    json_auto_t *request = NULL, *answer = NULL;
    struct rel_err failed = {0};
    rel_autofree char *text = NULL;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    request = read_request();
    if (!request)
        return rel_fail(e, REL_E_USAGE, 0, "only relsup itself starts a worker");
    if (perform(request, &answer, &failed) < 0)
        answer = json_pack("{s:{s:s, s:i, s:s}}", "error", "code", rel_code_name(failed.code),
                           "sys", failed.sys, "text", failed.msg);
    text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
    if (!text)
        return rel_fail(e, REL_E_INPUT, 0, "the answer is not UTF-8: %s", failed.msg);
    return rel_write_all(STDOUT_FILENO, text, strlen(text), e);
}
