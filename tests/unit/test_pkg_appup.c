/* SPDX-License-Identifier: Apache-2.0 */
/* Made-up releases side by side: which instructions lead from the one to the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pkg/pkg_appup.h"
#include "pkg/pkg_appup_file.h"

enum { FILES = 16, CALLS = 8 };

/* One side; settle() sorts its files. */
struct made {
    struct pkg_arena arena;
    struct pkg_file v[FILES];
    struct pkg_module_facts facts[FILES];
    struct pkg_outline_app apps[3];
};

struct world {
    struct made old, new;
    struct pkg_pair pair;
};

static struct pkg_file *put(struct made *x, struct pkg_side *side, const char *path,
                            const char *text)
{
    struct pkg_file *f = &x->v[side->survey.n];

    assert_true(side->survey.n < FILES);
    *f = (struct pkg_file){.kind = PKG_FILE_REGULAR,
                           .path = pkg_arena_strf(&x->arena, "%s", path),
                           .text = text ? pkg_arena_strf(&x->arena, "%s", text) : NULL};
    side->survey.v = x->v;
    side->survey.n++;
    return f;
}

static const struct pkg_term *term(struct pkg_arena *a, const char *text)
{
    rel_autofree char *whole = rel_strf("%s.", text);
    struct rel_err e = {0};
    struct pkg_terms terms;

    assert_int_equal(pkg_terms_parse(a, whole, strlen(whole), "x", &terms, &e), 0);
    return terms.v[0];
}

/* "f/1 g/2" or "m:f/1 n:g/2" */
static struct pkg_beam_mfa *mfas(struct pkg_arena *a, const char *text, size_t *n)
{
    struct pkg_beam_mfa *v = pkg_arena_alloc(a, CALLS * sizeof(*v));
    char *rest = NULL, *copy = pkg_arena_strf(a, "%s", text ? text : "");

    for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
        char *slash = strchr(w, '/'), *colon = strchr(w, ':');

        assert_true(*n < CALLS);
        *slash = '\0';
        if (colon)
            *colon = '\0';
        v[(*n)++] = (struct pkg_beam_mfa){.m = colon ? w : NULL,
                                          .f = colon ? colon + 1 : w,
                                          .arity = (uint32_t)strtoul(slash + 1, NULL, 10)};
    }
    return v;
}

struct module {
    const char *path; /* "lib/shop-1/ebin/m.beam" */
    unsigned char md5;
    const char *attributes, *exports, *imports;
};

static struct pkg_module_facts *put_module(struct made *x, struct pkg_side *side, struct module m)
{
    struct pkg_module_facts *facts = &x->facts[side->survey.n];
    const char *name = strrchr(m.path, '/') + 1;

    *facts = (struct pkg_module_facts){
        .module = pkg_arena_strndup(&x->arena, name, strlen(name) - strlen(".beam")),
        .md5 = {m.md5},
        .attributes = term(&x->arena, m.attributes ? m.attributes : "[{vsn,[1]}]"),
    };
    facts->exports = mfas(&x->arena, m.exports, &facts->export_n);
    facts->imports = mfas(&x->arena, m.imports, &facts->import_n);
    put(x, side, m.path, NULL)->module = facts;
    return facts;
}

static void put_old(struct world *w, struct module m)
{
    put_module(&w->old, &w->pair.old, m);
}

static void put_new(struct world *w, struct module m)
{
    put_module(&w->new, &w->pair.new, m);
}

static void put_app(struct made *x, struct pkg_side *side, const char *dir, const char *name,
                    const char *modules)
{
    rel_autofree char *path = rel_strf("%s/ebin/%s.app", dir, name);
    rel_autofree char *text = rel_strf("{application,%s,[{modules,[%s]}]}.", name, modules);

    put(x, side, path, text);
}

/* Two releases of shop 1 and shop 2, whose .app files name these modules. */
static void start(struct world *w, const char *old_modules, const char *new_modules)
{
    *w = (struct world){0};
    w->pair.old = (struct pkg_side){
        .path = "OLD", .outline = {.apps = w->old.apps, .app_n = 1, .vsn_dir = "releases/1"}};
    w->pair.new = (struct pkg_side){
        .path = "NEW", .outline = {.apps = w->new.apps, .app_n = 1, .vsn_dir = "releases/2"}};
    w->old.apps[0] = (struct pkg_outline_app){.name = "shop", .vsn = "1", .dir = "lib/shop-1"};
    w->new.apps[0] = (struct pkg_outline_app){.name = "shop", .vsn = "2", .dir = "lib/shop-2"};
    put_app(&w->old, &w->pair.old, "lib/shop-1", "shop", old_modules);
    put_app(&w->new, &w->pair.new, "lib/shop-2", "shop", new_modules);
}

