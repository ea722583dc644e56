/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <string.h>

#include "pkg/pkg_manifest.h"

enum { FORMAT = 1, FILES_MAX = 1000000 };

static int wrong(const char *name, const char *what, const char *why, struct rel_err *e)
{
    return rel_fail(e, REL_E_INPUT, 0, "%s: %s: %s", name, what, why);
}

static bool from_hex(const char *hex, unsigned char *p, size_t n)
{
    if (!hex || strlen(hex) != 2 * n || strspn(hex, "0123456789abcdef") != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        p[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return true;
}

/* As pkg_tar.h reads names: relative, without empty parts, "." and "..". */
static bool is_clean(const char *path)
{
    while (true) {
        size_t n = strcspn(path, "/");

        if (!n || (n == 1 && *path == '.') || (n == 2 && !strncmp(path, "..", 2)))
            return false;
        if (!path[n])
            return true;
        path += n + 1;
    }
}

static bool is_strings(const json_t *list)
{
    const json_t *v;
    size_t i;

    json_array_foreach (list, i, v)
        if (!json_is_string(v))
            return false;
    return json_is_array(list);
}

/* A regular file: path, mode, size, sha256, and what a module or native code has besides. */
static int read_regular(json_t *v, struct pkg_manifest_file *f, const char *name, struct rel_err *e)
{
    const char *mode, *sha256, *md5 = NULL, *glibc, *interpreter;
    json_t *needed = NULL;
    json_error_t error;
    json_int_t size;
    int nif = true, on_load = true;

    if (json_unpack_ex(v, &error, JSON_STRICT,
                       "{s:s, s:s, s:I, s:s, s?s, s?s, s?b, s?b, s?o, s?s, s?s}", "path", &f->path,
                       "mode", &mode, "size", &size, "sha256", &sha256, "module", &f->module, "md5",
                       &md5, "nif", &nif, "on_load", &on_load, "needed", &needed, "glibc", &glibc,
                       "interpreter", &interpreter) < 0)
        return wrong(name, "files", error.text, e);
    f->mode = (mode_t)strtoul(mode, NULL, 8);
    if (strlen(mode) != 4 || strspn(mode, "01234567") != 4 || f->mode > 0777)
        return wrong(name, f->path, "its mode must be four octal digits", e);
    if (size < 0)
        return wrong(name, f->path, "its size is negative", e);
    f->size = (uint64_t)size;
    if (!from_hex(sha256, f->sha256, sizeof(f->sha256)))
        return wrong(name, f->path, "its sha256 must be 64 hexadecimal digits", e);
    if (!f->module != !md5 || (md5 && !from_hex(md5, f->md5, sizeof(f->md5))))
        return wrong(name, f->path, "a module has an md5 of 32 hexadecimal digits", e);
    if (!nif || !on_load)
        return wrong(name, f->path, "nif and on_load are true, or not there", e);
    if (needed && !is_strings(needed))
        return wrong(name, f->path, "needed must be a list of strings", e);
    return 0;
}

static int read_file(json_t *v, struct pkg_manifest_file *f, const char *name, struct rel_err *e)
{
    const char *kind = json_string_value(json_object_get(v, "kind"));
    json_error_t error;

    if (!kind)
        return read_regular(v, f, name, e);
    if (!strcmp(kind, "dir")) {
        f->kind = PKG_FILE_DIR;
        if (json_unpack_ex(v, &error, JSON_STRICT, "{s:s, s:s}", "path", &f->path, "kind", &kind) <
            0)
            return wrong(name, "files", error.text, e);
        return 0;
    }
    f->kind = PKG_FILE_LINK;
    if (strcmp(kind, "link") != 0)
        return wrong(name, "files", "kind is dir or link, or not there", e);
    if (json_unpack_ex(v, &error, JSON_STRICT, "{s:s, s:s, s:s}", "path", &f->path, "kind", &kind,
                       "target", &f->target) < 0)
        return wrong(name, "files", error.text, e);
    return 0;
}

static int read_files(struct pkg_manifest *m, json_t *files, const char *name, struct rel_err *e)
{
    json_t *v;
    size_t i;

    if (json_array_size(files) > FILES_MAX)
        return wrong(name, "files", "there are too many", e);
    m->files = rel_xcalloc(json_array_size(files) + 1, sizeof(*m->files));
    json_array_foreach (files, i, v) {
        struct pkg_manifest_file *f = &m->files[i];

        if (read_file(v, f, name, e) < 0)
            return -1;
        if (!is_clean(f->path))
            return wrong(name, f->path, "no path in a release", e);
        if (i && strcmp(f[-1].path, f->path) >= 0)
            return wrong(name, f->path, "the files must be sorted, each there once", e);
        m->file_n++;
    }
    return 0;
}

static int read_applications(json_t *applications, const char *name, struct rel_err *e)
{
    json_error_t error;
    json_t *v;
    size_t i;

    json_array_foreach (applications, i, v) {
        const char *app, *vsn, *start;
        enum pkg_start type;

        if (json_unpack_ex(v, &error, JSON_STRICT, "{s:s, s:s, s:s}", "name", &app, "version", &vsn,
                           "start", &start) < 0)
            return wrong(name, "applications", error.text, e);
        if (pkg_start_from_name(start, &type, e) < 0)
            return rel_wrap(e, "%s: %s", name, app);
    }
    return 0;
}

static int read_source(struct pkg_manifest *m, json_t *source, const char *name, struct rel_err *e)
{
    json_error_t error;
    const char *kind;
    int dirty;

    if (json_unpack_ex(source, &error, JSON_STRICT, "{s:s, s?s, s?b}", "kind", &kind, "revision",
                       &m->revision, "dirty", &dirty) < 0)
        return wrong(name, "source", error.text, e);
    if (strcmp(kind, "mix") != 0 && strcmp(kind, "rebar3") != 0 && strcmp(kind, "plain") != 0)
        return wrong(name, "source", "its kind is mix, rebar3 or plain", e);
    return 0;
}

static int read_native(json_t *native, const char *name, struct rel_err *e)
{
    json_t *libraries;
    const char *glibc;
    json_error_t error;

    if (native && json_unpack_ex(native, &error, JSON_STRICT, "{s?s, s:o}", "glibc", &glibc,
                                 "libraries", &libraries) < 0)
        return wrong(name, "native", error.text, e);
    return native && !is_strings(libraries)
               ? wrong(name, "native", "libraries is a list of strings", e)
               : 0;
}

static int read_doc(struct pkg_manifest *m, const char *name, struct rel_err *e)
{
    json_t *doc = m->doc, *source, *applications, *files, *native = NULL;
    const json_t *format = json_object_get(doc, "format");
    const char *erts, *otp, *machine;
    json_error_t error;
    int number;

    if (!json_is_integer(format) || json_integer_value(format) != FORMAT)
        return wrong(name, "format", "this relpack knows format 1 only, use a newer one", e);
    if (json_unpack_ex(doc, &error, JSON_STRICT,
                       "{s:i, s:s, s:s, s:s, s:o, s?s, s?s, s?s, s?s, s?o, s:o, s:o}", "format",
                       &number, "made_by", &m->made_by, "name", &m->name, "version", &m->vsn,
                       "source", &source, "expires", &m->expires, "erts", &erts, "otp", &otp,
                       "machine", &machine, "native", &native, "applications", &applications,
                       "files", &files) < 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s: %s", name, error.text);
    if (!json_is_array(applications) || !json_is_array(files))
        return rel_fail(e, REL_E_INPUT, 0, "%s: applications and files must be lists", name);
    if (read_source(m, source, name, e) < 0 || read_native(native, name, e) < 0 ||
        read_applications(applications, name, e) < 0)
        return -1;
    return read_files(m, files, name, e);
}

int pkg_manifest_parse(const char *text, size_t len, const char *name, struct pkg_manifest *m,
                       struct rel_err *e)
{
    pkg_automanifest struct pkg_manifest made = {0};
    json_error_t error;

    made.doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!made.doc)
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d:%d: %s", name, error.line, error.column,
                        error.text);
    if (!json_is_object((json_t *)made.doc))
        return rel_fail(e, REL_E_INPUT, 0, "%s: must be one object", name);
    if (read_doc(&made, name, e) < 0)
        return -1;
    *m = made;
    made = (struct pkg_manifest){0};
    return 0;
}

void pkg_manifest_fini(struct pkg_manifest *m)
{
    json_decref(m->doc);
    free(m->files);
    *m = (struct pkg_manifest){0};
}
