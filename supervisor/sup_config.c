/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "base/rel_json.h"
#include "pkg/pkg_sign.h"
#include "supervisor/sup_config_internal.h"
#include "supervisor/sup_trust.h"

enum { FILE_MAX = 1 << 20, SHIPPED_MAX = 1 << 16 };
enum { TIME_MAX_S = 86400, KEEP_MAX = 1000 };
enum { BOOT_MS = 60000, SHUTDOWN_MS = 30000, DRAIN_MS = 30000, KEEP = 3 };
enum { ATOM_MAX = 255 }; /* characters, of Erlang */
enum { DRAIN_RATE = 500, DRAIN_RATE_MAX = 1000000, NODE_NAME_MAX = 64 };
#define PREVIEW "127.83.0.1"

int sup_config_wrong(const struct sup_config_reader *r, const char *what, struct rel_err *e)
{
    const char *at = rel_json_find_key(r->text, r->key, 1);

    if (r->sub)
        at = rel_json_find_key(at, r->sub, 0);
    return rel_fail(e, REL_E_INPUT, 0, "%s:%d: %s%s%s %s", r->file, rel_json_line(r->text, at),
                    r->key, r->sub ? ": " : "", r->sub ? r->sub : "", what);
}

static int read_app(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    if (!json_is_string(v) || !*json_string_value(v))
        return sup_config_wrong(r, "must be the name of the application", e);
    r->c->app = rel_xstrdup(json_string_value(v));
    return 0;
}

int sup_config_time(const struct sup_config_reader *r, const json_t *v, int64_t *ms,
                    struct rel_err *e)
{
    double s = json_number_value(v);

    if (!json_is_number(v) || s <= 0 || s > TIME_MAX_S)
        return sup_config_wrong(r, "must be a number of seconds, more than 0 and at most 86400", e);
    *ms = (int64_t)(s * 1000);
    return 0;
}

static int read_boot(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    return sup_config_time(r, v, &r->c->boot_ms, e);
}

static int read_shutdown(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    return sup_config_time(r, v, &r->c->shutdown_ms, e);
}

static int read_drain(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    return sup_config_time(r, v, &r->c->drain_ms, e);
}

static int read_soak(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    if (json_is_number(v) && json_number_value(v) == 0) {
        r->c->soak_ms = 0;
        return 0;
    }
    return sup_config_time(r, v, &r->c->soak_ms, e);
}

static int read_drain_rate(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > DRAIN_RATE_MAX)
        return sup_config_wrong(r, "must be a whole number from 1 to 1000000", e);
    r->c->drain_rate = (int)json_integer_value(v);
    return 0;
}

/* Nobody but this host can come from there. */
static int read_preview(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    struct in_addr a;

    if (!json_is_string(v) || inet_pton(AF_INET, json_string_value(v), &a) != 1 ||
        ntohl(a.s_addr) >> 24 != 127 || ntohl(a.s_addr) == INADDR_LOOPBACK)
        return sup_config_wrong(r, "must be an address of 127.0.0.0/8 other than 127.0.0.1", e);
    r->c->preview = a;
    return 0;
}

static bool is_node_name(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    return len && len <= NODE_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == len;
}

static int read_node_names(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    const char *blue = json_string_value(json_array_get(v, 0));
    const char *green = json_string_value(json_array_get(v, 1));

    if (json_array_size(v) != 2 || !is_node_name(blue) || !is_node_name(green) ||
        !strcmp(blue, green))
        return sup_config_wrong(r, "must be a list of two different names, without a host", e);
    r->c->node_names[0] = rel_xstrdup(blue);
    r->c->node_names[1] = rel_xstrdup(green);
    return 0;
}

static int read_keep(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > KEEP_MAX)
        return sup_config_wrong(r, "must be a whole number from 0 to 1000", e);
    r->c->keep = (int)json_integer_value(v);
    return 0;
}

/* A relative path starts at the folder of relsup.json. That the key is one is seen at once, not at
 * the first upgrade. */
static int read_public_key(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    const char *file = json_string_value(v), *slash = strrchr(r->file, '/');
    pkg_autokey struct pkg_key *key = NULL;

    if (!file)
        return sup_config_wrong(r, "must be the path of a public key", e);
    free(r->c->key);
    r->c->key = *file == '/' || !slash ? rel_xstrdup(file)
                                       : rel_strf("%.*s/%s", (int)(slash - r->file), r->file, file);
    return pkg_key_read_public(r->c->key, &key, e) < 0 ? rel_wrap(e, "%s: key", r->file) : 0;
}

static int read_old_code(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    const char *what = json_string_value(v);

    if (!what || (strcmp(what, "keep") != 0 && strcmp(what, "refuse") != 0))
        return sup_config_wrong(r, "must be \"keep\" or \"refuse\"", e);
    r->c->refuse_old = !strcmp(what, "refuse");
    return 0;
}

static int read_callbacks(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    const char *process;
    json_t *module;

    if (!json_is_object(v))
        return sup_config_wrong(r, "must be an object of processes and their callback modules", e);
    r->c->callbacks = rel_xcalloc(json_object_size(v) + 1, sizeof(*r->c->callbacks));
    json_object_foreach ((json_t *)v, process, module) {
        const char *name = json_string_value(module);

        r->sub = process;
        if (!*process || strlen(process) > ATOM_MAX || !name || !*name || strlen(name) > ATOM_MAX)
            return sup_config_wrong(r, "must have the name of a module", e);
        r->c->callbacks[r->c->callback_n++] =
            (struct sup_callback){rel_xstrdup(process), rel_xstrdup(name)};
    }
    r->sub = NULL;
    return 0;
}

