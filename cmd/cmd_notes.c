/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_notes.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

enum { CHUNK = 4096 };

struct cmd_notes {
    FILE *stream;
    int fd;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    char ring[CMD_NOTES_ROOM];
    size_t at, n; /* the first byte, and how many there are */
    size_t dropped_n;
    bool json, writing, ending;
};

static size_t lines_of(const char *text, size_t n)
{
    size_t lines = 0;

    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    return lines;
}

/* cookie_write_function_t: all of it, or nothing of it. */
static ssize_t on_write(void *cookie, const char *text, size_t n)
{
    struct cmd_notes *w = cookie;

    pthread_mutex_lock(&w->lock);
    if (n > CMD_NOTES_ROOM - w->n) {
        w->dropped_n += lines_of(text, n);
    } else {
        for (size_t i = 0; i < n; i++)
            w->ring[(w->at + w->n + i) % CMD_NOTES_ROOM] = text[i];
        w->n += n;
        pthread_cond_signal(&w->filled);
    }
    pthread_mutex_unlock(&w->lock);
    return (ssize_t)n;
}

/* -1: it is lost, or a part of it is. */
static int pass_on(int fd, const char *text, size_t n)
{
    while (n) {
        ssize_t done = write(fd, text, n);

        if (done < 0 && errno == EAGAIN)
            (void)!poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else if (done < 0 && errno != EINTR)
            return -1;
        if (done > 0) {
            text += done;
            n -= (size_t)done;
        }
    }
    return 0;
}

static size_t take_chunk(struct cmd_notes *w, char chunk[CHUNK])
{
    size_t n = w->n < CHUNK ? w->n : CHUNK;

    for (size_t i = 0; i < n; i++)
        chunk[i] = w->ring[(w->at + i) % CMD_NOTES_ROOM];
    w->at = (w->at + n) % CMD_NOTES_ROOM;
    w->n -= n;
    return n;
}

static size_t take_dropped(struct cmd_notes *w, char chunk[CHUNK])
{
    const char *form =
        w->json ? "{\"level\":\"warning\",\"message\":\"%zu line%s dropped\",\"type\":\"log\"}\n"
                : "warning: %zu line%s dropped\n";
    int n = snprintf(chunk, CHUNK, form, w->dropped_n, w->dropped_n == 1 ? " was" : "s were");

    w->dropped_n = 0;
    return (size_t)n;
}

static bool is_done(const struct cmd_notes *w)
{
    return !w->n && !w->dropped_n && !w->writing;
}

static void *run(void *ctx)
{
    struct cmd_notes *w = ctx;
    char chunk[CHUNK];

    pthread_mutex_lock(&w->lock);
    while (!is_done(w) || !w->ending) {
        size_t n, lost = 0;

        if (is_done(w)) {
            pthread_cond_wait(&w->filled, &w->lock);
            continue;
        }
        n = w->n ? take_chunk(w, chunk) : take_dropped(w, chunk);
        w->writing = true;
        pthread_mutex_unlock(&w->lock);
        if (pass_on(w->fd, chunk, n) < 0)
            lost = lines_of(chunk, n);
        pthread_mutex_lock(&w->lock);
        w->writing = false;
        if (lost && !w->ending && !w->n) /* say so once it takes something again, not in a loop */
            pthread_cond_wait(&w->filled, &w->lock);
        w->dropped_n += w->ending ? 0 : lost;
        pthread_cond_signal(&w->emptied);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static int start(struct cmd_notes *w)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int cmd_notes_open(int fd, bool json, struct cmd_notes **notes, struct rel_err *e)
{
    cookie_io_functions_t io = {.write = on_write};
    struct cmd_notes *w = rel_xcalloc(1, sizeof(*w));
    int rc;

    w->fd = fd;
    w->json = json;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->filled, NULL);
    pthread_cond_init(&w->emptied, NULL);
    w->stream = fopencookie(w, "w", io);
    rc = w->stream ? start(w) : errno;
    if (rc) {
        if (w->stream)
            fclose(w->stream);
        free(w);
        return rel_fail(e, REL_E_IO, rc, "start the thread that writes the log");
    }
    *notes = w;
    return 0;
}

FILE *cmd_notes_stream(struct cmd_notes *notes)
{
    return notes->stream;
}

static struct timespec in_ms(int timeout_ms)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += timeout_ms / 1000;
    t.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

void cmd_notes_close(struct cmd_notes *w, int timeout_ms)
{
    struct timespec until = in_ms(timeout_ms);
    bool over;
    int rc = 0;

    fflush(w->stream);
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_signal(&w->filled);
    while (!is_done(w) && rc == 0)
        rc = pthread_cond_timedwait(&w->emptied, &w->lock, &until);
    over = is_done(w);
    pthread_mutex_unlock(&w->lock);
    if (!over)
        return;
    pthread_join(w->thread, NULL);
    fclose(w->stream);
    pthread_cond_destroy(&w->emptied);
    pthread_cond_destroy(&w->filled);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
