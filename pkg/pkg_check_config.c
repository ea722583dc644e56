/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration that is packed: secrets in it, and a Phoenix endpoint that it does not start.
 * A value is never shown, only where it stands. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "pkg/pkg_check_internal.h"

/* Where a walk over a term is: "shop.Shop.Repo.password". */
struct walk {
    struct pkg_checking *k;
    const char *where; /* "sys.config" */
    const char *file;  /* in the release */
    struct rel_buf path;
};

static bool ends_with(const char *s, size_t n, const char *end)
{
    size_t end_n = strlen(end);

    return n >= end_n && !strncasecmp(s + n - end_n, end, end_n);
}

/* secret_key_base, db_password, "API-Key": one of the words, alone or behind a separator. */
static bool is_secret_name(const char *name)
{
    static const char *const words[] = {
        "password",   "passwd",          "passphrase",  "secret",         "token",
        "api_key",    "apikey",          "api-key",     "private_key",    "access_key",
        "secret_key", "secret_key_base", "credentials", "encryption_key", "access_key_id"};
    size_t n = strlen(name);

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        size_t word_n = strlen(words[i]);

        if (ends_with(name, n, words[i]) &&
            (n == word_n || !isalnum((unsigned char)name[n - word_n - 1])))
            return true;
    }
    return false;
}

/* What is filled in on the host, or plainly waits for somebody to do it. */
static bool is_placeholder(const char *value)
{
    static const char *const marks[] = {"${", "{{", "<%", "$("};
    static const char *const words[] = {"changeme",  "change_me",  "change-me",
                                        "replaceme", "replace_me", "replace-me",
                                        "todo",      "example",    "dummy"};
    size_t same = strspn(value, "xX*.-_ ");

    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
        if (strstr(value, marks[i]))
            return true;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (!strcasecmp(value, words[i]))
            return true;
    return !value[same] || (value[0] == '<' && value[strlen(value) - 1] == '>');
}

/* The access key id of AWS: AKIA or ASIA and 16 letters and digits (IAM User Guide, "IAM
 * identifiers"). */
static bool has_aws_key(const char *value)
{
    for (const char *p = value; (p = strpbrk(p, "A")); p++) {
        size_t n = 4;

        if (strncmp(p, "AKIA", 4) != 0 && strncmp(p, "ASIA", 4) != 0)
            continue;
        if (p > value && isalnum((unsigned char)p[-1]))
            continue;
        while (isupper((unsigned char)p[n]) || isdigit((unsigned char)p[n]))
            n++;
        if (n == 20)
            return true;
    }
    return false;
}

/* scheme://user:password@host, of a database or a proxy */
static bool has_url_password(const char *value)
{
    const char *p = strstr(value, "://"), *colon, *at;

    if (!p)
        return false;
    p += 3;
    at = p + strcspn(p, "@/ ");
    colon = p + strcspn(p, ":");
    return *at == '@' && colon < at && colon + 1 < at;
}

/* What the value is by its look, or NULL. */
static const char *looks_like(const char *value)
{
    if (strstr(value, "-----BEGIN ") && strstr(value, "PRIVATE KEY-----"))
        return "a private key";
    if (has_aws_key(value))
        return "an access key of AWS";
    if (has_url_password(value) && !is_placeholder(value))
        return "a URL with a password";
    return NULL;
}

static void found(struct walk *w, const char *what)
{
    pkg_checking_add(w->k, PKG_CHECK_SECRET, w->file,
                     rel_strf("%s: %s looks like %s, and everybody who has the release can read "
                              "it; set it on the host, from the environment or a file",
                              w->where, w->path.p, what));
}

/* The text of a string, a binary or a list of characters; the caller frees it. NULL for others. */
static char *text_of(const struct pkg_term *t)
{
    const char *s = pkg_chars(t);

    return s && *s ? rel_xstrdup(s) : NULL;
}

static void walk(struct walk *w, const struct pkg_term *t);

static void walk_pair(struct walk *w, const struct pkg_term *key, const struct pkg_term *value)
{
    const char *name = pkg_atom_text(key);
    rel_autofree char *text = text_of(value);
    size_t len = w->path.len;

    if (!name)
        name = pkg_chars(key);
    if (name && *name)
        rel_buf_addf(&w->path, "%s%s", len ? "." : "",
                     strncmp(name, "Elixir.", 7) != 0 ? name : name + 7);
    if (name && text && is_secret_name(name) && !looks_like(text)) {
        if (!is_placeholder(text))
            found(w, "a secret");
    } else {
        walk(w, value);
    }
    w->path.len = len;
    rel_buf_add(&w->path, "", 0);
}

