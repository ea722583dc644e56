/* SPDX-License-Identifier: Apache-2.0 */
/* relpack inspect: what a release is, without unpacking it. */
#include <string.h>
#include <sys/stat.h>

#include "cmd/cmd.h"
#include "pkg/pkg_manifest.h"
#include "pkg/pkg_settings.h"
#include "pkg/pkg_sign.h"

extern const struct cmd_verb cmd_relpack_inspect;

struct view {
    const char *path;
    const struct pkg_survey *s;
    const struct pkg_outline *o;
    struct pkg_settings settings;
    bool all;
    uint64_t packed, bytes;
    size_t file_n;
};

static const char *kind_name(enum pkg_kind kind)
{
    static const char *const names[] = {"relpack", "mix", "relx"};

    return names[kind];
}

static void human(uint64_t bytes, char out[16])
{
    static const char *const units[] = {"B", "kB", "MB", "GB"};
    double n = (double)bytes;
    size_t unit = 0;

    while (n >= 1000 && unit < 3) {
        n /= 1000;
        unit++;
    }
    snprintf(out, 16, n < 10 && unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

/* "12 modules" in the sense of a table: what is Erlang's or Elixir's own is summed up. */
static bool is_platform(const char *app)
{
    static const char *const names[] = {
        "asn1",     "common_test",   "compiler",     "crypto",     "debugger",
        "dialyzer", "diameter",      "edoc",         "eldap",      "eex",
        "elixir",   "erl_interface", "erts",         "et",         "eunit",
        "ex_unit",  "ftp",           "iex",          "inets",      "jinterface",
        "kernel",   "logger",        "megaco",       "mix",        "mnesia",
        "observer", "odbc",          "os_mon",       "parsetools", "public_key",
        "reltool",  "runtime_tools", "sasl",         "snmp",       "ssh",
        "ssl",      "stdlib",        "syntax_tools", "tftp",       "tools",
        "wx",       "xmerl"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(names[i], app))
            return true;
    return false;
}

static const char *version_of(const struct pkg_outline *o, const char *app)
{
    for (size_t i = 0; i < o->app_n; i++)
        if (!strcmp(o->apps[i].name, app))
            return o->apps[i].vsn;
    return NULL;
}

/* none, "as the release is", or the first difference; *m stays empty without a whole manifest. */
static char *manifest_state(const struct view *v, struct pkg_manifest *m)
{
    const struct pkg_file *f = v->o->manifest;
    struct rel_err e = {0};

    if (!f || !f->text)
        return NULL;
    if (pkg_manifest_parse(f->text, strlen(f->text), f->path, m, &e) < 0 ||
        pkg_manifest_check(m, v->s, false, &e) < 0)
        return rel_strf("differs: %s", e.msg);
    return rel_strf("matches the release, %zu files", m->file_n);
}

static char *signature_state(const struct view *v)
{
    const struct pkg_file *f = v->o->signature;
    char id[PKG_KEY_ID_LEN];
    struct rel_err e = {0};

    if (!f)
        return NULL;
    if (!f->text || pkg_signature_key_id(f->text, id, &e) < 0)
        return rel_strf("damaged");
    return rel_strf("by the key %s ('relpack verify --key' checks it)", id);
}

static const char *glibc_of(const struct view *v)
{
    const char *glibc = NULL;

    for (size_t i = 0; i < v->s->n; i++) {
        const struct pkg_elf *elf = v->s->v[i].elf;

        if (elf && elf->glibc && (!glibc || strverscmp(elf->glibc, glibc) > 0))
            glibc = elf->glibc;
    }
    return glibc;
}

/* {"libz.so.1": ["erts-13.1.5/bin/beam.smp", ...]}: what the host must have, and for whom. */
static json_t *libraries_of(const struct view *v)
{
    json_t *libraries = json_object();

    for (size_t i = 0; i < v->s->n; i++) {
        const struct pkg_elf *elf = v->s->v[i].elf;

        for (size_t j = 0; elf && j < elf->needed_n; j++) {
            /* jansson frees what it cannot file under a key that is no UTF-8. */
            rel_autofree char *name = rel_escape(elf->needed[j]);
            json_t *who = json_object_get(libraries, name);

            if (!who && pkg_manifest_brings(v->s, elf->needed[j]))
                continue;
            if (!who) {
                who = json_array();
                json_object_set_new(libraries, name, who);
            }
            json_array_append_new(who, rel_json_text(v->s->v[i].path));
        }
    }
    return libraries;
}

/* NIFs, port programs and drivers of applications: native code outside of ERTS. */
static json_t *native_of(const struct view *v)
{
    json_t *list = json_array();

    for (size_t i = 0; i < v->s->n; i++)
        if (v->s->v[i].elf && pkg_outline_app_of(v->o, v->s->v[i].path))
            json_array_append_new(list, rel_json_text(v->s->v[i].path));
    return list;
}

static json_t *settings_of(const struct view *v)
{
    json_t *apps = json_object();

    for (size_t i = 0; i < v->settings.n; i++) {
        rel_autofree char *app = rel_escape(v->settings.v[i].app);
        json_t *keys = json_object_get(apps, app);

        if (!keys) {
            keys = json_array();
            json_object_set_new(apps, app, keys);
        }
        json_array_append_new(keys, rel_json_text(v->settings.v[i].key));
    }
    return apps;
}

static json_t *flags_of(const struct view *v)
{
    json_t *list = json_array();

    for (size_t i = 0; i < v->settings.flag_n; i++) {
        const struct pkg_flag *f = &v->settings.flags[i];
        bool shown = pkg_flag_is_public(f->name) && *f->args;
        rel_autofree char *text =
            rel_strf("%s%s%s", f->name, shown ? " " : "", shown ? f->args : "");

        json_array_append_new(list, rel_json_text(text));
    }
    return list;
}

static json_t *apps_of(const struct view *v)
{
    json_t *list = json_array();

    for (size_t i = 0; i < v->o->app_n; i++) {
        const struct pkg_outline_app *app = &v->o->apps[i];

        json_array_append_new(
            list, json_pack("{s:o, s:o, s:s, s:b, s:I, s:I}", "name", rel_json_text(app->name),
                            "version", rel_json_text(app->vsn), "start", pkg_start_name(app->start),
                            "included", app->dir != NULL, "modules", (json_int_t)app->module_n,
                            "bytes", (json_int_t)app->bytes));
    }
    return list;
}

/* Everything there is to say, once: the page is made of it too. */
static json_t *make_doc(const struct view *v)
{
    rel_autobuf struct rel_buf machine = {0};
    pkg_automanifest struct pkg_manifest m = {0};
    rel_autofree char *manifest = manifest_state(v, &m), *signature = signature_state(v);
    json_t *doc =
        json_pack("{s:o, s:o, s:s, s:I, s:I, s:o, s:b}", "name", rel_json_text(v->o->name),
                  "version", rel_json_text(v->o->vsn), "made_by", kind_name(v->o->kind), "files",
                  (json_int_t)v->file_n, "bytes", (json_int_t)v->bytes, "erts",
                  rel_json_text(v->o->erts_vsn), "erts_included", v->o->erts_dir != NULL);

    if (v->packed)
        json_object_set_new(doc, "packed_bytes", json_integer((json_int_t)v->packed));
    json_object_set_new(doc, "otp", v->o->otp ? rel_json_text(v->o->otp) : json_null());
    if (v->o->elixir)
        json_object_set_new(doc, "elixir", rel_json_text(version_of(v->o, "elixir")));
    if (pkg_manifest_machine(v->s, &machine))
        json_object_set_new(doc, "machine", rel_json_text(machine.p));
    if (m.revision)
        json_object_set_new(doc, "revision", rel_json_text(m.revision));
    json_object_set_new(doc, "glibc", glibc_of(v) ? json_string(glibc_of(v)) : json_null());
    json_object_set_new(doc, "libraries", libraries_of(v));
    json_object_set_new(doc, "native", native_of(v));
    json_object_set_new(doc, "sys_config", settings_of(v));
    json_object_set_new(doc, "vm_args", flags_of(v));
    json_object_set_new(doc, "runtime_exs", json_boolean(v->o->runtime_exs));
    json_object_set_new(doc, "manifest", manifest ? rel_json_text(manifest) : json_null());
    json_object_set_new(doc, "signature", signature ? json_string(signature) : json_null());
    json_object_set_new(doc, "applications", apps_of(v));
    return doc;
}

static void add_row(struct rel_buf *out, const char *name, const char *value)
{
    rel_autofree char *shown = rel_escape(value);

    rel_buf_addf(out, "  %-14s %s\n", name, shown);
}

/* Words in lines of at most 100 columns, below each other. */
static void add_words(struct rel_buf *out, const char *name, const json_t *list)
{
    const json_t *word;
    size_t i, column = 0;

    if (!json_array_size(list))
        return;
    rel_buf_addf(out, "  %-14s", name);
    json_array_foreach (list, i, word) {
        rel_autofree char *text = rel_escape(json_string_value(word));

        if (column && column + strlen(text) > 82) {
            rel_buf_addf(out, "\n  %-14s", "");
            column = 0;
        }
        rel_buf_addf(out, " %s", text);
        column += strlen(text) + 1;
    }
    rel_buf_adds(out, "\n");
}

/* "libsqlite3.so.0 (sqlite3)": of which only one application is the reason. */
static json_t *library_for(const struct view *v, const char *name, const json_t *who)
{
    const struct pkg_outline_app *app = NULL, *other;
    const json_t *path;
    size_t i;

    json_array_foreach (who, i, path) {
        other = pkg_outline_app_of(v->o, json_string_value(path));
        if (!other || (app && app != other))
            return json_string(name);
        app = other;
    }
    return app ? json_sprintf("%s (%s)", name, app->name) : json_string(name);
}

static void add_libraries(struct rel_buf *out, const struct view *v, const json_t *libraries)
{
    const char *name;
    json_t *who, *names = json_array();

    json_object_foreach ((json_t *)libraries, name, who)
        json_array_append_new(names, library_for(v, name, who));
    add_words(out, "needs", names);
    json_decref(names);
}

static void add_settings(struct rel_buf *out, const struct view *v, const json_t *doc)
{
    const char *app;
    json_t *keys;

    json_object_foreach (json_object_get(doc, "sys_config"), app, keys) {
        rel_autofree char *name = rel_strf("config %s", app);

        add_words(out, strlen(name) > 14 ? app : name, keys);
    }
    if (v->settings.unreadable)
        add_row(out, "sys.config", v->settings.unreadable);
    add_words(out, "vm.args", json_object_get(doc, "vm_args"));
    if (v->o->runtime_exs)
        add_row(out, "runtime.exs", "evaluated at boot");
}

static void add_app(struct rel_buf *out, const struct pkg_outline_app *app)
{
    rel_autofree char *name = rel_escape(app->name), *vsn = rel_escape(app->vsn);
    char size[16];

    human(app->bytes, size);
    rel_buf_addf(out, "  %-20s %-12s %-10s %7zu  %8s%s\n", name, vsn, pkg_start_name(app->start),
                 app->module_n, app->dir ? size : "", app->dir ? "" : "not in the release");
}

static void add_apps(struct rel_buf *out, const struct view *v)
{
    size_t apps = 0, modules = 0;
    uint64_t bytes = 0;
    char size[16];

    rel_buf_addf(out, "\n  %-20s %-12s %-10s %7s  %8s\n", "application", "version", "start",
                 "modules", "size");
    for (size_t i = 0; i < v->o->app_n; i++) {
        const struct pkg_outline_app *app = &v->o->apps[i];

        if (v->all || !is_platform(app->name)) {
            add_app(out, app);
            continue;
        }
        apps++;
        modules += app->module_n;
        bytes += app->bytes;
    }
    human(bytes, size);
    if (apps)
        rel_buf_addf(out, "  %zu of %-14s %-12s %-10s %7zu  %8s  (--all)\n", apps,
                     v->o->elixir ? "Erlang, Elixir" : "Erlang itself", "", "", modules, size);
}

static void make_page(struct rel_buf *out, const struct view *v, const json_t *doc)
{
    const char *machine = json_string_value(json_object_get(doc, "machine"));
    const char *manifest = json_string_value(json_object_get(doc, "manifest"));
    const char *signature = json_string_value(json_object_get(doc, "signature"));
    const char *glibc = json_string_value(json_object_get(doc, "glibc"));
    const char *revision = json_string_value(json_object_get(doc, "revision"));
    rel_autofree char *runtime = NULL, *size = NULL, *name = NULL, *vsn = NULL;
    char packed[16], bytes[16];

    human(v->packed, packed);
    human(v->bytes, bytes);
    size = v->packed ? rel_strf("%s, %s unpacked, %zu files", packed, bytes, v->file_n)
                     : rel_strf("%s, %zu files", bytes, v->file_n);
    runtime = rel_strf("ERTS %s%s%s%s%s%s%s", v->o->erts_vsn, v->o->otp ? ", OTP " : "",
                       v->o->otp ? v->o->otp : "", v->o->elixir ? ", Elixir " : "",
                       v->o->elixir ? version_of(v->o, "elixir") : "",
                       v->o->erts_dir ? "" : " (of the host)", "");
    name = rel_escape(v->o->name);
    vsn = rel_escape(v->o->vsn);
    rel_buf_addf(out, "%s %s, made by %s\n\n", name, vsn, kind_name(v->o->kind));
    add_row(out, "size", size);
    add_row(out, "runtime", runtime);
    if (machine)
        add_row(out, "machine", machine);
    if (revision)
        add_row(out, "git", revision);
    if (glibc)
        add_row(out, "needs glibc", glibc);
    add_libraries(out, v, json_object_get(doc, "libraries"));
    add_words(out, "native code", json_object_get(doc, "native"));
    add_settings(out, v, doc);
    add_row(out, "manifest", manifest ? manifest : "none");
    add_row(out, "signature", signature ? signature : "none");
    add_apps(out, v);
}

static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    struct rel_progress progress = rel_out_progress(&ctx->out);
    pkg_autosurvey struct pkg_survey s = {0};
    pkg_autooutline struct pkg_outline o = {0};
    struct view v = {.path = ctx->pos[0], .s = &s, .o = &o, .all = cmd_has(ctx, "all")};
    rel_autobuf struct rel_buf page = {0};
    json_auto_t *doc = NULL;
    struct stat st;

    ctx->out.silent_steps = true;
    rel_progress_step(&progress, "read", v.path);
    if (pkg_survey_read(v.path, &progress, &s, e) < 0 || pkg_outline_read(&s, &o, e) < 0)
        return -1;
    pkg_settings_read(o.sys_config, o.vm_args, &v.settings);
    for (size_t i = 0; i < s.n; i++) {
        v.file_n += s.v[i].kind != PKG_FILE_DIR;
        v.bytes += s.v[i].kind == PKG_FILE_REGULAR ? s.v[i].size : 0;
    }
    if (stat(v.path, &st) == 0 && S_ISREG(st.st_mode))
        v.packed = (uint64_t)st.st_size;
    doc = make_doc(&v);
    make_page(&page, &v, doc);
    pkg_settings_fini(&v.settings);
    rel_out_step_end(&ctx->out, true, NULL);
    return rel_out_result(&ctx->out, doc, page.p, e);
}

static const struct cmd_option options[] = {
    {"all", 'a', NULL, "each application, also those of Erlang and Elixir"},
    {0},
};

const struct cmd_verb cmd_relpack_inspect = {
    .name = "inspect",
    .summary = "what a release is: of relpack, of mix or of relx",
    .usage = "TARBALL|DIR [--all]",
    .options = options,
    .pos_min = 1,
    .pos_max = 1,
    .run = run,
};
