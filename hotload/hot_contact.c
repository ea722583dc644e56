/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_contact.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>

#include "base/rel_io.h"
#include "hotload/hot_proc.h"

enum { CONTACT_MAX = 65536 };

struct hot_contact hot_contact_copy(const struct hot_contact *c)
{
    struct hot_contact copy = *c;

    copy.node = rel_xstrdup(c->node);
    copy.cookie_file = rel_xstrdup(c->cookie_file);
    copy.root = c->root ? rel_xstrdup(c->root) : NULL;
    copy.name = c->name ? rel_xstrdup(c->name) : NULL;
    copy.version = c->version ? rel_xstrdup(c->version) : NULL;
    return copy;
}

void hot_contact_fini(struct hot_contact *c)
{
    free(c->node);
    free(c->cookie_file);
    free(c->root);
    free(c->name);
    free(c->version);
    memset(c, 0, sizeof(*c));
}

/* Takes what it knows and leaves the rest: relctl travels inside a release and may be older than
 * the relsup that wrote the file. */
static int unpack(const char *path, json_t *doc, struct hot_contact *c, struct rel_err *e)
{
    const char *node, *cookie_file, *root, *name, *version;
    json_int_t port, pid, pid_start;
    int generation = 0, elixir = 0;
    json_error_t err;

    if (json_unpack_ex(doc, &err, 0, "{s:s, s:I, s:s, s:I, s:I, s:s, s:s, s:s, s?i, s?b}", "node",
                       &node, "port", &port, "cookie_file", &cookie_file, "pid", &pid, "pid_start",
                       &pid_start, "root", &root, "name", &name, "version", &version, "generation",
                       &generation, "elixir", &elixir) < 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s is no contact file: %s", path, err.text);
    if (port < 0 || port > 65535 || pid < 0 || pid > INT32_MAX || pid_start < 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s is no contact file: a number is out of range", path);
    *c = (struct hot_contact){
        .node = rel_xstrdup(node),
        .port = (int)port,
        .cookie_file = rel_xstrdup(cookie_file),
        .pid = (pid_t)pid,
        .pid_start = (uint64_t)pid_start,
        .root = rel_xstrdup(root),
        .name = rel_xstrdup(name),
        .version = rel_xstrdup(version),
        .generation = generation,
        .elixir = elixir != 0,
    };
    return 0;
}

int hot_contact_read(const char *path, struct hot_contact *c, struct rel_err *e)
{
    rel_autofree char *data = NULL;
    json_auto_t *doc = NULL;
    json_error_t err;
    size_t len;

    if (rel_read_file(AT_FDCWD, path, CONTACT_MAX, &data, &len, e) < 0) {
        if (e->sys == ENOENT || e->sys == ENOTDIR)
            e->code = REL_E_UNREACHABLE;
        return -1;
    }
    doc = json_loadb(data, len, JSON_REJECT_DUPLICATES, &err);
    if (!doc)
        return rel_fail(e, REL_E_INPUT, 0, "%s is no contact file: %s in line %d", path, err.text,
                        err.line);
    return unpack(path, doc, c, e);
}

int hot_contact_write(const char *path, const struct hot_contact *c, struct rel_err *e)
{
    json_auto_t *doc = json_pack(
        "{s:i, s:s, s:i, s:s, s:I, s:I, s:s, s:s, s:s, s:i, s:b}", "format", 1, "node", c->node,
        "port", c->port, "cookie_file", c->cookie_file, "pid", (json_int_t)c->pid, "pid_start",
        (json_int_t)c->pid_start, "root", c->root, "name", c->name, "version", c->version,
        "generation", c->generation, "elixir", c->elixir);
    rel_autofree char *text = NULL;
    rel_autobuf struct rel_buf b = {0};

    if (!doc)
        return rel_fail(e, REL_E_INPUT, 0, "write %s: a path or name is not UTF-8", path);
    text = json_dumps(doc, JSON_INDENT(1));
    if (!text)
        return rel_fail(e, REL_E_INTERNAL, 0, "write %s: cannot be printed as JSON", path);
    rel_buf_addf(&b, "%s\n", text);
    return rel_replace_file(AT_FDCWD, path, b.p, b.len, 0600, e);
}

uint64_t hot_pid_start(pid_t pid)
{
    struct hot_proc p;

    return hot_proc_read(pid, &p) ? p.start : 0;
}

bool hot_contact_alive(const struct hot_contact *c)
{
    struct hot_proc p;

    return hot_proc_read(c->pid, &p) && !p.zombie && (c->pid_start == 0 || p.start == c->pid_start);
}
