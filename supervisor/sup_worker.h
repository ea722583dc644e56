/* SPDX-License-Identifier: Apache-2.0 */
/* A short-lived process of relsup itself (`relsup worker`) that does what may hang, crash or be
 * hostile: fetch, unpack, verify, read what a release consists of. It is confined (sup_confine.h),
 * leads a process group of its own, has no secret in its arguments or environment, and ends with
 * its parent. The request goes to it on a pipe, one JSON object comes back; the parent believes
 * nothing of it that it has not checked. Whatever becomes of the worker is one error.
 *
 * The loop's thread. */
#ifndef SUP_WORKER_H
#define SUP_WORKER_H

#include <jansson.h>
#include <uv.h>

#include "base/rel_err.h"

/* Of a difference more: 400 bytes a changed module, and a release may change some 10,000. */
enum { SUP_WORKER_ANSWER_MAX = 64 << 10, SUP_WORKER_DIFF_MAX = 8 << 20 };

struct sup_worker;

struct sup_worker_order {
    json_t *request;    /* taken, also on failure; NULL is a failure */
    const char *task;   /* lent until `done`, for errors: "the release could not be unpacked" */
    size_t answer_max;  /* bytes */
    int64_t timeout_ms; /* then it is killed */
    void (*line)(void *ctx, const char *text); /* what it has to say, at most some lines; or NULL */
    /* It is gone, and the order with it. e is filled, and the answer (lent) NULL, when it failed,
     * was killed, or sent a malformed answer. */
    void (*done)(void *ctx, const json_t *answer, const struct rel_err *e);
    void *ctx;
};

/* 0: `done` will be called once, from the loop. -1: nothing runs. */
REL_MUST_USE int sup_worker_start(uv_loop_t *loop, const struct sup_worker_order *order,
                                  struct sup_worker **worker, struct rel_err *e);

/* Ends it; `why` ("was aborted") stands in the error, unless it ended already by itself. */
void sup_worker_kill(struct sup_worker *w, enum rel_code code, const char *why);

/* The requests. */

/* sup_incoming_prepare: its arrival is the answer. */
json_t *sup_worker_add_request(const char *home, const char *incoming, const char *release,
                               const char *app, const char *key);
/* sup_incoming_inspect: the answer is {"mark": TEXT}. */
json_t *sup_worker_inspect_request(const char *root);
/* sup_diff_make: its object is the answer. */
json_t *sup_worker_diff_request(const char *old_root, const char *new_root);

/* The whole of `relsup worker`: reads the request from stdin, answers on stdout. -1: there was
 * nobody to answer. */
REL_MUST_USE int sup_worker_main(struct rel_err *e);

#endif
