/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>

#include "base/rel_io.h"
#include "base/rel_json.h"
#include "pkg/pkg_sign.h"

enum { FILE_MAX = 1 << 20, TIME_MAX_S = 86400, KEEP_MAX = 1000 };
enum { BOOT_MS = 60000, SHUTDOWN_MS = 30000, KEEP = 3 };

struct reader {
    struct sup_config *c;
    const char *file, *text, *key;
};

static int wrong(const struct reader *r, const char *what, struct rel_err *e)
{
    return rel_fail(e, REL_E_INPUT, 0, "%s:%d: %s %s", r->file,
                    rel_json_line(r->text, rel_json_find_key(r->text, r->key, 1)), r->key, what);
}

static int read_app(struct reader *r, const json_t *v, struct rel_err *e)
{
    if (!json_is_string(v) || !*json_string_value(v))
        return wrong(r, "must be the name of the application", e);
    r->c->app = rel_xstrdup(json_string_value(v));
    return 0;
}

static int read_time(struct reader *r, const json_t *v, int64_t *ms, struct rel_err *e)
{
    double s = json_number_value(v);

    if (!json_is_number(v) || s <= 0 || s > TIME_MAX_S)
        return wrong(r, "must be a number of seconds, more than 0 and at most 86400", e);
    *ms = (int64_t)(s * 1000);
    return 0;
}

static int read_boot(struct reader *r, const json_t *v, struct rel_err *e)
{
    return read_time(r, v, &r->c->boot_ms, e);
}

static int read_shutdown(struct reader *r, const json_t *v, struct rel_err *e)
{
    return read_time(r, v, &r->c->shutdown_ms, e);
}

static int read_keep(struct reader *r, const json_t *v, struct rel_err *e)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > KEEP_MAX)
        return wrong(r, "must be a whole number from 0 to 1000", e);
    r->c->keep = (int)json_integer_value(v);
    return 0;
}

static bool is_variable(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    while (isalnum((unsigned char)*name) || *name == '_')
        name++;
    return *name == '\0';
}

/* What tells a peer who it is and keeps it off the ports of others. */
static bool is_ours(const char *name)
{
    static const char *const ours[] = {"RELEASE_NODE", "RELEASE_TMP",       "ERL_AFLAGS",
                                       "RELSUP_HOME",  "RELSUP_GENERATION", "RELEASE_DISTRIBUTION"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
        if (!strcmp(ours[i], name))
            return true;
    return false;
}

static int wrong_variable(const struct reader *r, const char *name, const char *what,
                          struct rel_err *e)
{
    const char *from = rel_json_find_key(r->text, r->key, 1);

    return rel_fail(e, REL_E_INPUT, 0, "%s:%d: env: '%s' %s", r->file,
                    rel_json_line(r->text, rel_json_find_key(from, name, 0)), name, what);
}

static int read_env(struct reader *r, const json_t *v, struct rel_err *e)
{
    const char *name;
    json_t *value;
    size_t n = 0;

    if (!json_is_object(v))
        return wrong(r, "must be an object of names and strings", e);
    r->c->env = rel_xcalloc(json_object_size(v) + 1, sizeof(*r->c->env));
    json_object_foreach ((json_t *)v, name, value) {
        if (!is_variable(name))
            return wrong_variable(r, name, "is no name of a variable", e);
        if (is_ours(name))
            return wrong_variable(r, name, "is set by relsup itself", e);
        if (!json_is_string(value))
            return wrong_variable(r, name, "must have a string", e);
        r->c->env[n++] = rel_strf("%s=%s", name, json_string_value(value));
    }
    return 0;
}

/* A relative path starts at the folder of relsup.json. That the key is one is seen at once, not at
 * the first upgrade. */
static int read_public_key(struct reader *r, const json_t *v, struct rel_err *e)
{
    const char *file = json_string_value(v), *slash = strrchr(r->file, '/');
    pkg_autokey struct pkg_key *key = NULL;

    if (!file)
        return wrong(r, "must be the path of a public key", e);
    free(r->c->key);
    r->c->key = *file == '/' || !slash ? rel_xstrdup(file)
                                       : rel_strf("%.*s/%s", (int)(slash - r->file), r->file, file);
    return pkg_key_read_public(r->c->key, &key, e) < 0 ? rel_wrap(e, "%s: key", r->file) : 0;
}

/* "$schema" is for editors. */
static int skip_schema(struct reader *r, const json_t *v, struct rel_err *e)
{
    return json_is_string(v) ? 0 : wrong(r, "must be a string", e);
}

static const struct {
    const char *key;
    int (*read)(struct reader *r, const json_t *v, struct rel_err *e);
} keys[] = {
    {"$schema", skip_schema},      {"app", read_app},   {"boot_s", read_boot},
    {"shutdown_s", read_shutdown}, {"keep", read_keep}, {"env", read_env},
    {"key", read_public_key},
};

static int read_key(struct reader *r, const char *key, const json_t *v, struct rel_err *e)
{
    r->key = key;
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (!strcmp(keys[i].key, key))
            return keys[i].read(r, v, e);
    return rel_fail(e, REL_E_INPUT, 0, "%s:%d: unknown key '%s'", r->file,
                    rel_json_line(r->text, rel_json_find_key(r->text, key, 1)), key);
}

static int read_file(struct sup_config *c, const char *file, struct rel_err *e)
{
    rel_autofree char *text = NULL;
    json_auto_t *doc = NULL;
    json_error_t error;
    struct reader r = {.c = c, .file = file};
    const char *key;
    json_t *v;
    size_t len;

    if (rel_read_file(AT_FDCWD, file, FILE_MAX, &text, &len, e) < 0) {
        e->code = e->sys == ENOENT || e->sys == EACCES ? REL_E_INPUT : e->code;
        return -1;
    }
    doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!doc)
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d:%d: %s", file, error.line, error.column,
                        error.text);
    if (!json_is_object(doc))
        return rel_fail(e, REL_E_INPUT, 0, "%s:1: must be one object", file);
    r.text = text;
    json_object_foreach (doc, key, v)
        if (read_key(&r, key, v, e) < 0)
            return -1;
    return 0;
}

/* A link that leads nowhere is there, and an error when it is read: a file system that is not
 * mounted yet must not mean that no key is asked for. */
static bool is_there(const char *file)
{
    return file && (faccessat(AT_FDCWD, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT);
}

int sup_config_read(const char *home_file, const char *release_file, struct sup_config *c,
                    struct rel_err *e)
{
    struct sup_config read = {.boot_ms = BOOT_MS, .shutdown_ms = SHUTDOWN_MS, .keep = KEEP};
    const char *file = NULL;

    if (is_there(home_file))
        file = home_file;
    else if (is_there(release_file))
        file = release_file;
    if (file && read_file(&read, file, e) < 0) {
        sup_config_fini(&read);
        return -1;
    }
    *c = read;
    return 0;
}

void sup_config_fini(struct sup_config *c)
{
    for (char **p = c->env; p && *p; p++)
        free(*p);
    free(c->env);
    free(c->app);
    free(c->key);
    *c = (struct sup_config){0};
}