static void finish(struct world *w)
{
    pkg_arena_fini(&w->old.arena);
    pkg_arena_fini(&w->new.arena);
}

static int by_path(const void *x, const void *y)
{
    return strcmp(((const struct pkg_file *)x)->path, ((const struct pkg_file *)y)->path);
}

static void settle(struct made *x, struct pkg_side *side)
{
    qsort(x->v, side->survey.n, sizeof(*x->v), by_path);
    for (size_t i = 0; i < side->outline.app_n; i++) {
        struct pkg_outline_app *app = &x->apps[i];
        rel_autofree char *path = rel_strf("%s/ebin/%s.app", app->dir ? app->dir : "", app->name);

        app->app_file = pkg_survey_find(&side->survey, path);
    }
}

static void derive(struct world *w, struct pkg_appups *ups)
{
    struct rel_err e = {0};

    settle(&w->old, &w->pair.old);
    settle(&w->new, &w->pair.new);
    if (pkg_appups_derive(&w->pair, false, ups, &e) < 0)
        fail_msg("%s", e.msg);
}

static void assert_term(const struct pkg_term *t, const char *text)
{
    rel_autobuf struct rel_buf out = {0};

    pkg_term_format(t, 0, 0, &out);
    assert_string_equal(out.p, text);
}

static bool says(const struct pkg_lines *lines, const char *text)
{
    for (size_t i = 0; i < lines->n; i++)
        if (strstr(lines->v[i], text))
            return true;
    return false;
}

#define SERVER   "[{vsn,[1]},{behaviour,[gen_server]}]"
#define STATEM   "[{behavior,[other]},{behavior,[gen_statem]}]"
#define EVENT    "[{behaviour,[gen_event]}]"
#define FSM      "[{behaviour,[gen_fsm]}]"
#define SUP      "[{behaviour,[application]},{behaviour,[supervisor]}]"
#define EX       "[{behaviour,['Elixir.GenServer']}]"
#define EX_SUP   "[{behaviour,['Elixir.Supervisor']}]"
#define EX_DYN   "[{behaviour,['Elixir.DynamicSupervisor']}]"
#define STAGE    "[{behaviour,['Elixir.GenStage']}]"
#define ADVANCED "[{update,m,{advanced,[]}}]"
#define SOFT     "[{update,m,soft}]"
#define LOAD     "[{load_module,m}]"
#define UPDATE   "[{update,m,supervisor}]"

