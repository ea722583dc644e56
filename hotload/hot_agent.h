/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of hotload/: what a connection is, a call over it, and the Erlang modules that this
 * program carries as BEAM code and loads into a node. The only header that shows ei.h; never
 * included from outside of this folder. One thread at a time uses one connection. */
#ifndef HOT_AGENT_H
#define HOT_AGENT_H

#include <ei.h>

#include "base/rel_clock.h"
#include "hotload/hot_frame.h"
#include "hotload/hot_node.h"

struct hot_node {
    struct hot_reader in; /* over fd */
    int fd;
    erlang_pid self; /* by the name that the other end gave us */
    char *name;      /* of the node at the other end */
    bool broken;     /* a deadline passed or a message was cut: an answer may come late */
    unsigned calls;  /* number of evaluations, which tells late output from ours */
};

/* A module made from hotload/<name>.erl at build time. Its Erlang name carries a hash of its source
 * (relsup_agent_0123abcd), so two versions of it never meet in a node; that of the face
 * (hot_face.h) is as people call it. The variables are declared in the generated header
 * hotload/hot_beams.h as `hot_beam_<name>`. */
struct hot_beam {
    const char *module;
    const char *hash; /* of its source, 8 hex digits */
    const unsigned char *code;
    size_t len;
};

/* A term that came in. It was walked (hot_term_end): no length in it leads out of buf. `at` is the
 * offset of what the caller wants. */
struct hot_term {
    char *buf; /* owned */
    size_t len;
    int at;
};

void hot_term_fini(struct hot_term *t);
#define hot_autoterm __attribute__((cleanup(hot_term_fini)))

struct hot_call {
    const char *mod, *fun;
    const ei_x_buff *args; /* the list of arguments, without a version byte; NULL for [] */
    int64_t until_ms;      /* deadline, of rel_mono_ms */
};

/* rpc through `rex`. 0: *result owns the value. REL_E_REMOTE: {badrpc, _}, and `at` of *result is
 * the reason (for hot_call_is_undef). REL_E_TIMEOUT and REL_E_UNREACHABLE leave the connection
 * broken: nothing but hot_node_close may follow. *result is to be released in every case. */
REL_MUST_USE int hot_node_call(struct hot_node *node, const struct hot_call *call,
                               struct hot_term *result, struct rel_err *e);

/* The bounds walk: is there a whole term at `at`, of known kinds, and where does it end? Takes any
 * bytes, and is what lets libei's decoders see none but good ones. */
bool hot_term_end(const char *buf, size_t len, size_t at, size_t *end);

/* Did that call fail because its module is not there? */
bool hot_call_is_undef(const struct hot_term *result);

/* A connection whose handshake is over, on `fd`, which it owns; `self` is the process of ours that
 * calls. */
struct hot_node *hot_node_new(const char *name, int fd, const erlang_pid *self);

/* The next message sent to us, whoever sent it; answers ticks. `at` is its first byte behind the
 * version. REL_E_TIMEOUT leaves the connection as it was, REL_E_UNREACHABLE broken. */
REL_MUST_USE int hot_node_receive(struct hot_node *node, int64_t until_ms, struct hot_term *message,
                                  struct rel_err *e);

/* After success the module is loaded in the node. It is loaded only when it is not there, and in a
 * way that never kills a process that runs an earlier load (facts: code:load_binary/3 purges). */
REL_MUST_USE int hot_agent_ensure(struct hot_node *node, const struct hot_beam *beam,
                                  int64_t until_ms, struct rel_err *e);

/* Encoders into argument lists. They abort when memory is gone, like base/rel_own.h. */
void hot_x_new(ei_x_buff *x);
void hot_put_list(ei_x_buff *x, int n);
void hot_put_nil(ei_x_buff *x);
void hot_put_tuple(ei_x_buff *x, int n);
void hot_put_map(ei_x_buff *x, int n);
void hot_put_atom(ei_x_buff *x, const char *name); /* hot_is_atom */
void hot_put_string(ei_x_buff *x, const char *text);
void hot_put_binary(ei_x_buff *x, const void *bytes, size_t len);
void hot_put_text(ei_x_buff *x, const char *text); /* as a binary */
void hot_put_int(ei_x_buff *x, int64_t n);
void hot_put_pid(ei_x_buff *x, const erlang_pid *pid);
void hot_put_raw(ei_x_buff *x, const ei_x_buff *terms);
bool hot_put_taken(ei_x_buff *x, const struct hot_term *t); /* the term at t->at; false: none */
void hot_x_free(ei_x_buff *x);
#define hot_autox __attribute__((cleanup(hot_x_free)))

/* Can it be an atom: UTF-8 of at most 255 bytes? To be asked of names that come from files. */
bool hot_is_atom(const char *name);

/* Decoders: false where the term is another. They move *at behind it on success. */
int hot_term_tag(const struct hot_term *t, int at); /* 0 behind the end */
bool hot_take_skip(const struct hot_term *t, int *at);
bool hot_take_atom(const struct hot_term *t, int *at, char out[MAXATOMLEN_UTF8]);
bool hot_take_word(const struct hot_term *t, int *at, const char *word); /* that very atom */
bool hot_take_tuple(const struct hot_term *t, int *at, int n);
int hot_take_any_tuple(const struct hot_term *t, int *at); /* its size, or < 0 */
bool hot_take_int(const struct hot_term *t, int *at, int64_t *n);
/* The number of elements of the list that begins here, or < 0; the end of a list (what is behind
 * the last element) counts as an empty one. A number is at most the bytes of the term, so what is
 * allocated per element grows with the elements that are really taken. */
int hot_take_list(const struct hot_term *t, int *at);
/* A binary, or a string or list of characters; NUL-terminated, owned by the caller. */
bool hot_take_text(const struct hot_term *t, int *at, char **out, size_t *len);

/* What the other side gave as the reason of a failure: never empty. */
const char *hot_reason(const char *text);

/* The beginning of the term for people, at most `max` bytes; no control characters, owned by the
 * caller. */
char *hot_term_text(const struct hot_term *t, int at, size_t max);

#endif
