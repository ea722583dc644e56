/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership: cleanup attributes, and the allocators that abort when memory is gone.
 *
 * A variable declared with one of the attributes releases what it owns when its scope ends.
 * `rel_steal` hands the value on and leaves the variable empty. The cleanup is for the failure
 * path: on the success path closing a file that was written is an explicit, checked call.
 *
 * Small allocations never return NULL: the process aborts. A size that comes from outside (a file,
 * a peer) is bounded by the caller before it allocates. Any thread. */
#ifndef REL_OWN_H
#define REL_OWN_H

#include <dirent.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

void rel_free_p(void *p);
void rel_close_p(int *fd);
void rel_fclose_p(FILE **f);
void rel_closedir_p(DIR **d);

#define rel_autofree     __attribute__((cleanup(rel_free_p)))
#define rel_autoclose    __attribute__((cleanup(rel_close_p)))
#define rel_autofclose   __attribute__((cleanup(rel_fclose_p)))
#define rel_autoclosedir __attribute__((cleanup(rel_closedir_p)))

/* Empties a pointer variable and yields what it held. */
#define rel_steal(p)                        \
    __extension__({                         \
        __typeof__(*(p)) rel_stolen = *(p); \
        *(p) = NULL;                        \
        rel_stolen;                         \
    })

/* Empties a descriptor variable (it becomes -1) and yields what it held. */
int rel_steal_fd(int *fd);

void *rel_xmalloc(size_t n);
void *rel_xcalloc(size_t n, size_t size);
void *rel_xrealloc(void *p, size_t n, size_t size);
char *rel_xstrdup(const char *s);
char *rel_xstrndup(const char *s, size_t n);

/* printf into a new string that the caller owns. */
char *rel_strf(const char *fmt, ...) REL_PRINTF(1, 2);
char *rel_vstrf(const char *fmt, va_list ap) REL_PRINTF(1, 0);

/* The name of a user, owned by the caller; NULL: it has none. */
char *rel_user_name(uid_t uid);

/* A growable, always NUL-terminated byte buffer. Zero-initialised is empty; `rel_buf_fini` frees.
 */
struct rel_buf {
    char *p;
    size_t len, cap;
};

void rel_buf_fini(struct rel_buf *b);
#define rel_autobuf __attribute__((cleanup(rel_buf_fini)))
void rel_buf_add(struct rel_buf *b, const void *p, size_t n);
void rel_buf_adds(struct rel_buf *b, const char *s);
void rel_buf_addf(struct rel_buf *b, const char *fmt, ...) REL_PRINTF(2, 3);
/* Yields the bytes (never NULL, NUL-terminated, the caller frees) and leaves the buffer empty. */
char *rel_buf_take(struct rel_buf *b);

#endif