/* How a module is brought in, by what it is in both; up and down alike. */
static void kinds(void **state)
{
    static const struct {
        const char *old_attributes, *old_exports, *attributes, *exports, *want;
    } rows[] = {
        {NULL, "f/1", NULL, "f/1", LOAD},
        {SERVER, NULL, SERVER, "init/1 code_change/3", ADVANCED},
        {SERVER, "code_change/3", SERVER, "init/1", SOFT},
        {SERVER, NULL, SERVER, "code_change/4", SOFT},
        {STATEM, NULL, STATEM, "code_change/4", ADVANCED},
        {STATEM, NULL, STATEM, "code_change/3", SOFT},
        {FSM, NULL, FSM, "code_change/4", ADVANCED},
        {EVENT, NULL, EVENT, "code_change/3", ADVANCED},
        {EVENT, NULL, EVENT, NULL, SOFT},
        {EX, NULL, EX, "code_change/3", ADVANCED},
        {SUP, "init/1", SUP, "init/1", UPDATE},
        {EX_SUP, NULL, EX_SUP, NULL, UPDATE},
        {EX_DYN, NULL, EX_DYN, "code_change/3", UPDATE},
        {NULL, NULL, NULL, "system_continue/3 system_code_change/4", ADVANCED},
        {NULL, NULL, NULL, "system_continue/3", SOFT},
        {NULL, NULL, NULL, "system_continue/2", LOAD},
        {STAGE, NULL, STAGE, "code_change/3", ADVANCED},
        {STAGE, NULL, STAGE, "init/1", LOAD},
        /* another thing than it was */
        {SERVER, "code_change/3", NULL, "f/1", SOFT},
        {NULL, "f/1", SERVER, "code_change/3", ADVANCED},
        {SUP, NULL, SERVER, "code_change/3", LOAD},
        {SERVER, "code_change/3", SUP, NULL, LOAD},
        /* stripped of its attributes */
        {"[]", "handle_call/3", "[]", "handle_call/3 code_change/3", ADVANCED},
        {"[]", "handle_call/3", "[]", "handle_call/3", SOFT},
        {"[]", "callback_mode/0", "[]", "callback_mode/0 code_change/4", ADVANCED},
        {"[]", "handle_event/2", "[]", "handle_event/2", SOFT},
        {"[]", "init/1", "[]", "init/1", LOAD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        pkg_autoappups struct pkg_appups ups = {0};
        struct world w;

        start(&w, "m", "m");
        put_old(&w, (struct module){"lib/shop-1/ebin/m.beam", 1, rows[i].old_attributes,
                                    rows[i].old_exports, NULL});
        put_new(&w, (struct module){"lib/shop-2/ebin/m.beam", 2, rows[i].attributes,
                                    rows[i].exports, NULL});
        derive(&w, &ups);
        assert_int_equal(ups.n, 1);
        assert_term(ups.v[0].up, rows[i].want);
        assert_term(ups.v[0].down, rows[i].want);
        assert_int_equal(says(&ups.notes, "m has no attributes"),
                         rows[i].attributes && !strcmp(rows[i].attributes, "[]"));
        finish(&w);
    }
}

/* Added first, deleted last; what calls behind what it calls; and back. */
static void order(void **state)
{
    pkg_autoappups struct pkg_appups ups = {0};
    struct world w;

    (void)state;
    start(&w, "a, b, c, d, gone, same, sup", "a, b, c, d, fresh, same, sup");
    put_old(&w, (struct module){"lib/shop-1/ebin/a.beam", 1, NULL, NULL, NULL});
    put_old(&w, (struct module){"lib/shop-1/ebin/b.beam", 1, NULL, NULL, NULL});
    put_old(&w, (struct module){"lib/shop-1/ebin/c.beam", 1, NULL, NULL, NULL});
    put_old(&w, (struct module){"lib/shop-1/ebin/d.beam", 1, SERVER, NULL, NULL});
    put_old(&w, (struct module){"lib/shop-1/ebin/gone.beam", 1, NULL, NULL, NULL});
    put_old(&w, (struct module){"lib/shop-1/ebin/same.beam", 1, NULL, NULL, NULL});
    put_old(&w, (struct module){"lib/shop-1/ebin/sup.beam", 1, SUP, NULL, NULL});
    put_new(&w, (struct module){"lib/shop-2/ebin/a.beam", 2, NULL, NULL,
                                "lists:map/2 c:f/0 b:f/0 a:f/0 b:g/1 same:f/0 fresh:f/0"});
    put_new(&w, (struct module){"lib/shop-2/ebin/b.beam", 2, NULL, NULL, "c:f/0"});
    put_new(&w, (struct module){"lib/shop-2/ebin/c.beam", 2, NULL, NULL, "b:f/0"});
    put_new(&w, (struct module){"lib/shop-2/ebin/d.beam", 2, SERVER, "code_change/3", "a:f/0"});
    put_new(&w, (struct module){"lib/shop-2/ebin/fresh.beam", 1, SERVER, NULL, "a:f/0"});
    put_new(&w, (struct module){"lib/shop-2/ebin/same.beam", 1, NULL, NULL, "a:f/0"});
    put_new(&w, (struct module){"lib/shop-2/ebin/sup.beam", 2, SUP, NULL, "d:start_link/0"});
    derive(&w, &ups);
    assert_string_equal(ups.v[0].path, "lib/shop-2/ebin/shop.appup");
    assert_term(ups.v[0].up, "[{add_module,fresh},{load_module,c,[b]},{load_module,b,[c]},"
                             "{load_module,a,[b,c]},{update,d,{advanced,[]},[a]},"
                             "{update,sup,supervisor},{delete_module,gone}]");
    assert_term(ups.v[0].down, "[{add_module,gone},{update,sup,supervisor},"
                               "{update,d,{advanced,[]},[a]},{load_module,a,[b,c]},"
                               "{load_module,b,[c]},{load_module,c,[b]},{delete_module,fresh}]");
    assert_true(says(&ups.notes, "sup takes its new child specifications"));
    assert_int_equal(ups.notes.n, 1);
    assert_int_equal(ups.gaps.n, 0);
    finish(&w);
}

/* Processes of two modules are never held together, and what only one of them reaches changes while
 * that one is held: q asks p, and shares `both` with it; `mine` is behind `lib` and belongs to q;
 * `api` calls p, and nobody calls it. */
static void groups(void **state)
{
    static const char *const modules[][2] = {
        {"p", "both:f/0"},   {"q", "lib:f/0 p:f/0"}, {"lib", "mine:f/0 both:f/0"},
        {"mine", "lib:g/0"}, {"both", NULL},         {"api", "p:f/0 mine:f/0"}};
    pkg_autoappups struct pkg_appups ups = {0};
    struct world w;

    (void)state;
    start(&w, "p, q, lib, mine, both, api, sup", "p, q, lib, mine, both, api, sup");
    for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++) {
        const char *behaviour = i < 2 ? SERVER : NULL, *change = i < 2 ? "code_change/3" : NULL;
        char old[64], new[64];

        snprintf(old, sizeof(old), "lib/shop-1/ebin/%s.beam", modules[i][0]);
        snprintf(new, sizeof(new), "lib/shop-2/ebin/%s.beam", modules[i][0]);
        put_old(&w, (struct module){old, 1, behaviour, change, modules[i][1]});
        put_new(&w, (struct module){new, 2, behaviour, change, modules[i][1]});
    }
    put_old(&w, (struct module){"lib/shop-1/ebin/sup.beam", 1, SUP, NULL, NULL});
    put_new(&w, (struct module){"lib/shop-2/ebin/sup.beam", 2, SUP, NULL, "q:f/0 p:g/0"});
    derive(&w, &ups);
    assert_term(ups.v[0].up, "[{load_module,both},{update,p,{advanced,[]}},"
                             "{load_module,lib,[mine]},{load_module,mine,[lib]},"
                             "{update,q,{advanced,[]},[lib]},{load_module,api},"
                             "{update,sup,supervisor}]");
    assert_term(ups.v[0].down, "[{update,sup,supervisor},{load_module,api},"
                               "{update,q,{advanced,[]},[lib]},{load_module,mine,[lib]},"
                               "{load_module,lib,[mine]},{update,p,{advanced,[]}},"
                               "{load_module,both}]");
    finish(&w);
}

