/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_survey_file.h"

#include <openssl/evp.h>
#include <string.h>

enum { MODULE_MAX = 64 << 20, TEXT_MAX = 8 << 20 };

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), end_n = strlen(end);

    return n >= end_n && !strcmp(s + n - end_n, end);
}

bool pkg_survey_is_module(const char *path)
{
    return ends_with(path, ".beam");
}

/* Of what is directly in releases/ or in releases/VSN/. */
static bool describes_release(const char *file)
{
    static const char *const names[] = {"start_erl.data", "sys.config",   "sys.config.src",
                                        "vm.args",        "vm.args.src",  "env.sh",
                                        "runtime.exs",    "relpack.json", "relpack.sig"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(file, names[i]))
            return true;
    return ends_with(file, ".rel");
}

/* Known names only, because an archive may hold any number of others: those of a release in
 * releases/ and releases/VSN/, APP/ebin/NAME.app and NAME.appup. */
static bool is_text(const char *path)
{
    const char *file = strrchr(path, '/'), *inside;

    if (ends_with(path, ".app") || ends_with(path, ".appup"))
        return file && file - path >= 5 && !strncmp(file - 5, "/ebin", 5);
    if (!file || strncmp(path, "releases/", 9) != 0)
        return false;
    inside = strchr(path + 9, '/');
    return (!inside || inside == file) && describes_release(file + 1);
}

static size_t text_max(const char *path)
{
    return ends_with(path, "/relpack.json") ? PKG_SURVEY_TEXT_MAX : TEXT_MAX;
}

bool pkg_survey_wants(const char *path)
{
    return pkg_survey_is_module(path) || is_text(path);
}

bool pkg_survey_holds(const char *path, uint64_t size)
{
    return pkg_survey_is_module(path) ? size <= MODULE_MAX
                                      : is_text(path) && size <= text_max(path);
}

void pkg_module_facts_free(struct pkg_module_facts *m)
{
    if (!m)
        return;
    pkg_arena_fini(&m->arena);
    free(m);
}

/* What the MD5 of a module leaves out but a stripped file keeps. */
static void digest_other(const struct pkg_beam *b, unsigned char md5[16])
{
    static const char *const ids[] = {"Attr", "Line", "Type"};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1;

    for (size_t i = 0; ok && i < sizeof(ids) / sizeof(*ids); i++) {
        const struct pkg_beam_chunk *chunk = pkg_beam_chunk_get(b, ids[i]);

        ok = !chunk || EVP_DigestUpdate(ctx, chunk->p, chunk->n) == 1;
    }
    if (!ok || EVP_DigestFinal_ex(ctx, md5, NULL) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
}

static int look_at_module(struct pkg_file *f, const void *data, size_t len, struct rel_err *e)
{
    pkg_autobeam struct pkg_beam b = {0};
    struct pkg_module_facts *m;
    struct rel_err ignored = {0};

    if (pkg_beam_parse(data, len, f->path, &b, e) < 0)
        return -1;
    m = rel_xcalloc(1, sizeof(*m));
    if (pkg_beam_md5(&b, m->md5, e) < 0) {
        free(m);
        return -1;
    }
    digest_other(&b, m->other);
    m->stripped = !pkg_beam_chunk_get(&b, "Dbgi") && !pkg_beam_chunk_get(&b, "Abst");
    if (pkg_beam_attributes(&b, &b.arena, &m->attributes, &ignored) < 0)
        m->attributes = pkg_list(&b.arena, 0);
    m->module = b.module;
    m->exports = b.exports;
    m->export_n = b.export_n;
    m->imports = b.imports;
    m->import_n = b.import_n;
    m->nif = b.nif;
    m->on_load = b.on_load;
    m->arena = b.arena; /* holds all of these; the file itself is not kept */
    b.arena = (struct pkg_arena){0};
    f->module = m;
    return 0;
}

void pkg_survey_look(struct pkg_file *f, const void *data, size_t len)
{
    struct rel_err e = {0};

    if (pkg_survey_is_module(f->path) && len > MODULE_MAX) {
        rel_fail(&e, REL_E_INPUT, 0, "%s is too large to be looked into", f->path);
    } else if (pkg_survey_is_module(f->path)) {
        (void)!look_at_module(f, data, len, &e);
    } else if (pkg_elf_is(data, len)) {
        f->elf = rel_xcalloc(1, sizeof(*f->elf));
        if (pkg_elf_parse(data, len, f->path, f->elf, &e) < 0) {
            free(f->elf);
            f->elf = NULL;
        }
    } else if (is_text(f->path) && len <= text_max(f->path)) {
        f->text = rel_xstrndup(data, len);
    }
    if (e.code)
        f->why_not = rel_xstrdup(e.msg);
}

void pkg_survey_link(struct pkg_file *f, const char *target)
{
    f->kind = PKG_FILE_LINK;
    f->mode = 0777;
    f->target = rel_xstrdup(target);
    pkg_sha256(target, strlen(target), f->sha256);
}
