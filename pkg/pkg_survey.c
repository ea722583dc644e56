/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_survey.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "pkg/pkg_parallel.h"
#include "pkg/pkg_release.h"
#include "pkg/pkg_survey_file.h"
#include "pkg/pkg_tar.h"

enum {
    READ_BLOCK = 256 << 10,
    BATCH_FILES = 256, /* of a tarball, looked at together */
    BATCH_BYTES = 32 << 20,
    HARD_LINKS_MAX = 8,
    SMALL = 1 << 20, /* held, so that all cores have something to do */
    TEXTS_MAX = 96 << 20,
    HELD_MAX = 512 << 20 /* a program larger than this is not looked into */
};

static void file_fini(struct pkg_file *f)
{
    free(f->path);
    free(f->target);
    if (f->hard_link) {
        free(f->hard_link);
        return;
    }
    free(f->text);
    free(f->why_not);
    pkg_module_facts_free(f->module);
    if (f->elf)
        pkg_elf_fini(f->elf);
    free(f->elf);
}

void pkg_survey_fini(struct pkg_survey *s)
{
    for (size_t i = 0; i < s->n; i++)
        file_fini(&s->v[i]);
    free(s->v);
    free(s->origin);
    *s = (struct pkg_survey){0};
}

static int by_path(const void *x, const void *y)
{
    return strcmp(((const struct pkg_file *)x)->path, ((const struct pkg_file *)y)->path);
}

const struct pkg_file *pkg_survey_find(const struct pkg_survey *s, const char *path)
{
    struct pkg_file key = {.path = (char *)(uintptr_t)path};

    return s->n ? bsearch(&key, s->v, s->n, sizeof(*s->v), by_path) : NULL;
}

/* Entries being looked at, one a call of pkg_parallel. */
struct entries_job {
    struct pkg_entries *es;
    struct pkg_survey *s;
    const struct rel_progress *progress;
};

/* A large file is read block by block; only of a program more than its first bytes is of interest,
 * and that is mapped. */
static int look_at_source(struct pkg_file *f, const char *source, bool plain, struct rel_err *e)
{
    rel_autoclose int fd = open(source, O_RDONLY | O_CLOEXEC);
    rel_autofree char *block = rel_xmalloc(READ_BLOCK);
    pkg_autodigest struct pkg_digest d;
    bool program = false;
    ssize_t n;

    pkg_digest_init(&d);
    if (fd < 0)
        return rel_fail(e, REL_E_INPUT, errno, "read %s", source);
    while ((n = read(fd, block, READ_BLOCK)) > 0) {
        program |= !plain && !f->size && pkg_elf_is(block, (size_t)n);
        pkg_digest_add(&d, block, (size_t)n);
        f->size += (uint64_t)n;
    }
    if (n < 0)
        return rel_fail(e, REL_E_INPUT, errno, "read %s", source);
    pkg_digest_take(&d, f->sha256);
    if (program && f->size <= HELD_MAX) {
        void *p = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);

        if (p == MAP_FAILED)
            return rel_fail(e, REL_E_IO, errno, "map %s", source);
        pkg_survey_look(f, p, f->size);
        munmap(p, f->size);
    }
    return 0;
}

static int look_at_entry(void *ctx, size_t i, struct rel_err *e)
{
    struct entries_job *job = ctx;
    struct pkg_entry *entry = &job->es->v[i];
    struct pkg_file *f = &job->s->v[i];
    rel_autofree char *data = NULL;
    size_t len;

    if (rel_progress_check(job->progress, e) < 0)
        return -1;
    f->path = rel_xstrdup(entry->path);
    f->mode = entry->mode;
    if (entry->kind == PKG_ENTRY_DIR) {
        f->kind = PKG_FILE_DIR;
        return 0;
    }
    if (entry->kind == PKG_ENTRY_LINK) {
        pkg_survey_link(f, entry->source);
        return 0;
    }
    if (entry->kind == PKG_ENTRY_FILE && !pkg_survey_wants(f->path)) {
        if (look_at_source(f, entry->source, job->s->plain, e) < 0)
            return -1;
    } else {
        if (pkg_entry_content(entry, &data, &len, e) < 0) {
            /* A file that the user may not read; not a system that fails. */
            e->code = e->sys == EACCES ? REL_E_INPUT : e->code;
            return -1;
        }
        f->size = len;
        pkg_sha256(data, len, f->sha256);
        pkg_survey_look(f, data, len);
    }
    memcpy(entry->sha256, f->sha256, sizeof(f->sha256));
    entry->surveyed = true;
    return 0;
}