/* A module that goes to another application is changed there, and deleted nowhere; what no .app
 * file names is never loaded. */
static void moved_and_unlisted(void **state)
{
    pkg_autoappups struct pkg_appups ups = {0};
    struct world w;

    (void)state;
    start(&w, "m, n", "o");
    put_old(&w, (struct module){"lib/shop-1/ebin/m.beam", 1, NULL, NULL, NULL});
    put_old(&w, (struct module){"lib/shop-1/ebin/n.beam", 1, NULL, NULL, NULL});
    put_new(&w, (struct module){"lib/shop-2/ebin/stray.beam", 1, NULL, NULL, NULL});
    w.pair.old.outline.app_n = w.pair.new.outline.app_n = 2;
    w.old.apps[1] = (struct pkg_outline_app){.name = "web", .vsn = "1", .dir = "lib/web-1"};
    w.new.apps[1] = (struct pkg_outline_app){.name = "web", .vsn = "2", .dir = "lib/web-2"};
    put_app(&w.old, &w.pair.old, "lib/web-1", "web", "");
    put_app(&w.new, &w.pair.new, "lib/web-2", "web", "m, n");
    put_new(&w, (struct module){"lib/web-2/ebin/m.beam", 2, NULL, NULL, NULL});
    put_new(&w, (struct module){"lib/web-2/ebin/n.beam", 1, NULL, NULL, NULL});
    derive(&w, &ups);
    assert_int_equal(ups.n, 2);
    assert_term(ups.v[0].up, "[]");
    assert_term(ups.v[0].down, "[]");
    assert_term(ups.v[1].up, LOAD);
    assert_term(ups.v[1].down, LOAD);
    assert_true(says(&ups.notes, "web: m comes from another application"));
    assert_true(says(&ups.notes, "shop: stray is left out"));
    finish(&w);
}

