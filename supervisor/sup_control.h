/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket of a home: HOME/run/control.sock, mode 0600. Whoever connects must be of our
 * user or root (SO_PEERCRED, unix(7)).
 *
 * Protocol, version 1: one JSON object a line, both ways, at most SUP_LINE_MAX bytes.
 *   request   {"v":1,"cmd":"status","args":{}}                     one a connection
 *             with "format":"erlang" each answer is the text of an Erlang term with a dot behind it
 *             instead (sup_term.h), one a line too, but for the error that says it is no request
 *   answers   {"v":1,"type":"progress","step":"boot","state":"running"|"done"|"failed",
 *              "detail":"...","took_ms":12}                        any number
 *             {"v":1,"type":"log","message":"..."}                 any number
 *             {"v":1,"type":"result","result":{...}}               the last line, or
 *             {"v":1,"type":"error","code":"rolled_back","message":"..."}
 * A client of another version is told so in an error. One thread: the loop's. */
#ifndef SUP_CONTROL_H
#define SUP_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "base/rel_err.h"

enum { SUP_PROTOCOL = 1, SUP_LINE_MAX = 64 * 1024 };

/* XX(constant, name) */
#define SUP_CMD_MAP(XX)            \
    XX(SUP_CMD_STATUS, status)     \
    XX(SUP_CMD_UPGRADE, upgrade)   \
    XX(SUP_CMD_ROLLBACK, rollback) \
    XX(SUP_CMD_RESTART, restart)   \
    XX(SUP_CMD_CUTOVER, cutover)   \
    XX(SUP_CMD_ABORT, abort)       \
    XX(SUP_CMD_STOP, stop)

enum sup_cmd {
#define XX(constant, name) constant,
    SUP_CMD_MAP(XX)
#undef XX
        SUP_CMD_COUNT
};

enum sup_format { SUP_FORMAT_JSON, SUP_FORMAT_ERLANG };

struct sup_request {
    enum sup_cmd cmd;
    enum sup_format format; /* of the answers */
    json_t *args;           /* an object, never NULL; owned */
};

/* Parses one line, without its line end. REL_E_INPUT for anything else than a request of our
 * version; safe for any bytes. sup_request_fini frees. */
REL_MUST_USE int sup_request_parse(const char *line, size_t len, struct sup_request *r,
                                   struct rel_err *e);
void sup_request_fini(struct sup_request *r);

const char *sup_cmd_name(enum sup_cmd cmd);

struct sup_control;
struct sup_conn; /* one client; refers to itself until it is ended or the client hangs up */

/* A request came in. `conn` is lent until sup_conn_result/sup_conn_error; when the client hangs up
 * before, `gone` is called and conn must not be used any more. */
struct sup_control_handler {
    void (*request)(void *ctx, struct sup_conn *conn, const struct sup_request *r);
    void (*gone)(void *ctx, struct sup_conn *conn);
    /* May that user ask too, who is neither root nor the one we run as? NULL: nobody. */
    bool (*is_guest)(void *ctx, uid_t uid);
    void *ctx;
};

/* Listens. A stale socket file of a dead supervisor is replaced (the caller holds the home's lock).
 * `loop` and the handler are lent until the close is over. */
REL_MUST_USE int sup_control_open(uv_loop_t *loop, const char *path,
                                  const struct sup_control_handler *handler,
                                  struct sup_control **control, struct rel_err *e);
/* Ends every connection and removes the socket file; the memory is freed by the loop's last close
 * callback. */
void sup_control_close(struct sup_control *control);

/* Who asks. */
uid_t sup_conn_uid(const struct sup_conn *conn);
void sup_conn_progress(struct sup_conn *conn, const char *step, const char *state,
                       const char *detail, int64_t took_ms);
void sup_conn_log(struct sup_conn *conn, const char *message);
/* Takes `result`. Each of these two ends the connection after the line is written. */
void sup_conn_result(struct sup_conn *conn, json_t *result);
void sup_conn_error(struct sup_conn *conn, const struct rel_err *err);

/* Those who wait for the same answer. */
struct sup_conns {
    struct sup_conn **v;
    size_t n;
};

void sup_conns_add(struct sup_conns *conns, struct sup_conn *conn);
/* It hung up. */
void sup_conns_drop(struct sup_conns *conns, const struct sup_conn *conn);
/* That it takes a while. */
void sup_conns_progress(const struct sup_conns *conns, const char *step);
/* All of them are answered, and nobody waits any more. Takes `result`. */
void sup_conns_result(struct sup_conns *conns, json_t *result);
void sup_conns_error(struct sup_conns *conns, const struct rel_err *err);

#endif
