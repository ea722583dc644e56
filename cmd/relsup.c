/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/relsup.h"

#include <string.h>

#include "supervisor/sup_home.h"

enum { SILENCE_MS = 30000 };

extern const struct cmd_verb relsup_cutover, relsup_abort, relsup_run, relsup_upgrade,
    relsup_rollback, relsup_restart, relsup_stop, relsup_status, relsup_history, relsup_releases,
    relsup_rpc, relsup_eval, relsup_remote, relsup_pid, relsup_logs, relsup_doctor, relsup_worker,
    relsup_launch;

int relsup_home(const struct cmd_ctx *ctx, char **home, struct rel_err *e)
{
    return sup_home_find(cmd_get(ctx, "home"), cmd_get(ctx, "app"), home, e);
}

static void on_progress(void *ctx, const char *step, const char *state, const char *detail,
                        int64_t took_ms)
{
    struct cmd_ctx *c = ctx;

    if (!step || !state)
        return;
    if (state[0] == 'r') { /* running */
        if (strcmp(c->out.step, step) != 0)
            rel_out_step(&c->out, step, detail);
        else
            rel_out_step_news(&c->out, detail, 0, 0);
        return;
    }
    c->out.step[0] = '\0';
    rel_out_step_line(&c->out, step, detail, state[0] == 'd', took_ms);
}

static void on_log(void *ctx, const char *message)
{
    struct cmd_ctx *c = ctx;

    rel_out_log(&c->out, "  | %s", message);
}

int relsup_call(struct cmd_ctx *ctx, enum sup_cmd cmd, const json_t *args, json_t **result,
                struct rel_err *e)
{
    struct sup_client_events events = {
        .progress = on_progress, .log = on_log, .ctx = ctx, .silence_ms = SILENCE_MS};
    rel_autofree char *home = NULL;

    if (relsup_home(ctx, &home, e) < 0)
        return -1;
    return sup_client_call(home, cmd, args, &events, result, e);
}

int relsup_contact(const struct cmd_ctx *ctx, struct hot_contact *c, struct rel_err *e)
{
    rel_autofree char *home = NULL, *path = NULL;

    if (relsup_home(ctx, &home, e) < 0)
        return -1;
    path = rel_strf("%s/run/active.json", home);
    return hot_contact_read(path, c, e);
}

int main(int argc, char **argv)
{
    static const struct cmd_verb *const verbs[] = {&relsup_run,
                                                   &relsup_upgrade,
                                                   &relsup_cutover,
                                                   &relsup_abort,
                                                   &relsup_rollback,
                                                   &relsup_restart,
                                                   &relsup_stop,
                                                   &relsup_status,
                                                   &relsup_history,
                                                   &relsup_releases,
                                                   &relsup_rpc,
                                                   &relsup_eval,
                                                   &relsup_remote,
                                                   &relsup_pid,
                                                   &relsup_logs,
                                                   &relsup_doctor,
                                                   &relsup_worker,
                                                   &relsup_launch,
                                                   NULL};
    static const struct cmd_program program = {
        .name = "relsup",
        .summary = "Runs a release of an Erlang or Elixir application and replaces it while it "
                   "serves.",
        .verbs = verbs};

    return cmd_main(&program, argc, argv);
}
