/* SPDX-License-Identifier: Apache-2.0 */
/* load: a bounded HTTP/1.1 client for the benchmarks, the tests and the demo, and what its files
 * share: client.c (connections), report.c (what came of them), load.c (the command line). */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { CONN_MAX = 1000, BODY_KIND_MAX = 16, BUFFER = 4096, RATE_MAX = 20000, SECONDS_MAX = 3600 };
enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000, SWEEP_NS = 5000000 };
enum { STEPS = 64, OCTAVES = 32 }; /* of the histogram: 1.6 % wide buckets up to an hour */

/* XX(constant, name in the result): "early" is before a byte of the answer came. */
#define FAILURE_MAP(XX)               \
    XX(REFUSED, refused)              \
    XX(RESET_EARLY, reset)            \
    XX(RESET_LATE, reset_in_answer)   \
    XX(CLOSED_EARLY, closed)          \
    XX(CLOSED_LATE, closed_in_answer) \
    XX(TIMED_OUT, timeout)            \
    XX(BAD_STATUS, bad_status)        \
    XX(BAD_ANSWER, bad_answer)        \
    XX(OVERLOAD, overload)

enum failure {
#define XX(constant, name) constant,
    FAILURE_MAP(XX)
#undef XX
        FAILURE_N
};

/* ENDING: answered, waiting for the server's end of the connection. */
enum state { FREE, CONNECTING, WAITING, IDLE, ENDING };

struct conn {
    enum state state;
    int fd;
    int64_t due_ns; /* of the request under way */
    int64_t last_ns;
    size_t len;
    char buf[BUFFER];
};

struct body_kind {
    char line[64];
    uint64_t n;
};

struct options {
    struct sockaddr_storage address;
    socklen_t address_len;
    char path[512], host[128];
    int rate, seconds, keepalive, closed_loop, timeout_ms;
    const char *until_file;
    bool json, any_private;
};

struct load {
    struct options opt;
    int ep, signal_fd;
    struct conn *conns;
    size_t conn_n; /* usable slots */
    size_t turn;   /* where the next one is looked for */
    char request[1024];
    size_t request_len;
    int64_t start_ns, last_ok_ns, gap_ns, took_ns;
    uint64_t request_n, sent, ok, failed[FAILURE_N];
    struct body_kind bodies[BODY_KIND_MAX];
    size_t body_n;
    uint64_t latency[OCTAVES * STEPS];
    uint32_t max_us;
    bool stopping;
};

/* client.c: runs until it is time to stop and nothing is under way. */
int load_prepare(struct load *l);
void load_run(struct load *l);

/* report.c */
void load_count_ok(struct load *l, const struct conn *c);
void load_count_body(struct load *l, const char *body, size_t len);
uint64_t load_failed(const struct load *l);
void load_print(const struct load *l);

#endif
