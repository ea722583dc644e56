/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { CORES_MAX = 32 };

struct job {
    size_t n;
    int (*work)(void *ctx, size_t i, struct rel_err *e);
    void *ctx;
    atomic_size_t next;
    atomic_bool failed;
};

struct worker {
    struct job *job;
    pthread_t thread;
    size_t failed_at;
    struct rel_err err;
};

unsigned pkg_cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

    return n < 1 ? 1 : n > CORES_MAX ? CORES_MAX : (unsigned)n;
}

/* Indices are given out in order, so whatever is below a failure has been begun. */
static void *work_on(void *arg)
{
    struct worker *w = arg;
    struct job *job = w->job;

    while (!atomic_load(&job->failed)) {
        size_t i = atomic_fetch_add(&job->next, 1);

        if (i >= job->n)
            break;
        if (job->work(job->ctx, i, &w->err) < 0) {
            w->failed_at = i;
            atomic_store(&job->failed, true);
        }
    }
    return NULL;
}

int pkg_parallel(size_t n, int (*work)(void *ctx, size_t i, struct rel_err *e), void *ctx,
                 struct rel_err *e)
{
    struct worker workers[CORES_MAX] = {0}, *first = NULL;
    struct job job = {.n = n, .work = work, .ctx = ctx};
    unsigned wanted = pkg_cores(), started = 1;

    for (unsigned i = 0; i < CORES_MAX; i++)
        workers[i].job = &job;
    /* What cannot be started is done by the others; this thread is the first worker. */
    while (started < wanted && started < n &&
           pthread_create(&workers[started].thread, NULL, work_on, &workers[started]) == 0)
        started++;
    work_on(&workers[0]);
    for (unsigned i = 1; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    for (unsigned i = 0; i < started; i++)
        if (workers[i].err.code && (!first || workers[i].failed_at < first->failed_at))
            first = &workers[i];
    if (first)
        *e = first->err;
    return first ? -1 : 0;
}
