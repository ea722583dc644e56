/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "base/rel_regex.h"
#include "supervisor/sup_config_internal.h"

enum { LIST_MAX = 64, COUNT_MAX = 1000, PORT_MAX = 65535 };
enum { INTERVAL_MS = 1000, TIMEOUT_MS = 2000, FAILURES = 3, STEP_MS = 300000, CALL_MS = 5000 };

typedef int read_fn(const struct sup_config_reader *r, const json_t *v, void *to,
                    struct rel_err *e);

/* A key of an object, and what to do with its value. */
struct field {
    const char *key;
    read_fn *read;
    size_t offset;
};

static const struct field *find_field(const struct field *fields, const char *key)
{
    for (; fields->key; fields++)
        if (!strcmp(fields->key, key))
            return fields;
    return NULL;
}

static int read_fields(struct sup_config_reader *r, const json_t *v, const struct field *fields,
                       void *to, struct rel_err *e)
{
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)v, key, value) {
        const struct field *f = find_field(fields, key);

        if (!strcmp(key, "type"))
            continue;
        r->sub = key;
        if (!f)
            return sup_config_wrong(r, "is no key that is known here", e);
        if (f->read(r, value, (char *)to + f->offset, e) < 0)
            return -1;
    }
    r->sub = NULL;
    return 0;
}

static int read_string(const struct sup_config_reader *r, const json_t *v, void *to,
                       struct rel_err *e)
{
    char **text = to;

    if (!json_is_string(v) || !*json_string_value(v))
        return sup_config_wrong(r, "must be a string", e);
    free(*text);
    *text = rel_xstrdup(json_string_value(v));
    return 0;
}

static int read_regex(const struct sup_config_reader *r, const json_t *v, void *to,
                      struct rel_err *e)
{
    struct rel_err why = {0};
    rel_autofree char *what = NULL;

    if (read_string(r, v, to, e) < 0)
        return -1;
    if (!rel_regex_check(*(char **)to, &why))
        return 0;
    what = rel_strf("must be a regular expression: %s", why.msg);
    return sup_config_wrong(r, what, e);
}

static int read_number(const struct sup_config_reader *r, const json_t *v, int high, int *n,
                       struct rel_err *e)
{
    if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > high)
        return sup_config_wrong(r, "must be a whole number, more than 0", e);
    *n = (int)json_integer_value(v);
    return 0;
}

static int read_port(const struct sup_config_reader *r, const json_t *v, void *to,
                     struct rel_err *e)
{
    return read_number(r, v, PORT_MAX, to, e);
}

static int read_count(const struct sup_config_reader *r, const json_t *v, void *to,
                      struct rel_err *e)
{
    return read_number(r, v, COUNT_MAX, to, e);
}

static int read_bool(const struct sup_config_reader *r, const json_t *v, void *to,
                     struct rel_err *e)
{
    if (!json_is_boolean(v))
        return sup_config_wrong(r, "must be true or false", e);
    *(bool *)to = json_is_true(v);
    return 0;
}

static int read_seconds(const struct sup_config_reader *r, const json_t *v, void *to,
                        struct rel_err *e)
{
    return sup_config_time(r, v, to, e);
}

static int read_command(const struct sup_config_reader *r, const json_t *v, void *to,
                        struct rel_err *e)
{
    char ***command = to;
    json_t *word;
    size_t i;

    if (!json_is_array(v) || !json_array_size(v))
        return sup_config_wrong(r, "must be a list of a program and its arguments", e);
    json_array_foreach (v, i, word)
        if (!json_is_string(word))
            return sup_config_wrong(r, "must have strings only in its list", e);
    *command = rel_xcalloc(json_array_size(v) + 1, sizeof(**command));
    json_array_foreach (v, i, word)
        (*command)[i] = rel_xstrdup(json_string_value(word));
    return 0;
}

#define HEALTH(name, read, member)                      \
    {                                                   \
        name, read, offsetof(struct sup_health, member) \
    }
#define HEALTH_COMMON                                                                            \
    HEALTH("interval_s", read_seconds, interval_ms),                                             \
        HEALTH("timeout_s", read_seconds, timeout_ms), HEALTH("in_a_row", read_count, in_a_row), \
        HEALTH("failures", read_count, failures)

static const struct field http_fields[] = {HEALTH("port", read_port, port),
                                           HEALTH("path", read_string, path),
                                           HEALTH("host", read_string, host),
                                           HEALTH("tls", read_bool, tls),
                                           HEALTH("status", read_count, status),
                                           HEALTH("body", read_regex, body),
                                           HEALTH_COMMON,
                                           {0}};
static const struct field tcp_fields[] = {HEALTH("port", read_port, port), HEALTH_COMMON, {0}};
static const struct field rpc_fields[] = {HEALTH("expr", read_string, expr), HEALTH_COMMON, {0}};
static const struct field exec_fields[] = {
    HEALTH("command", read_command, command), HEALTH_COMMON, {0}};

static const struct field *const health_fields[SUP_PROBE_COUNT] = {
    [SUP_PROBE_HTTP] = http_fields,
    [SUP_PROBE_TCP] = tcp_fields,
    [SUP_PROBE_RPC] = rpc_fields,
    [SUP_PROBE_EXEC] = exec_fields,
};

static int health_kind(const char *type, enum sup_probe_kind *kind)
{
    static const char *const names[] = {
#define XX(constant, name) #name,
        SUP_PROBE_MAP(XX)
#undef XX
    };

    for (int i = 0; type && i < SUP_PROBE_COUNT; i++)
        if (health_fields[i] && !strcmp(names[i], type)) {
            *kind = (enum sup_probe_kind)i;
            return 0;
        }
    return -1;
}

