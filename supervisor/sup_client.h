/* SPDX-License-Identifier: Apache-2.0 */
/* The client side of the control socket: blocking, for cmd/. One thread a call. */
#ifndef SUP_CLIENT_H
#define SUP_CLIENT_H

#include <jansson.h>

#include "base/rel_err.h"
#include "supervisor/sup_control.h"

struct sup_client_events {
    void (*progress)(void *ctx, const char *step, const char *state, const char *detail,
                     int64_t took_ms);
    void (*log)(void *ctx, const char *message);
    void *ctx;
    int silence_ms; /* without any news for so long, the supervisor is given up */
};

/* Sends one request to the supervisor of `home` and waits for its end. `args` is lent, may be NULL.
 * 0: *result is the result object, owned by the caller. REL_E_NOT_RUNNING: nobody listens there.
 * REL_E_STUCK: an order was given, and the supervisor ended or fell silent before it said more.
 * An error of the other side comes with its code and message. `events` is lent; the time in
 * it is not of the whole: a supervisor that works says so every 2 s. */
REL_MUST_USE int sup_client_call(const char *home, enum sup_cmd cmd, const json_t *args,
                                 const struct sup_client_events *events, json_t **result,
                                 struct rel_err *e);

#endif