/* What the new release brings is kept where it has the old version, and added to where not. */
static void own_ones(void **state)
{
    static const struct {
        const char *text;
        const char *term; /* NULL: its own is kept */
    } rows[] = {
        {"{\"2\",[{\"1\",[]}],[{\"1\",[]}]}.", NULL},
        {"{\"2\",[{<<\"[0-9]+\">>,[x]}],[]}.", NULL},
        {"{\"2\",[],[{<<\"^(?:1|0\\\\.9)$\">>,[x]}]}.", NULL},
        {"{\"2\",[{<<\"\\\\d\">>,[]}],[]}.", NULL}, /* not to be told here */
        {"{\"2\",[{<<\"1\\\\.5\">>,[]},{\"0\",[y]}],[]}.",
         "{\"2\",[{\"1\"," LOAD "},{<<\"1\\\\.5\">>,[]},{\"0\",[y]}],[{\"1\"," LOAD "}]}"},
        /* a term for each version, and what follows */
        {"{\"2\",[{}, x, {\"1\",[]}],[]}. {\"1\",[{\"0\",[]}],[]}. and \"more", NULL},
        {"{\"2\",[],[]}.", "{\"2\",[{\"1\"," LOAD "}],[{\"1\"," LOAD "}]}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        pkg_autoappups struct pkg_appups ups = {0}, forced = {0};
        struct rel_err e = {0};
        struct world w;

        start(&w, "m", "m");
        put_old(&w, (struct module){"lib/shop-1/ebin/m.beam", 1, NULL, NULL, NULL});
        put(&w.new, &w.pair.new, "lib/shop-2/ebin/shop.appup", rows[i].text);
        put_new(&w, (struct module){"lib/shop-2/ebin/m.beam", 2, NULL, NULL, NULL});
        derive(&w, &ups);
        assert_int_equal(ups.v[0].origin, rows[i].term ? PKG_APPUP_DERIVED : PKG_APPUP_OWN);
        if (rows[i].term)
            assert_term(ups.v[0].term, rows[i].term);
        else
            assert_null(ups.v[0].up);
        assert_int_equal(pkg_appups_derive(&w.pair, true, &forced, &e), 0);
        assert_term(forced.v[0].term, "{\"2\",[{\"1\"," LOAD "}],[{\"1\"," LOAD "}]}");
        finish(&w);
    }
}

static void broken_ones(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "must begin with"},
        {"{", "shop.appup:1:"},
        {"{2,[],[]}.", "must begin with"},
        {"{\"2\",\"ab\",[]}.", "must begin with"},
        {"{\"3\",[],[]}. {\"2\",[],[]}.", "is for version 3"}, /* the first one counts */
        {"{\"3\",[],[]}.", "is for version 3"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        pkg_autoappups struct pkg_appups ups = {0};
        struct rel_err e = {0};
        struct world w;

        start(&w, "", "");
        put(&w.new, &w.pair.new, "lib/shop-2/ebin/shop.appup", rows[i].text);
        settle(&w.new, &w.pair.new);
        assert_int_equal(pkg_appups_derive(&w.pair, false, &ups, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        if (!strstr(e.msg, rows[i].why))
            fail_msg("%s", e.msg);
        finish(&w);
    }
}

/* What no appup brings in. */
static void gaps(void **state)
{
    pkg_autoappups struct pkg_appups ups = {0};
    struct world w;

    (void)state;
    start(&w, "m", "m");
    put_old(&w, (struct module){"lib/shop-1/ebin/m.beam", 1, NULL, NULL, NULL});
    put_old(&w, (struct module){"releases/1/consolidated/p.beam", 1, NULL, NULL, NULL});
    put_new(&w, (struct module){"lib/shop-1/ebin/m.beam", 2, NULL, NULL, NULL});
    put_new(&w, (struct module){"lib/shop-1/ebin/n.beam", 2, NULL, NULL, NULL});
    put_new(&w, (struct module){"releases/2/consolidated/p.beam", 2, NULL, NULL, NULL});
    w.new.apps[0].vsn = "1";
    w.new.apps[0].dir = "lib/shop-1";
    w.pair.old.outline.app_n = w.pair.new.outline.app_n = 3;
    w.old.apps[1] = (struct pkg_outline_app){.name = "ssl", .vsn = "10"};
    w.new.apps[1] = (struct pkg_outline_app){.name = "ssl", .vsn = "11", .dir = "lib/ssl-11"};
    w.old.apps[2] = (struct pkg_outline_app){.name = "kernel", .vsn = "8", .dir = "lib/kernel-8"};
    w.new.apps[2] = (struct pkg_outline_app){.name = "kernel", .vsn = "9", .dir = "lib/kernel-9"};
    derive(&w, &ups);
    assert_int_equal(ups.n, 0);
    assert_int_equal(ups.gaps.n, 3);
    assert_true(says(&ups.gaps, "shop has version 1 in both, and other modules (m, n)"));
    assert_true(says(&ups.gaps, "ssl changes from 10 to 11 and does not lie in OLD"));
    assert_true(says(&ups.gaps, "kernel changes from 8 to 9"));
    assert_true(says(&ups.notes, "consolidated protocols of Elixir differ (1)"));
    finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(order),
        cmocka_unit_test(groups),
        cmocka_unit_test(own_ones),
        cmocka_unit_test(moved_and_unlisted),
        cmocka_unit_test(broken_ones),
        cmocka_unit_test(gaps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
