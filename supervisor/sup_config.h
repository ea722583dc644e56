/* SPDX-License-Identifier: Apache-2.0 */
/* relsup.json: the operator's settings in HOME, or the release's own where there is none. Strict:
 * an unknown key, a wrong type or a duplicate key is REL_E_INPUT with file and line. JSON Schema:
 * docs/relsup.schema.json. */
#ifndef SUP_CONFIG_H
#define SUP_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/rel_err.h"

/* XX(constant, name) */
#define SUP_PROBE_MAP(XX)    \
    XX(SUP_PROBE_NODE, node) \
    XX(SUP_PROBE_HTTP, http) \
    XX(SUP_PROBE_TCP, tcp)   \
    XX(SUP_PROBE_RPC, rpc)   \
    XX(SUP_PROBE_EXEC, exec)

enum sup_probe_kind {
#define XX(constant, name) constant,
    SUP_PROBE_MAP(XX)
#undef XX
        SUP_PROBE_COUNT
};

/* One thing that a candidate must pass, and go on passing until its soak is over. */
struct sup_health {
    enum sup_probe_kind kind;
    int port;       /* http, tcp; 0: the one that the application listens on */
    char *path;     /* http */
    char *host;     /* http: of the Host header; NULL: localhost */
    bool tls;       /* http: https; the certificate is not looked at */
    int status;     /* http: what is wanted; 0: any from 200 to 299 */
    char *body;     /* http: a regular expression (rel_regex.h) to be found; or NULL */
    char *expr;     /* rpc: must have the value ok or true */
    char **command; /* exec: must exit with 0; NULL-terminated */
    int64_t interval_ms, timeout_ms;
    int in_a_row; /* so many must succeed, one after the other, before the cutover */
    int failures; /* so many failures, one after the other, are too many */
};

/* What runs in the new release while the old one still serves. One of the two is set. */
struct sup_boot_step {
    char *eval; /* an expression, by the launcher's eval */
    char **run; /* a command, in the release's folder; NULL-terminated */
    int64_t timeout_ms;
};

/* A function that is called in a peer. */
struct sup_call {
    char *module, *function; /* NULL: none */
    int64_t timeout_ms;
};

/* A process whose callback module a hot upgrade cannot find by itself. */
struct sup_callback {
    char *process; /* registered name, or module of its `$initial_call` */
    char *module;
};

struct sup_config {
    char *app;           /* name of the application; NULL: that of the first release */
    int64_t boot_ms;     /* a peer must be ready within it; default 60 s */
    int64_t shutdown_ms; /* from SIGTERM to SIGKILL; default 30 s */
    int64_t drain_ms;    /* what the old peer has begun may take so long; default 30 s */
    int64_t soak_ms;     /* so long a failure after the cutover leads back; default 0 */
    int drain_rate;      /* connections a second that are ended in a drain; 500 */
    struct in_addr preview;
    char *node_names[2]; /* without the host; NULL: <app>_blue and <app>_green */
    int keep;            /* releases kept on disk beside the one that runs; default 3 */
    char *key;           /* file of the public key that must have signed a release; NULL: none */
    char **env;          /* "NAME=VALUE" for the peers, NULL-terminated; may be NULL */
    char *user;          /* peers, steps and probes run as that one; NULL: as relsup does */
    char **capabilities; /* what they keep, as "net_bind_service"; NULL-terminated; may be NULL */
    int *ports;          /* TCP ports on which the application is to listen, exactly these */
    size_t port_n;
    bool ports_set; /* false: not said, and learnt from what it does */
    struct sup_health *health;
    size_t health_n;
    struct sup_boot_step *before_boot;
    size_t before_boot_n;
    struct sup_call before_cutover, after_cutover;
    bool refuse_old; /* a hot upgrade does not keep processes in the old code; default: it does */
    struct sup_callback *callbacks;
    size_t callback_n;
};

/* The operator's file where there is one, as a whole; else the release's; else defaults. The
 * operator's must be nobody else's (sup_trust.h). What a release brings is read as hostile, and
 * must not have the keys key, user, capabilities and env_file. Keys of the contract that this
 * version does not act on yet (distribution) are REL_E_INPUT like unknown ones, so nobody believes
 * they work. */
REL_MUST_USE int sup_config_read(const char *home_file, const char *release_file,
                                 struct sup_config *c, struct rel_err *e);

/* What a release brings could be used, whether it will be or not. 0 where it brings nothing. */
REL_MUST_USE int sup_config_check_shipped(const char *release_file, struct rel_err *e);

/* The text of a file of that name, or NULL: defaults. */
REL_MUST_USE int sup_config_parse(const char *text, size_t len, const char *file, bool shipped,
                                  struct sup_config *c, struct rel_err *e);

void sup_config_fini(struct sup_config *c);

/* The number of a capability (capabilities(7)) by its name, in any case, with or without "cap_";
 * -1: there is none of that name. */
int sup_capability_number(const char *name);

#endif
