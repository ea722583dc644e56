/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "supervisor/sup_run.h"

enum { READ_MAX = 4 << 20 };

static char *path_of(const char *home)
{
    return rel_strf("%s/log/history.jsonl", home);
}

static bool ends_cut(int fd)
{
    struct stat st;
    char last;

    return fstat(fd, &st) == 0 && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 &&
           last != '\n';
}

int sup_history_add(const char *home, json_t *entry, struct rel_err *e)
{
    rel_autofree char *path = path_of(home);
    rel_autofree char *text = NULL, *line = NULL;
    rel_autoclose int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    text = json_dumps(entry, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(entry);
    if (fd < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", path);
    line = rel_strf("%s%s\n", ends_cut(fd) ? "\n" : "", text ? text : "{}");
    if (rel_write_all(fd, line, strlen(line), e) < 0)
        return rel_wrap(e, "%s", path);
    return fsync(fd) < 0 ? rel_fail(e, REL_E_IO, errno, "sync %s", path) : 0;
}

/* At the first whole line of the last READ_MAX bytes. */
static int seek_tail(FILE *f, char **line, size_t *size)
{
    struct stat st;

    if (fstat(fileno(f), &st) < 0)
        return -1;
    if (st.st_size <= READ_MAX)
        return 0;
    if (fseeko(f, st.st_size - READ_MAX - 1, SEEK_SET) < 0)
        return -1;
    return getline(line, size, f) < 0 && ferror(f) ? -1 : 0;
}

int sup_history_each(const char *home, void (*entry)(void *ctx, json_t *entry), void *ctx,
                     struct rel_err *e)
{
    rel_autofree char *path = path_of(home), *line = NULL;
    FILE *f = fopen(path, "re");
    size_t size = 0;
    ssize_t n = 0;
    bool bad;

    if (!f)
        return errno == ENOENT ? 0 : rel_fail(e, REL_E_IO, errno, "open %s", path);
    bad = seek_tail(f, &line, &size) < 0;
    while (!bad && (n = getline(&line, &size, f)) >= 0) {
        json_t *one = json_loadb(line, (size_t)n, 0, NULL);

        if (json_is_object(one))
            entry(ctx, one);
        json_decref(one);
    }
    bad = bad || ferror(f);
    if (fclose(f) == EOF || bad)
        return rel_fail(e, REL_E_IO, errno, "read %s", path);
    return 0;
}

static void add_to(void *list, json_t *entry)
{
    json_array_append(list, entry);
}

int sup_history(const char *home, json_t **history, struct rel_err *e)
{
    json_auto_t *list = json_array();

    if (sup_history_each(home, add_to, list, e) < 0)
        return -1;
    *history = json_incref(list);
    return 0;
}
