/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a run: what becomes of the peers, of `current` and of what came in; and who is told.
 */
#include <fcntl.h>
#include <string.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "base/rel_out.h"
#include "supervisor/sup_engine.h"
#include "supervisor/sup_history.h"

enum { TAIL_MAX = 1500, TAIL_SEARCH = 16384 };

void sup_ask_fini(struct sup_ask *ask)
{
    free(ask->release);
    free(ask->dir);
    free(ask->from);
    free(ask->app);
    free(ask->instead);
    free(ask->why_not_hot);
    hot_report_fini(&ask->report);
    *ask = (struct sup_ask){0};
}

static void note(struct sup *s, const char *outcome)
{
    struct rel_err e = {0};
    char when[REL_TIME_LEN];
    json_t *entry;

    rel_time_format(rel_wall_ms(), when);
    entry = json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:b, s:I}", "at", when, "what", s->ask.what,
                      "outcome", outcome, "from", s->ask.from, "to", s->ask.dir, "hot", s->ask.hot,
                      "took_ms", (json_int_t)(rel_mono_ms() - s->ask.began_ms));
    if (s->ask.failure.code || s->ask.instead)
        json_object_set_new(
            entry, "reason",
            rel_json_text(s->ask.failure.code ? s->ask.failure.msg : s->ask.instead));
    sup_drain_tell(s, entry);
    if (s->ask.forward)
        json_object_set_new(entry, "forward", json_true());
    if (sup_history_add(s->store.home, entry, &e) < 0)
        sup_log(s, "%s", e.msg);
}

void sup_report_revival(struct sup *s, const char *dir, int64_t took_ms, const char *reason)
{
    struct rel_err e = {0};
    char when[REL_TIME_LEN];

    rel_time_format(rel_wall_ms(), when);
    if (sup_history_add(s->store.home,
                        json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:s*}", "at", when, "what",
                                  "recover", "outcome", reason ? "refused" : "done", "to", dir,
                                  "hot", 0, "took_ms", (json_int_t)took_ms, "reason", reason),
                        &e) < 0)
        sup_log(s, "%s", e.msg);
}

void sup_answer_done(struct sup *s, const char *app)
{
    json_t *o;

    if (!s->ask.conn)
        return;
    o = json_pack("{s:s*, s:s, s:s*, s:i, s:b, s:s*, s:I, s:i, s:i, s:o*, s:I}", "app", app,
                  "release", s->ask.dir, "previous", s->ask.from, "generation", s->generation,
                  "hot", s->ask.hot, "why_not_hot", s->ask.why_not_hot, "pause_us",
                  (json_int_t)s->ask.report.pause_us, "modules", (int)s->ask.report.module_n,
                  "processes", (int)s->ask.report.process_n, "plan", sup_plan_json(&s->ask.report),
                  "took_ms", (json_int_t)(rel_mono_ms() - s->ask.began_ms));
    sup_drain_tell(s, o);
    sup_conn_result(rel_steal(&s->ask.conn), o);
}

static void forget_added(struct sup *s)
{
    struct rel_err e = {0};

    if (s->ask.added && sup_store_remove(s->store.home, s->ask.dir, &e) < 0)
        sup_log(s, "%s", e.msg);
}

void sup_report_done(struct sup *s)
{
    const char *app = s->active ? s->active->release->name : NULL; /* it may have crashed already */
    struct rel_err e = {0};

    sup_health_end(s);
    sup_drain_finish(s);
    sup_let_go(s, SWAP_OLD_SIDE);
    if (s->old) {
        sup_step(s, "stop", "done", s->old->contact.node);
        sup_peer_close(rel_steal(&s->old));
    }
    sup_settings_settle(s, !s->ask.dry_run);
    if (s->ask.dry_run)
        forget_added(s);
    else if (!s->ask.hot) /* of a change in place it was set ahead of it */
        sup_set_current(s, s->ask.dir);
    note(s, s->ask.dry_run ? "checked" : "done");
    if (!s->ask.dry_run) {
        free(s->instead);
        s->instead = rel_steal(&s->ask.instead);
    }
    if (!s->ask.dry_run)
        sup_prune(s);
    if (s->ask.conn && s->ask.failure.code)
        sup_conn_error(rel_steal(&s->ask.conn), &s->ask.failure);
    sup_answer_done(s, app);
    rel_fail(&e, REL_E_BUSY, 0, "too late: %s serves", s->ask.dir);
    sup_conns_error(&s->ask.aborters, &e);
    sup_ask_fini(&s->ask);
}

