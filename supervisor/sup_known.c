/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_known.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>

#include "base/rel_io.h"

enum { VERSION = 1, FILE_MAX = 1 << 18, RUNS_MAX = 16, LISTENERS_MAX = 256, PORT_MAX = 65535 };

static void run_fini(struct sup_known_run *run)
{
    free(run->release);
    swap_listeners_fini(&run->l);
}

void sup_known_fini(struct sup_known *k)
{
    for (size_t i = 0; i < k->n; i++)
        run_fini(&k->v[i]);
    free(k->v);
    *k = (struct sup_known){0};
}

static bool parse_listener(json_t *o, struct swap_listener *l)
{
    const char *address;
    unsigned char raw[16];
    int port, v6only, same;

    if (json_unpack_ex(o, NULL, JSON_STRICT, "{s:s, s:i, s:b, s:i}", "address", &address, "port",
                       &port, "v6only", &v6only, "same", &same) < 0 ||
        port < 1 || port > PORT_MAX || same < 1 || strlen(address) >= sizeof(l->address))
        return false;
    *l = (struct swap_listener){.family = strchr(address, ':') ? AF_INET6 : AF_INET,
                                .port = (in_port_t)port,
                                .fd = -1,
                                .v6only = v6only,
                                .same_n = (unsigned)same};
    return inet_pton(l->family, address, raw) == 1 &&
           inet_ntop(l->family, raw, l->address, sizeof(l->address)); /* one text an address */
}

static bool parse_run(json_t *o, struct sup_known_run *run)
{
    const char *release;
    json_t *list, *one;
    size_t i;

    if (json_unpack_ex(o, NULL, JSON_STRICT, "{s:s, s:i, s:o}", "release", &release, "generation",
                       &run->generation, "listens", &list) < 0 ||
        !json_is_array(list) || json_array_size(list) > LISTENERS_MAX)
        return false;
    run->release = rel_xstrdup(release);
    run->l.v = rel_xcalloc(json_array_size(list) + 1, sizeof(*run->l.v));
    json_array_foreach (list, i, one)
        if (!parse_listener(one, &run->l.v[run->l.n++]))
            return false;
    if (run->l.n)
        qsort(run->l.v, run->l.n, sizeof(*run->l.v), swap_listener_order);
    return true;
}

int sup_known_parse(const char *text, size_t len, struct sup_known *k, struct rel_err *e)
{
    json_auto_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    sup_autoknown struct sup_known got = {0};
    json_t *runs, *one;
    int version;
    size_t i;

    if (!doc ||
        json_unpack_ex(doc, NULL, JSON_STRICT, "{s:i, s:o}", "v", &version, "runs", &runs) < 0 ||
        version != VERSION || !json_is_array(runs) || json_array_size(runs) > RUNS_MAX)
        return rel_fail(e, REL_E_INPUT, 0, "is not a list of listeners in this version's format");
    got.v = rel_xcalloc(json_array_size(runs) + 1, sizeof(*got.v));
    json_array_foreach (runs, i, one) {
        got.n = i + 1;
        if (!parse_run(one, &got.v[i]))
            return rel_fail(e, REL_E_INPUT, 0, "run %zu is malformed", i + 1);
    }
    *k = got;
    got = (struct sup_known){0};
    return 0;
}

int sup_known_read(const char *home, struct sup_known *k, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/run/listens.json", home), *text = NULL;
    size_t len;

    if (!rel_is_file(AT_FDCWD, path)) {
        *k = (struct sup_known){0};
        return 0;
    }
    if (rel_read_file(AT_FDCWD, path, FILE_MAX, &text, &len, e) < 0)
        return -1;
    return sup_known_parse(text, len, k, e) < 0 ? rel_wrap(e, "%s", path) : 0;
}

static json_t *run_json(const struct sup_known_run *run)
{
    json_t *list = json_array();

    for (size_t i = 0; i < run->l.n; i++) {
        const struct swap_listener *l = &run->l.v[i];

        json_array_append_new(list,
                              json_pack("{s:s, s:i, s:b, s:i}", "address", l->address, "port",
                                        (int)l->port, "v6only", l->v6only, "same", (int)l->same_n));
    }
    return json_pack("{s:s, s:i, s:o}", "release", run->release, "generation", run->generation,
                     "listens", list);
}

int sup_known_write(const char *home, const struct sup_known *k, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/run/listens.json", home), *text = NULL;
    json_t *runs = json_array();
    json_auto_t *doc = json_pack("{s:i, s:o}", "v", VERSION, "runs", runs);

    for (size_t i = 0; i < k->n; i++)
        json_array_append_new(runs, run_json(&k->v[i]));
    text = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return rel_fail(e, REL_E_INTERNAL, 0, "%s: cannot be written as JSON", path);
    return rel_replace_file(AT_FDCWD, path, text, strlen(text), 0600, e);
}

/* Of that generation again: the count is the one that it had. */
static void count_same(const struct sup_known_run *before, int generation, struct swap_listeners *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct swap_listener *was = before ? swap_listeners_find(&before->l, &l->v[i]) : NULL;

        l->v[i].same_n = was ? was->same_n + (before->generation != generation) : 1;
    }
}

static void drop(struct sup_known *k, size_t at)
{
    run_fini(&k->v[at]);
    memmove(&k->v[at], &k->v[at + 1], (--k->n - at) * sizeof(*k->v));
}

void sup_known_note(struct sup_known *k, const char *release, int generation,
                    const struct swap_listeners *l)
{
    struct sup_known_run run = {
        .release = rel_xstrdup(release), .generation = generation, .l = swap_listeners_copy(l)};

    if (run.l.n > LISTENERS_MAX)
        run.l.n = LISTENERS_MAX;
    count_same(sup_known_of(k, NULL), generation, &run.l);
    for (size_t i = k->n; i--;)
        if (!strcmp(k->v[i].release, release))
            drop(k, i);
    if (k->n == RUNS_MAX)
        drop(k, 0);
    k->v = rel_xrealloc(k->v, k->n + 1, sizeof(*k->v));
    k->v[k->n++] = run;
}

const struct sup_known_run *sup_known_of(const struct sup_known *k, const char *release)
{
    for (size_t i = k->n; i--;)
        if (!release || !strcmp(k->v[i].release, release))
            return &k->v[i];
    return NULL;
}