static int survey_entries(struct pkg_entries *es, bool plain, const struct rel_progress *p,
                          struct pkg_survey *s, struct rel_err *e)
{
    pkg_autosurvey struct pkg_survey made = {.v = rel_xcalloc(es->n + 1, sizeof(*made.v)),
                                             .n = es->n,
                                             .origin = rel_xstrdup("the release"),
                                             .plain = plain};
    struct entries_job job = {.es = es, .s = &made, .progress = p};

    rel_progress_step(p, "read", NULL);
    if (pkg_parallel(es->n, look_at_entry, &job, e) < 0)
        return -1;
    *s = made;
    made = (struct pkg_survey){0};
    return 0;
}

int pkg_survey_entries(struct pkg_entries *es, const struct rel_progress *p, struct pkg_survey *s,
                       struct rel_err *e)
{
    return survey_entries(es, false, p, s, e);
}

/* What was read of a tarball and waits to be looked at. */
struct batch {
    struct pkg_survey *s;
    size_t at[BATCH_FILES]; /* indices in s->v, of those whose content is held */
    struct rel_buf data[BATCH_FILES];
    size_t n, bytes, text_bytes; /* text_bytes: of all batches */
};

static void batch_fini(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        rel_buf_fini(&b->data[i]);
}

static int look_at_held(void *ctx, size_t i, struct rel_err *e)
{
    struct batch *b = ctx;
    struct pkg_file *f = &b->s->v[b->at[i]];

    (void)e;
    pkg_sha256(b->data[i].p, b->data[i].len, f->sha256);
    pkg_survey_look(f, b->data[i].p, b->data[i].len);
    rel_buf_fini(&b->data[i]);
    return 0;
}

static int look_at_batch(struct batch *b, struct rel_err *e)
{
    size_t n = b->n;

    b->n = b->bytes = 0;
    return pkg_parallel(n, look_at_held, b, e);
}

/* Of `p` on, which is lent by the reader: the content of a file that is not held. */
static int digest_data(struct pkg_tar_reader *r, struct pkg_file *f, const void *p, size_t n,
                       struct rel_err *e)
{
    pkg_autodigest struct pkg_digest d;

    pkg_digest_init(&d);
    while (n) {
        pkg_digest_add(&d, p, n);
        if (pkg_tar_data(r, &p, &n, e) < 0)
            return -1;
    }
    pkg_digest_take(&d, f->sha256);
    return 0;
}

static int hold_data(struct pkg_tar_reader *r, struct batch *b, const void *p, size_t n,
                     struct rel_err *e)
{
    struct rel_buf *data = &b->data[b->n];

    *data = (struct rel_buf){0};
    b->at[b->n++] = b->s->n - 1;
    rel_buf_add(data, "", 0);
    while (n) {
        rel_buf_add(data, p, n);
        if (pkg_tar_data(r, &p, &n, e) < 0)
            return -1;
    }
    b->bytes += data->len;
    return b->n == BATCH_FILES || b->bytes >= BATCH_BYTES ? look_at_batch(b, e) : 0;
}

/* The last file of the survey: only what has to be seen as a whole is held. */
static int take_data(struct pkg_tar_reader *r, struct batch *b, struct rel_err *e)
{
    struct pkg_file *f = &b->s->v[b->s->n - 1];
    const void *p;
    size_t n;
    bool held;

    if (pkg_tar_data(r, &p, &n, e) < 0)
        return -1;
    held = pkg_survey_wants(f->path)
               ? pkg_survey_holds(f->path, f->size)
               : f->size <= SMALL || (!b->s->plain && f->size <= HELD_MAX && pkg_elf_is(p, n));
    if (held && pkg_survey_wants(f->path) && !pkg_survey_is_module(f->path))
        b->text_bytes += f->size;
    if (b->text_bytes > TEXTS_MAX)
        return rel_fail(e, REL_E_INPUT, 0, "the files that describe it have more than %d MiB",
                        TEXTS_MAX >> 20);
    if (!held && pkg_survey_is_module(f->path))
        f->why_not = rel_strf("%s is too large to be looked into", f->path);
    return held ? hold_data(r, b, p, n, e) : digest_data(r, f, p, n, e);
}

static int take_entry(struct pkg_tar_reader *r, const struct pkg_tar_entry *entry, struct batch *b,
                      struct rel_err *e)
{
    struct pkg_survey *s = b->s;
    struct pkg_file *f;

