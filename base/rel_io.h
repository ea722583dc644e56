/* SPDX-License-Identifier: Apache-2.0 */
/* Files: whole reads, whole writes, and the one way in which this project replaces a file.
 *
 * A file is replaced by writing a new one beside it and renaming: a reader, and a crash at any
 * instruction, sees the old content or the new one, never a part (open(2), fsync(2), rename(2)).
 * Any thread; no state. */
#ifndef REL_IO_H
#define REL_IO_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/rel_err.h"

/* Reads the file `path`, relative to `dir_fd` (AT_FDCWD for the working directory), of at most
 * `max` bytes. The caller owns *data, which is followed by a NUL that *len does not count.
 * A larger file is REL_E_INPUT. */
REL_MUST_USE int rel_read_file(int dir_fd, const char *path, size_t max, char **data, size_t *len,
                               struct rel_err *e);

/* The same of an open file, from where it stands; `path` is its name for the message. */
REL_MUST_USE int rel_read_fd(int fd, const char *path, size_t max, char **data, size_t *len,
                             struct rel_err *e);

/* Writes all of it, over partial writes and signals. */
REL_MUST_USE int rel_write_all(int fd, const void *data, size_t len, struct rel_err *e);

/* A file being written that has no name yet that anybody looks for.
 *   open: a temporary file `.<name>.<random>.tmp` lies in the directory of `path`.
 *   commit: its content and its name are on disk; `path` is the new file.
 *   abandon, or a failure of commit: `path` is as it was, the temporary file is gone.
 *   crash: `path` is whole, old or new; a temporary file may lie beside it. */
struct rel_tmp {
    int fd;     /* write here; owned by this struct */
    int dir_fd; /* of the directory that holds both */
    char *name; /* of the target, in that directory */
    char *tmp_name;
};

#define REL_TMP_INIT           \
    {                          \
        .fd = -1, .dir_fd = -1 \
    }

REL_MUST_USE int rel_tmp_open(struct rel_tmp *t, int dir_fd, const char *path, mode_t mode,
                              struct rel_err *e);
REL_MUST_USE int rel_tmp_commit(struct rel_tmp *t, struct rel_err *e);
/* Harmless on a committed or never opened one, so it is the cleanup of every struct rel_tmp. */
void rel_tmp_abandon(struct rel_tmp *t);
#define rel_autotmp __attribute__((cleanup(rel_tmp_abandon)))

/* rel_tmp_open, write, rel_tmp_commit. */
REL_MUST_USE int rel_replace_file(int dir_fd, const char *path, const void *data, size_t len,
                                  mode_t mode, struct rel_err *e);

/* Replaces the symbolic link `path` durably: it names the old target or the new one, never nothing.
 * Leftovers of a crash are repaired by the next call. */
REL_MUST_USE int rel_replace_link(int dir_fd, const char *path, const char *target,
                                  struct rel_err *e);

/* Moves the directory `from` to the name `to` on the same file system, durably. The tree itself
 * must be synced already (rel_sync_tree). `to` must not exist, or be an empty directory. */
REL_MUST_USE int rel_rename_dir(int dir_fd, const char *from, const char *to, struct rel_err *e);

/* mkdir -p. Directories that exist keep their mode. */
REL_MUST_USE int rel_mkdirs(int dir_fd, const char *path, mode_t mode, struct rel_err *e);

/* rm -rf, without following a symbolic link and without leaving the file system of `path`.
 * What does not exist is a success. */
REL_MUST_USE int rel_remove_tree(int dir_fd, const char *path, struct rel_err *e);

/* Makes every file and directory below `path` durable by one syncfs(2) of its file system. */
REL_MUST_USE int rel_sync_tree(int dir_fd, const char *path, struct rel_err *e);

/* Fills `out` from the kernel's generator (getrandom(2)). A secret is made of nothing else: there
 * is no way on without it. */
REL_MUST_USE int rel_random(void *out, size_t n, struct rel_err *e);

bool rel_is_dir(int dir_fd, const char *path);
bool rel_is_file(int dir_fd, const char *path);

#endif