static int read_health(struct sup_config_reader *r, const json_t *v, struct sup_health *h,
                       struct rel_err *e)
{
    *h = (struct sup_health){
        .interval_ms = INTERVAL_MS, .timeout_ms = TIMEOUT_MS, .in_a_row = 1, .failures = FAILURES};
    if (!json_is_object(v) ||
        health_kind(json_string_value(json_object_get(v, "type")), &h->kind) < 0)
        return sup_config_wrong(
            r, "must have objects with the \"type\" http, tcp, rpc or exec in its list", e);
    if (read_fields(r, v, health_fields[h->kind], h, e) < 0)
        return -1;
    if (h->kind == SUP_PROBE_HTTP && (!h->path || *h->path != '/'))
        return sup_config_wrong(r, "of type http needs a \"path\" that begins with /", e);
    if (h->kind == SUP_PROBE_RPC && !h->expr)
        return sup_config_wrong(r, "of type rpc needs an \"expr\"", e);
    if (h->kind == SUP_PROBE_EXEC && !h->command)
        return sup_config_wrong(r, "of type exec needs a \"command\"", e);
    return 0;
}

static int check_list(const struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    if (!json_is_array(v) || json_array_size(v) > LIST_MAX)
        return sup_config_wrong(r, "must be a list of at most 64", e);
    return 0;
}

int sup_config_health(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    json_t *one;
    size_t i;

    if (check_list(r, v, e) < 0)
        return -1;
    r->c->health = rel_xcalloc(json_array_size(v) + 1, sizeof(*r->c->health));
    json_array_foreach (v, i, one) {
        r->c->health_n = i + 1;
        if (read_health(r, one, &r->c->health[i], e) < 0)
            return -1;
    }
    return 0;
}

int sup_config_before_boot(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    static const struct field fields[] = {
        {"eval", read_string, offsetof(struct sup_boot_step, eval)},
        {"run", read_command, offsetof(struct sup_boot_step, run)},
        {"timeout_s", read_seconds, offsetof(struct sup_boot_step, timeout_ms)},
        {0}};
    json_t *one;
    size_t i;

    if (check_list(r, v, e) < 0)
        return -1;
    r->c->before_boot = rel_xcalloc(json_array_size(v) + 1, sizeof(*r->c->before_boot));
    json_array_foreach (v, i, one) {
        struct sup_boot_step *step = &r->c->before_boot[i];

        r->c->before_boot_n = i + 1;
        step->timeout_ms = STEP_MS;
        if (!json_is_object(one))
            return sup_config_wrong(r, "must have objects in its list", e);
        if (read_fields(r, one, fields, step, e) < 0)
            return -1;
        if (!step->eval == !step->run)
            return sup_config_wrong(r, "needs either \"eval\" or \"run\" in each", e);
    }
    return 0;
}

/* "shop_state:export", or "Shop.State.export" of Elixir. */
static int split_call(const struct sup_config_reader *r, const char *text, struct sup_call *call,
                      struct rel_err *e)
{
    const char *at = strchr(text, ':') ? strchr(text, ':') : strrchr(text, '.');

    if (!at || at == text || !at[1])
        return sup_config_wrong(
            r, "must name a function, as \"module:function\" or \"Module.function\"", e);
    free(call->module);
    free(call->function);
    call->module =
        rel_strf("%s%.*s", isupper((unsigned char)*text) ? "Elixir." : "", (int)(at - text), text);
    call->function = rel_xstrdup(at + 1);
    return 0;
}

static int read_call(const struct sup_config_reader *r, const json_t *v, void *to,
                     struct rel_err *e)
{
    if (!json_is_string(v))
        return sup_config_wrong(r, "must be a string", e);
    return split_call(r, json_string_value(v), to, e);
}

static int config_call(struct sup_config_reader *r, const json_t *v, struct sup_call *call,
                       struct rel_err *e)
{
    static const struct field fields[] = {
        {"call", read_call, 0},
        {"timeout_s", read_seconds, offsetof(struct sup_call, timeout_ms)},
        {0}};

    call->timeout_ms = CALL_MS;
    if (!json_is_object(v))
        return read_call(r, v, call, e);
    if (read_fields(r, v, fields, call, e) < 0)
        return -1;
    return call->module ? 0 : sup_config_wrong(r, "needs a \"call\"", e);
}

int sup_config_before_cutover(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    return config_call(r, v, &r->c->before_cutover, e);
}

int sup_config_after_cutover(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    return config_call(r, v, &r->c->after_cutover, e);
}

void sup_config_free_words(char **words)
{
    for (char **w = words; w && *w; w++)
        free(*w);
    free(words);
}

void sup_config_swap_fini(struct sup_config *c)
{
    for (size_t i = 0; i < c->health_n; i++) {
        struct sup_health *h = &c->health[i];

        free(h->path);
        free(h->host);
        free(h->body);
        free(h->expr);
        sup_config_free_words(h->command);
    }
    free(c->health);
    for (size_t i = 0; i < c->before_boot_n; i++) {
        free(c->before_boot[i].eval);
        sup_config_free_words(c->before_boot[i].run);
    }
    free(c->before_boot);
    free(c->before_cutover.module);
    free(c->before_cutover.function);
    free(c->after_cutover.module);
    free(c->after_cutover.function);
}