static void walk(struct walk *w, const struct pkg_term *t)
{
    rel_autofree char *text = text_of(t);

    if (text) {
        if (looks_like(text))
            found(w, looks_like(text));
        return;
    }
    if (!t || (t->kind != PKG_LIST && t->kind != PKG_TUPLE && t->kind != PKG_MAP))
        return;
    if (pkg_is_tuple(t, 2) || t->kind == PKG_MAP) {
        for (size_t i = 0; i + 1 < t->seq.n; i += 2)
            walk_pair(w, t->seq.v[i], t->seq.v[i + 1]);
        return;
    }
    for (size_t i = 0; i < t->seq.n; i++)
        walk(w, t->seq.v[i]);
}

static void check_secrets(struct pkg_checking *k, const struct pkg_term *config, const char *file)
{
    struct walk w = {.k = k, .where = "sys.config", .file = file};

    rel_buf_adds(&w.path, "");
    walk(&w, config);
    for (size_t i = 0; i < k->app_n; i++) {
        const struct pkg_app *app = k->apps[i].rel->app;
        rel_autofree char *path = rel_strf("%sebin/%s.app", k->apps[i].dir, app->name);
        rel_autofree char *name = rel_strf("%s.app", app->name);

        w.where = name;
        w.file = path;
        if (k->apps[i].own)
            walk(&w, app->env);
    }
    rel_buf_fini(&w.path);
}

static const struct pkg_file *find_setting(const struct pkg_checking *k, const char *name)
{
    rel_autofree char *path = rel_strf("releases/%s/%s", k->c->rel->vsn, name);

    return pkg_survey_find(k->c->survey, path);
}

static char *next_word(char **p)
{
    char *word = *p + strspn(*p, " \t\r");
    size_t n = strcspn(word, " \t\r");

    *p = word + n + (word[n] != '\0');
    word[n] = '\0';
    return word;
}

/* A value that the shell, or the launcher, fills in on the host is none of ours. */
static bool is_literal(char *value)
{
    size_t n = strlen(value);

    if (n > 1 && (*value == '"' || *value == '\'') && value[n - 1] == *value) {
        value[n - 1] = '\0';
        memmove(value, value + 1, n - 1);
    }
    return *value && !strpbrk(value, "$`") && !is_placeholder(value);
}

/* "export DB_PASSWORD=x" of env.sh, "-env DB_PASSWORD x" of vm.args. */
static void check_line(struct walk *w, char *line)
{
    char *first = next_word(&line), *name = first, *value;

    if (*first == '#')
        return;
    if (!strcmp(first, "export") || !strcmp(first, "-env"))
        name = next_word(&line);
    value = strcmp(first, "-env") != 0 ? strchr(name, '=') : next_word(&line);
    if (value && *value == '=')
        *value++ = '\0';
    if (!value || !is_literal(value) || (!is_secret_name(name) && !looks_like(value)))
        return;
    w->path.len = 0;
    rel_buf_adds(&w->path, name);
    found(w, looks_like(value) ? looks_like(value) : "a secret");
}

static void check_lines(struct pkg_checking *k)
{
    static const char *const names[] = {"env.sh", "vm.args", "vm.args.src"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const struct pkg_file *file = find_setting(k, names[i]);
        rel_autofree char *text = file && file->text ? rel_xstrdup(file->text) : NULL;
        struct walk w = {.k = k, .where = names[i], .file = file ? file->path : NULL};
        char *save = NULL;

        for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l;
             l = strtok_r(NULL, "\n", &save))
            check_line(&w, l);
        rel_buf_fini(&w.path);
    }
}

/* The end of ${NAME} or ${NAME:-default}, whose default may hold further braces. */
static const char *variable_end(const char *p)
{
    int depth = 0;

    for (; *p; p++) {
        depth += *p == '{';
        depth -= *p == '}';
        if (*p == '}' && !depth)
            return p + 1;
    }
    return p;
}

/* A text in which terms may be variables, "{port, ${PORT}}", as one that can be read: each is a 0.
 * Those inside of strings stay: a string that holds one is no secret. */