    if (!(s->n & (s->n - 1)))
        s->v = rel_xrealloc(s->v, s->n ? 2 * s->n : 1, sizeof(*s->v));
    f = &s->v[s->n++];
    *f = (struct pkg_file){
        .path = rel_xstrdup(entry->name), .mode = entry->mode, .size = entry->size};
    switch (entry->kind) {
    case PKG_TAR_DIR:
        f->kind = PKG_FILE_DIR;
        return 0;
    case PKG_TAR_LINK:
        pkg_survey_link(f, entry->target);
        return 0;
    case PKG_TAR_HARDLINK:
        f->hard_link = rel_xstrdup(entry->target);
        return 0;
    case PKG_TAR_FILE:
        break;
    }
    return take_data(r, b, e);
}

static int take_entries(struct pkg_tar_reader *r, struct batch *b, struct rel_err *e)
{
    struct pkg_tar_entry entry;
    bool more = true;

    while (more)
        if (pkg_tar_next(r, &entry, &more, e) < 0 || (more && take_entry(r, &entry, b, e) < 0))
            return -1;
    return look_at_batch(b, e);
}

/* A folder that is named twice, or that was not named but has something in it, is as one. */
static void drop_doubles(struct pkg_survey *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++) {
        if (n && !strcmp(s->v[n - 1].path, s->v[i].path))
            file_fini(&s->v[i]);
        else
            s->v[n++] = s->v[i];
    }
    s->n = n;
}

/* A hard link, even to another, is the file that it leads to: the same content. */
static int follow_hard_links(struct pkg_survey *s, struct rel_err *e)
{
    for (size_t i = 0; i < s->n; i++) {
        struct pkg_file *f = &s->v[i], is;
        const struct pkg_file *old = f;

        for (int hops = 0; old && old->hard_link && hops < HARD_LINKS_MAX; hops++)
            old = pkg_survey_find(s, old->hard_link);
        if (!f->hard_link)
            continue;
        if (!old || old->hard_link || old->kind != PKG_FILE_REGULAR)
            return rel_fail(e, REL_E_INPUT, 0,
                            "the entry %s is a hard link to what is no file of the archive",
                            f->path);
        is = *old;
        is.path = f->path;
        is.hard_link = f->hard_link;
        *f = is;
    }
    return 0;
}

static int read_tarball(const char *path, bool plain, const struct rel_progress *p,
                        struct pkg_survey *s, struct rel_err *e)
{
    pkg_autosurvey struct pkg_survey made = {.origin = rel_xstrdup(path), .plain = plain};
    rel_autofree struct batch *b = rel_xcalloc(1, sizeof(*b));
    pkg_autotar struct pkg_tar_reader *r = NULL;

    b->s = &made;
    if (pkg_tar_open(path, NULL, p, &r, e) < 0 || take_entries(r, b, e) < 0) {
        batch_fini(b);
        return rel_wrap(e, "%s", path);
    }
    qsort(made.v, made.n, sizeof(*made.v), by_path);
    drop_doubles(&made);
    if (follow_hard_links(&made, e) < 0)
        return rel_wrap(e, "%s", path);
    *s = made;
    made = (struct pkg_survey){0};
    return 0;
}

static int read_folder(const char *path, bool plain, const struct rel_progress *p,
                       struct pkg_survey *s, struct rel_err *e)
{
    pkg_autoentries struct pkg_entries es = {0};
    pkg_autorelease struct pkg_release *r = NULL;
    struct pkg_add_tree all = {.from = path, .to = ""};

    if (pkg_release_read(path, &r, e) < 0 || pkg_entries_add_tree(&es, &all, e) < 0)
        return -1;
    pkg_entries_sort(&es);
    if (survey_entries(&es, plain, p, s, e) < 0)
        return rel_wrap(e, "%s", path);
    free(s->origin);
    s->origin = rel_xstrdup(path);
    return 0;
}

static int read_either(const char *path, bool plain, const struct rel_progress *p,
                       struct pkg_survey *s, struct rel_err *e)
{
    return rel_is_dir(AT_FDCWD, path) ? read_folder(path, plain, p, s, e)
                                      : read_tarball(path, plain, p, s, e);
}

int pkg_survey_read(const char *path, const struct rel_progress *p, struct pkg_survey *s,
                    struct rel_err *e)
{
    return read_either(path, false, p, s, e);
}

int pkg_survey_read_plain(const char *path, const struct rel_progress *p, struct pkg_survey *s,
                          struct rel_err *e)
{
    return read_either(path, true, p, s, e);
}