void sup_report_refused(struct sup *s)
{
    struct sup_ask next;
    bool again;

    sup_settings_settle(s, false);
    forget_added(s);
    sup_log(s, "%s refused: %s", s->ask.what, s->ask.failure.msg);
    note(s, "refused");
    if (s->ask.conn)
        sup_conn_error(s->ask.conn, &s->ask.failure);
    sup_conns_result(&s->ask.aborters,
                     json_pack("{s:s, s:s*}", "aborted", s->ask.dir ? s->ask.dir : s->ask.what,
                               "release", s->active ? s->active->dir : NULL));
    again = !s->served && !s->stopping && !s->ask.taken &&
            sup_fall_back(s, s->ask.dir, &s->ask.failure, &next);
    if (!s->served && !s->stopping &&
        !again) /* of what the home has, not of the oldest one tried */
        s->failure = s->fallback.wanted ? s->fallback.why : s->ask.failure;
    sup_ask_fini(&s->ask);
    if (again)
        sup_begin(s, &next);
}

/* The last lines of the candidate's output go before the error, one log line each. */
static void tell_tail(struct sup *s, const char *log)
{
    rel_autofree char *tail = sup_store_tail(log, TAIL_MAX);
    char *save = NULL;

    for (char *l = strtok_r(tail, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
        if (s->ask.conn)
            sup_conn_log(s->ask.conn, l);
        else
            sup_log(s, "  %s", l);
}

/* Only the VM knows which port it wanted, and it says so in its log. */
static bool address_is_taken(const struct sup_peer *peer)
{
    rel_autofree char *tail = sup_store_tail(peer->log, TAIL_SEARCH);

    return strstr(tail, "eaddrinuse") != NULL;
}

static void fail_taken(const struct sup *s, enum rel_code code, struct rel_err *e)
{
    rel_autofree char *tail = sup_store_tail(s->candidate->log, TAIL_SEARCH);
    rel_autofree char *who = sup_ports_suspect(s, tail);
    int udp = s->active ? swap_udp_port(s->active->contact.pid) : 0;

    if (udp)
        rel_fail(
            e, code, 0,
            "%s cannot listen (eaddrinuse): UDP port %d of the old one cannot be shared by two "
            "peers; give it up, or stop and start",
            s->ask.dir, udp);
    else
        rel_fail(e, code, 0,
                 "%s cannot listen: another program has its port (eaddrinuse%s%s), free it or "
                 "change the configuration",
                 s->ask.dir, who ? ": " : "", who ? who : "");
}

/* What happened, where whoever posted the event did not say. */
static void fail_exited(const struct sup *s, enum rel_code code, struct rel_err *e)
{
    rel_autofree char *end = sup_peer_end_text(s->candidate);

    if (address_is_taken(s->candidate))
        fail_taken(s, s->active ? code : REL_E_INPUT, e);
    else
        rel_fail(e, code, 0, "%s %s %s", s->ask.dir, end,
                 s->ask.cut_over ? "after the cutover" : "before it was ready");
}

void sup_fail_late(struct sup *s)
{
    struct rel_err *e = &s->ask.failure;

    if (s->left == SWAP_BOOTING)
        rel_fail(e, REL_E_TIMEOUT, 0, "%s was not ready in time: %s", s->ask.dir,
                 s->why ? s->why : "it did not answer");
    else if (s->left == SWAP_HOLDING)
        rel_fail(e, REL_E_TIMEOUT, 0, "nobody decided on %s in time", s->ask.dir);
    else
        rel_fail(e, REL_E_TIMEOUT, 0, "%s was not proved in time (%s)", s->ask.dir,
                 swap_state_name(s->left));
}

/* One that was never let go did nothing that had to be undone. */
static enum rel_code undone_code(const struct sup *s)
{
    if (s->stopping)
        return REL_E_INTERRUPTED;
    if (!s->candidate && s->ask.failure.code)
        return s->ask.failure.code;
    return s->active ? REL_E_ROLLED_BACK : REL_E_CHILD;
}

void sup_report_undone(struct sup *s)
{
    enum rel_code code = undone_code(s);
    struct rel_err e = {0};

    sup_health_end(s);
    sup_drain_finish(s);
    sup_let_go(s, SWAP_NEW_SIDE);
    s->ask.taken |= !s->ask.failure.code && address_is_taken(s->candidate);
    if (s->ask.failure.code)
        rel_fail(&e, code, 0, "%s", s->ask.failure.msg);
    else
        fail_exited(s, code, &e);
    if (s->active && !s->stopping)
        snprintf(e.msg + strlen(e.msg), sizeof(e.msg) - strlen(e.msg), ", the old one serves");
    if (s->candidate) {
        tell_tail(s, s->candidate->log);
        sup_peer_close(rel_steal(&s->candidate));
        s->green = !s->green; /* that name is free again */
    }
    if (s->ask.cut_over && s->ask.from)
        sup_set_current(s, s->ask.from);
    s->ask.failure = e;
    sup_report_refused(s);
}
