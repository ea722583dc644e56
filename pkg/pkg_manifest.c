/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_manifest.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "pkg/pkg_archive.h"

bool pkg_is_home_mark(const char *path)
{
    return !strcmp(path, PKG_HOME_MARK) || !strcmp(path, PKG_HOME_MARK_OLDER);
}

/* Only in the folder of the version: under another one it is a file like any. */
static bool is_own(const char *path, const char *vsn)
{
    size_t n = strlen(vsn);

    if (pkg_is_home_mark(path))
        return true;
    if (strncmp(path, "releases/", 9) != 0 || strncmp(path + 9, vsn, n) != 0 || path[9 + n] != '/')
        return false;
    path += 9 + n + 1;
    return !strcmp(path, PKG_MANIFEST_NAME) || !strcmp(path, PKG_SIGNATURE_NAME);
}

/* A folder that something lies in is there by that; only an empty one is told. */
static bool is_empty_dir(const struct pkg_survey *s, const struct pkg_file *dir)
{
    rel_autofree char *below = rel_strf("%s/", dir->path);
    size_t from = (size_t)(dir - s->v) + 1, to = s->n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (strcmp(s->v[middle].path, below) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from == s->n || strncmp(s->v[from].path, below, strlen(below)) != 0;
}

static bool is_listed(const struct pkg_survey *s, const struct pkg_file *f, const char *vsn)
{
    return !is_own(f->path, vsn) && (f->kind != PKG_FILE_DIR || is_empty_dir(s, f));
}

static void hex_of(const unsigned char *p, size_t n, char *hex)
{
    for (size_t i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", p[i]);
}

/* One value on one line, keys in the order they were set. */
static int add_line(struct rel_buf *text, json_t *value, const char *path, struct rel_err *e)
{
    json_auto_t *owned = value;
    rel_autofree char *line = owned ? json_dumps(owned, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    if (!line)
        return rel_fail(e, REL_E_INPUT, 0, "the name of %s is no UTF-8, rename it", path);
    rel_buf_adds(text, line);
    return 0;
}

static json_t *needed_of(const struct pkg_elf *elf)
{
    json_t *list = json_array();

    for (size_t i = 0; i < elf->needed_n; i++)
        json_array_append_new(list, json_string(elf->needed[i]));
    return list;
}

static json_t *file_object(const struct pkg_file *f)
{
    char sha256[PKG_SHA256_HEX], mode[8], md5[33];
    json_t *v;

    if (f->kind == PKG_FILE_DIR)
        return json_pack("{s:s, s:s}", "path", f->path, "kind", "dir");
    if (f->kind == PKG_FILE_LINK)
        return json_pack("{s:s, s:s, s:s}", "path", f->path, "kind", "link", "target", f->target);
    pkg_sha256_hex(f->sha256, sha256);
    snprintf(mode, sizeof(mode), "%04o", (unsigned)(f->mode & 0777));
    v = json_pack("{s:s, s:s, s:I, s:s}", "path", f->path, "mode", mode, "size",
                  (json_int_t)f->size, "sha256", sha256);
    if (v && f->module) {
        hex_of(f->module->md5, sizeof(f->module->md5), md5);
        json_object_set_new(v, "module", json_string(f->module->module));
        json_object_set_new(v, "md5", json_string(md5));
        if (f->module->nif)
            json_object_set_new(v, "nif", json_true());
        if (f->module->on_load)
            json_object_set_new(v, "on_load", json_true());
    }
    if (v && f->elf) {
        json_object_set_new(v, "needed", needed_of(f->elf));
        if (f->elf->glibc)
            json_object_set_new(v, "glibc", json_string(f->elf->glibc));
        if (f->elf->interp)
            json_object_set_new(v, "interpreter", json_string(f->elf->interp));
    }
    return v;
}

static int add_files(const struct pkg_survey *s, const char *vsn, struct rel_buf *text,
                     struct rel_err *e)
{
    bool first = true;

    rel_buf_adds(text, "\"files\":[");
    for (size_t i = 0; i < s->n; i++) {
        if (!is_listed(s, &s->v[i], vsn))
            continue;
        rel_buf_adds(text, first ? "\n" : ",\n");
        first = false;
        if (add_line(text, file_object(&s->v[i]), s->v[i].path, e) < 0)
            return -1;
    }
    rel_buf_adds(text, "]\n}\n");
    return 0;
}

static int add_applications(const struct pkg_outline *o, struct rel_buf *text, struct rel_err *e)
{
    rel_buf_adds(text, "\"applications\":[");
    for (size_t i = 0; i < o->app_n; i++) {
        const struct pkg_outline_app *app = &o->apps[i];

        rel_buf_adds(text, i ? ",\n" : "\n");
        if (add_line(text,
                     json_pack("{s:s, s:s, s:s}", "name", app->name, "version", app->vsn, "start",
                               pkg_start_name(app->start)),
                     app->name, e) < 0)
            return -1;
    }
    rel_buf_adds(text, "],\n");
    return 0;
}

bool pkg_manifest_brings(const struct pkg_survey *s, const char *library)
{
    for (size_t i = 0; i < s->n; i++) {
        const char *file = strrchr(s->v[i].path, '/');

        if (s->v[i].kind != PKG_FILE_DIR && !strcmp(file ? file + 1 : s->v[i].path, library))
            return true;
    }
    return false;
}

bool pkg_manifest_machine(const struct pkg_survey *s, struct rel_buf *out)
{
    const struct pkg_elf *found = NULL;
    char name[16];

    for (size_t i = 0; i < s->n; i++) {
        const struct pkg_elf *elf = s->v[i].elf;

        /* one that is started tells its C library */
        if (elf && (!found || (elf->interp && !found->interp)))
            found = elf;
    }
    if (found)
        rel_buf_addf(out, "%s-linux-%s", pkg_elf_machine_name(found->machine, name),
                     found->interp && strstr(found->interp, "musl") ? "musl" : "gnu");
    return found != NULL;
}

/* What the host must have: the highest glibc, and the libraries that the release does not bring. */
static json_t *native_object(const struct pkg_survey *s)
{
    json_t *libraries = json_object(), *list = json_array(), *native = json_object();
    const char *glibc = NULL, *name;
    json_t *value;

    for (size_t i = 0; i < s->n; i++) {
        const struct pkg_elf *elf = s->v[i].elf;

        if (!elf)
            continue;
        if (elf->glibc && (!glibc || strverscmp(elf->glibc, glibc) > 0))
            glibc = elf->glibc;
        for (size_t j = 0; j < elf->needed_n; j++)
            if (!json_object_get(libraries, elf->needed[j]) &&
                !pkg_manifest_brings(s, elf->needed[j]))
                json_object_set_new(libraries, elf->needed[j], json_true());
    }
    json_object_foreach (libraries, name, value)
        json_array_append_new(list, json_string(name));
    if (glibc)
        json_object_set_new(native, "glibc", json_string(glibc));
    json_object_set_new(native, "libraries", list);
    json_decref(libraries);
    return native;
}

static void set_string(json_t *v, const char *key, const char *text)
{
    if (text)
        json_object_set_new(v, key, json_string(text));
}

static int add_head(const struct pkg_survey *s, const struct pkg_outline *o,
                    const struct pkg_manifest_source *source, struct rel_buf *text,
                    struct rel_err *e)
{
    rel_autobuf struct rel_buf machine = {0};
    json_t *from = json_pack("{s:s}", "kind", source->kind), *head, *value;
    const char *key;
    int status = 0;

    set_string(from, "revision", source->revision);
    if (source->revision)
        json_object_set_new(from, "dirty", json_boolean(source->dirty));
    head =
        json_pack("{s:i, s:s, s:s, s:s, s:o}", "format", 1, "made_by", "relpack " RELPACK_VERSION,
                  "name", o->name, "version", o->vsn, "source", from);
    set_string(head, "expires", source->expires);
    if (o->erts_dir) {
        set_string(head, "erts", o->erts_vsn);
        set_string(head, "otp", o->otp);
    }
    if (pkg_manifest_machine(s, &machine)) {
        set_string(head, "machine", machine.p);
        json_object_set_new(head, "native", native_object(s));
    }
    rel_buf_adds(text, "{\n");
    json_object_foreach (head, key, value) {
        rel_buf_addf(text, "\"%s\":", key);
        if (status == 0)
            status = add_line(text, json_incref(value), key, e);
        rel_buf_adds(text, ",\n");
    }
    json_decref(head);
    return status;
}

int pkg_manifest_make(const struct pkg_survey *s, const struct pkg_outline *o,
                      const struct pkg_manifest_source *source, struct rel_buf *text,
                      struct rel_err *e)
{
    if (add_head(s, o, source, text, e) < 0 || add_applications(o, text, e) < 0 ||
        add_files(s, o->vsn, text, e) < 0)
        return -1;
    if (text->len > PKG_SURVEY_TEXT_MAX)
        return rel_fail(e, REL_E_INPUT, 0, "the release has too many files: %zu", s->n);
    return 0;
}

static const struct pkg_file *next_of(const struct pkg_survey *s, const char *vsn, size_t *i)
{
    while (*i < s->n && !is_listed(s, &s->v[*i], vsn))
        ++*i;
    return *i < s->n ? &s->v[*i] : NULL;
}

static int differs(const char *path, const char *how, struct rel_err *e)
{
    return rel_fail(e, REL_E_INPUT, 0, "%s %s", path, how);
}

static int check_file(const struct pkg_manifest_file *m, const struct pkg_file *f,
                      struct rel_err *e)
{
    if (m->kind != f->kind)
        return differs(f->path, "is not of the kind that the manifest says", e);
    if (f->kind == PKG_FILE_DIR)
        return 0;
    if (f->kind == PKG_FILE_LINK)
        return strcmp(m->target, f->target) != 0
                   ? differs(f->path, "does not link to where the manifest says", e)
                   : 0;
    if (m->size != f->size)
        return rel_fail(e, REL_E_INPUT, 0, "%s has %" PRIu64 " bytes, the manifest says %" PRIu64,
                        f->path, f->size, m->size);
    if (memcmp(m->sha256, f->sha256, sizeof(m->sha256)) != 0)
        return differs(f->path, "is not what the manifest says: its SHA-256 is another", e);
    if (m->mode != (f->mode & 0777) && pkg_unpacked_mode(m->mode) != (f->mode & 0777))
        return rel_fail(e, REL_E_INPUT, 0, "%s has the mode %04o, the manifest says %04o", f->path,
                        (unsigned)(f->mode & 0777), (unsigned)m->mode);
    if ((m->module != NULL) != (f->module != NULL) ||
        (m->module && (strcmp(m->module, f->module->module) != 0 ||
                       memcmp(m->md5, f->module->md5, sizeof(m->md5)) != 0)))
        return differs(f->path, "is not the module that the manifest says", e);
    return 0;
}

int pkg_manifest_check(const struct pkg_manifest *m, const struct pkg_survey *s, bool more_is_fine,
                       struct rel_err *e)
{
    size_t i = 0, j = 0;

    for (;;) {
        const struct pkg_manifest_file *said = j < m->file_n ? &m->files[j] : NULL;
        const struct pkg_file *there = next_of(s, m->vsn, &i);
        int order = !said ? 1 : !there ? -1 : strcmp(said->path, there->path);

        if (!said && !there)
            return 0;
        if (order < 0)
            return differs(said->path, "is in the manifest and not in the release", e);
        if (order > 0 && more_is_fine) {
            i++;
            continue;
        }
        if (order > 0)
            return differs(there->path, "is in the release and not in the manifest", e);
        if (check_file(said, there, e) < 0)
            return -1;
        i++;
        j++;
    }
}

static int by_path(const void *path, const void *file)
{
    return strcmp(path, ((const struct pkg_manifest_file *)file)->path);
}

int pkg_manifest_admit(const struct pkg_manifest *m, const char *path, uint64_t size,
                       struct rel_err *e)
{
    const struct pkg_manifest_file *f =
        m->file_n ? bsearch(path, m->files, m->file_n, sizeof(*m->files), by_path) : NULL;

    if (is_own(path, m->vsn))
        return 0;
    if (!f)
        return differs(path, "is in the release and not in the manifest", e);
    if (size > (f->kind == PKG_FILE_REGULAR ? f->size : 0))
        return rel_fail(e, REL_E_INPUT, 0, "%s has %" PRIu64 " bytes, the manifest says %" PRIu64,
                        path, size, f->size);
    return 0;
}
