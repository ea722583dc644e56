/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_settings.h"

#include <string.h>

static int by_name(const void *x, const void *y)
{
    const struct pkg_setting *a = x, *b = y;
    int c = strcmp(a->app, b->app);

    return c ? c : strcmp(a->key, b->key);
}

static int by_flag(const void *x, const void *y)
{
    const struct pkg_flag *a = x, *b = y;
    int c = strcmp(a->name, b->name);

    return c ? c : strcmp(a->args, b->args);
}

static const char *unreadable(struct pkg_settings *s, const char *why)
{
    return pkg_arena_strndup(&s->arena, why, strlen(why));
}

static size_t count_keys(const struct pkg_term *config)
{
    size_t n = 0;

    for (size_t i = 0; i < pkg_len(config); i++)
        n += pkg_len(pkg_at(pkg_at(config, i), 1));
    return n;
}

/* [{App, [{Key, Value}]} | "further file"]; such a file stands as a key of "sys.config". */
static void read_config(struct pkg_settings *s, const struct pkg_term *config)
{
    s->v = pkg_arena_alloc(&s->arena, (count_keys(config) + pkg_len(config) + 1) * sizeof(*s->v));
    for (size_t i = 0; i < pkg_len(config); i++) {
        const char *file = pkg_chars(pkg_at(config, i));
        const char *app = pkg_atom_text(pkg_at(pkg_at(config, i), 0));
        const struct pkg_term *keys = pkg_at(pkg_at(config, i), 1);

        if (file)
            s->v[s->n++] = (struct pkg_setting){.app = "sys.config", .key = file};
        for (size_t j = 0; app && j < pkg_len(keys); j++) {
            const struct pkg_term *pair = pkg_at(keys, j);
            const char *key = pkg_atom_text(pkg_at(pair, 0));

            if (key)
                s->v[s->n++] =
                    (struct pkg_setting){.app = app, .key = key, .value = pkg_at(pair, 1)};
        }
    }
    qsort(s->v, s->n, sizeof(*s->v), by_name);
}

static bool is_flag(const char *word)
{
    return *word == '+' || (*word == '-' && word[1] && strchr("0123456789", word[1]) == NULL);
}

/* The next word of *at, its marks taken away in place, as erlexec reads an -args_file: quotes hold
 * until their like, a backslash outside of them quotes one character, '#' outside of them begins a
 * comment, also within a word [tried on OTP 25]. NULL at the end. */
static char *next_word(char **at)
{
    char *from = *at, *word, *to;

    while (*from && strchr(" \t\r\n#", *from))
        from += *from == '#' ? strcspn(from, "\n") : 1;
    if (!*from)
        return NULL;
    word = to = from;
    while (*from && !strchr(" \t\r\n#", *from)) {
        char quote = *from;
        size_t n;

        if (quote == '"' || quote == '\'') {
            const char *end = strchr(++from, quote);

            n = end ? (size_t)(end - from) : strlen(from);
            memmove(to, from, n);
            from += n + (end != NULL);
        } else {
            from += quote == '\\' && from[1];
            *to = *from++;
            n = 1;
        }
        to += n;
    }
    from += *from == '#' ? strcspn(from, "\n") : *from != 0;
    *to = '\0';
    *at = from;
    return word;
}

/* How many words belong to the flag whatever they look like: a value may begin with "+". */
static size_t words_of(const char *flag)
{
    return !strcmp(flag, "-env") ? 2 : !strcmp(flag, "-extra") ? SIZE_MAX : 0;
}

/* "--password=x" is named without its value. */
static struct pkg_flag *add_flag(struct pkg_settings *s, const char *word)
{
    struct pkg_flag *flag = &s->flags[s->flag_n++];
    size_t n = strcspn(word, "=");

    *flag = (struct pkg_flag){.name = pkg_arena_strndup(&s->arena, word, n),
                              .args = word[n] ? word + n + 1 : ""};
    return flag;
}

static void end_flag(struct pkg_settings *s, struct pkg_flag *flag, struct rel_buf *args)
{
    if (flag && args->len)
        flag->args = pkg_arena_strndup(&s->arena, args->p, args->len);
    args->len = 0;
}

/* A flag and what follows it is one setting. */
static void read_flags(struct pkg_settings *s, const char *text)
{
    size_t len = strlen(text), own = 0;
    char *copy = pkg_arena_strndup(&s->arena, text, len);
    rel_autobuf struct rel_buf args = {0};
    struct pkg_flag *flag = NULL;

    s->flags = pkg_arena_alloc(&s->arena, (len / 2 + 1) * sizeof(*s->flags));
    for (char *word = next_word(&copy); word; word = next_word(&copy)) {
        if (!flag || (!own && is_flag(word))) {
            end_flag(s, flag, &args);
            flag = add_flag(s, word);
            own = words_of(flag->name);
            rel_buf_adds(&args, flag->args);
            continue;
        }
        own -= own > 0;
        rel_buf_addf(&args, "%s%s", args.len ? " " : "", word);
    }
    end_flag(s, flag, &args);
    qsort(s->flags, s->flag_n, sizeof(*s->flags), by_flag);
}

void pkg_settings_read(const struct pkg_file *sys_config, const struct pkg_file *vm_args,
                       struct pkg_settings *s)
{
    struct rel_err e = {0};
    struct pkg_terms terms;

    *s = (struct pkg_settings){0};
    if (vm_args && vm_args->text)
        read_flags(s, vm_args->text);
    if (!sys_config || !sys_config->text)
        return;
    if (pkg_terms_parse(&s->arena, sys_config->text, strlen(sys_config->text), sys_config->path,
                        &terms, &e) < 0)
        s->unreadable = unreadable(s, e.msg);
    else if (terms.n != 1 || !pkg_is_list(terms.v[0]))
        s->unreadable = unreadable(s, "it is not one list");
    else
        read_config(s, terms.v[0]);
}

void pkg_settings_fini(struct pkg_settings *s)
{
    pkg_arena_fini(&s->arena);
    *s = (struct pkg_settings){0};
}

bool pkg_flag_is_public(const char *name)
{
    static const char *const others[] = {"-mode", "-heart", "-smp", "-hidden", "-noshell"};

    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        if (!strcmp(others[i], name))
            return true;
    return *name == '+';
}