/* "$schema" is for editors. */
static int skip_schema(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    return json_is_string(v) ? 0 : sup_config_wrong(r, "must be a string", e);
}

static const struct {
    const char *key;
    int (*read)(struct sup_config_reader *r, const json_t *v, struct rel_err *e);
} keys[] = {
    {"$schema", skip_schema},
    {"app", read_app},
    {"boot_s", read_boot},
    {"shutdown_s", read_shutdown},
    {"keep", read_keep},
    {"env", sup_config_env},
    {"user", sup_config_user},
    {"capabilities", sup_config_capabilities},
    {"ports", sup_config_ports},
    {"key", read_public_key},
    {"drain_s", read_drain},
    {"soak_s", read_soak},
    {"drain_rate", read_drain_rate},
    {"preview_address", read_preview},
    {"node_names", read_node_names},
    {"health", sup_config_health},
    {"before_boot", sup_config_before_boot},
    {"before_cutover", sup_config_before_cutover},
    {"after_cutover", sup_config_after_cutover},
    {"hot_callbacks", read_callbacks},
    {"old_code", read_old_code},
};

/* What opens a home to others, or says as whom its programs run, is for its operator alone. */
static bool is_operators(const char *key)
{
    static const char *const names[] = {"key", "user", "capabilities", "env_file"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(names[i], key))
            return true;
    return false;
}

static int read_key(struct sup_config_reader *r, bool shipped, const char *key, const json_t *v,
                    struct rel_err *e)
{
    r->key = key;
    if (shipped && is_operators(key))
        return sup_config_wrong(r, "cannot come with a release, only from relsup.json of the home",
                                e);
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (!strcmp(keys[i].key, key))
            return keys[i].read(r, v, e);
    return rel_fail(e, REL_E_INPUT, 0, "%s:%d: unknown key '%s'", r->file,
                    rel_json_line(r->text, rel_json_find_key(r->text, key, 1)), key);
}

static int parse(struct sup_config *c, const char *text, size_t len, const char *file, bool shipped,
                 struct rel_err *e)
{
    json_error_t error;
    json_auto_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    struct sup_config_reader r = {.c = c, .file = file, .text = text};
    const char *key;
    json_t *v;

    if (!doc)
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d:%d: %s", file, error.line, error.column,
                        error.text);
    if (!json_is_object(doc))
        return rel_fail(e, REL_E_INPUT, 0, "%s:1: must be one object", file);
    json_object_foreach (doc, key, v)
        if (read_key(&r, shipped, key, v, e) < 0)
            return -1;
    return 0;
}

int sup_config_parse(const char *text, size_t len, const char *file, bool shipped,
                     struct sup_config *c, struct rel_err *e)
{
    struct sup_config read = {.boot_ms = BOOT_MS,
                              .shutdown_ms = SHUTDOWN_MS,
                              .drain_ms = DRAIN_MS,
                              .drain_rate = DRAIN_RATE,
                              .keep = KEEP};

    (void)inet_pton(AF_INET, PREVIEW, &read.preview);
    if (text && parse(&read, text, len, file, shipped, e) < 0) {
        sup_config_fini(&read);
        return -1;
    }
    *c = read;
    return 0;
}

/* Never waits: a named pipe is no file of settings. */
static int read_text(const char *file, bool shipped, char **text, size_t *len, struct rel_err *e)
{
    rel_autoclose int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return rel_fail(e, REL_E_INPUT, errno, "%s: open it", file);
    if (!S_ISREG(st.st_mode))
        return rel_fail(e, REL_E_INPUT, 0, "%s: is not a plain file", file);
    if (!shipped && sup_trust_file(fd, file, e) < 0)
        return -1;
    return rel_read_fd(fd, file, shipped ? SHIPPED_MAX : FILE_MAX, text, len, e);
}

static int read_file(const char *file, bool shipped, struct sup_config *c, struct rel_err *e)
{
    rel_autofree char *text = NULL;
    size_t len = 0;

    if (file && read_text(file, shipped, &text, &len, e) < 0)
        return -1;
    return sup_config_parse(text, len, file, shipped, c, e);
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
    if (is_there(home_file))
        return read_file(home_file, false, c, e);
    return read_file(is_there(release_file) ? release_file : NULL, true, c, e);
}

int sup_config_check_shipped(const char *release_file, struct rel_err *e)
{
    struct sup_config c;

    if (!is_there(release_file))
        return 0;
    if (read_file(release_file, true, &c, e) < 0)
        return -1;
    sup_config_fini(&c);
    return 0;
}

void sup_config_fini(struct sup_config *c)
{
    free(c->app);
    free(c->key);
    free(c->node_names[0]);
    free(c->node_names[1]);
    for (size_t i = 0; i < c->callback_n; i++) {
        free(c->callbacks[i].process);
        free(c->callbacks[i].module);
    }
    free(c->callbacks);
    sup_config_process_fini(c);
    sup_config_swap_fini(c);
    *c = (struct sup_config){0};
}