static char *without_variables(const char *text)
{
    rel_autobuf struct rel_buf out = {0};
    char quote = 0;

    while (*text) {
        if (!quote && *text == '%') {
            text += strcspn(text, "\n");
        } else if (!quote && text[0] == '$' && text[1] == '{') {
            text = variable_end(text);
            rel_buf_adds(&out, "0");
        } else {
            size_t n = (*text == '\\' || (!quote && *text == '$')) && text[1] ? 2 : 1;

            if (n == 1 && (*text == '"' || *text == '\''))
                quote = !quote ? *text : quote == *text ? 0 : quote;
            rel_buf_add(&out, text, n);
            text += n;
        }
    }
    return rel_buf_take(&out);
}

/* sys.config as one list; what names further files in it is passed over. NULL when there is none,
 * or when it is only whole on the host: assembling has refused what cannot be read. */
static const struct pkg_term *read_config(struct pkg_checking *k, const struct pkg_file *file)
{
    rel_autofree char *text = file && file->text ? without_variables(file->text) : NULL;
    struct rel_err ignored = {0};
    struct pkg_terms terms;

    if (!text || pkg_terms_parse(&k->arena, text, strlen(text), "sys.config", &terms, &ignored) < 0)
        return NULL;
    return terms.n == 1 ? terms.v[0] : NULL;
}

static bool is_endpoint(const struct pkg_check_module *m)
{
    const struct pkg_term *all = m->file->module->attributes;

    for (size_t i = 0; i < pkg_len(all); i++) {
        const struct pkg_term *list = pkg_at(pkg_at(all, i), 1);

        if (!pkg_is_tagged(pkg_at(all, i), "behaviour", 2) &&
            !pkg_is_tagged(pkg_at(all, i), "behavior", 2))
            continue;
        for (size_t n = 0; n < pkg_len(list); n++)
            if (pkg_is_atom(pkg_at(list, n), "Elixir.Phoenix.Endpoint"))
                return true;
    }
    return false;
}

static bool mentions(const struct pkg_checking *k, const char *setting, const char *what)
{
    const struct pkg_file *file = find_setting(k, setting);

    return file && file->text && strstr(file->text, what);
}

/* Set at run time, by code that is not read here: its mere mention is enough. */
static bool is_set_later(const struct pkg_checking *k)
{
    return mentions(k, "runtime.exs", "server: true") || mentions(k, "runtime.exs", "PHX_SERVER") ||
           mentions(k, "runtime.exs", "serve_endpoints") || mentions(k, "env.sh", "PHX_SERVER") ||
           mentions(k, "vm.args", "serve_endpoints") ||
           mentions(k, "vm.args.src", "serve_endpoints");
}

/* config :phoenix, :serve_endpoints, true, or `server: true` of the endpoint. */
static bool serves(const struct pkg_term *config, const struct pkg_check_module *m)
{
    const struct pkg_term *of_app = pkg_get(config, pkg_checking_app_name(m->app));

    return pkg_is_atom(pkg_get(pkg_get(config, "phoenix"), "serve_endpoints"), "true") ||
           pkg_is_atom(pkg_get(pkg_get(of_app, m->name), "server"), "true");
}

static void check_phoenix(struct pkg_checking *k, const struct pkg_term *config)
{
    if (is_set_later(k))
        return;
    for (size_t i = 0; i < k->module_n; i++) {
        const struct pkg_check_module *m = &k->modules[i];

        if (!m->file || !m->app || !m->app->examined || !is_endpoint(m) || serves(config, m))
            continue;
        pkg_checking_add(
            k, PKG_CHECK_PHOENIX_SERVER, m->file->path,
            rel_strf("nothing tells the endpoint %s to serve; set server: true for it in "
                     "config/runtime.exs",
                     strncmp(m->name, "Elixir.", 7) != 0 ? m->name : m->name + 7));
    }
}

void pkg_check_config(struct pkg_checking *k)
{
    const struct pkg_file *file = find_setting(k, "sys.config");
    const struct pkg_term *config;

    if (!file)
        file = find_setting(k, "sys.config.src");
    config = read_config(k, file);
    if (pkg_checking_wants(k, PKG_CHECK_SECRET))
        check_secrets(k, config, file ? file->path : NULL);
    if (pkg_checking_wants(k, PKG_CHECK_SECRET))
        check_lines(k);
    if (pkg_checking_wants(k, PKG_CHECK_PHOENIX_SERVER))
        check_phoenix(k, config);
}
