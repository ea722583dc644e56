/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: two stop, one reads the settings, none of the others ends us. */
#include <signal.h>

#include "base/rel_clock.h"
#include "supervisor/sup_engine.h"

/* Whoever ignores these loses nothing; their default would end us, or stop us, and leave the
 * application without a supervisor. A child gets the default again (libuv; sup_child.c). */
static const int ignored[] = {SIGHUP, /* until the loop listens to it */
                              SIGUSR1,   SIGUSR2, SIGQUIT, SIGALRM, SIGVTALRM,
                              SIGPROF,   SIGPIPE, SIGPOLL, SIGPWR,  SIGTSTP,
                              SIGSTKFLT, SIGTTIN, SIGTTOU, SIGXCPU, SIGXFSZ};

static void on_nothing(int number)
{
    (void)number;
}

void sup_signals_ignore(void)
{
    /* a handler, which ends with an exec: that nothing of them is ignored is nobody else's task */
    struct sigaction nothing = {.sa_handler = on_nothing, .sa_flags = SA_RESTART};

    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&nothing.sa_mask);
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
        sigaction(number, &nothing, NULL);
}

static void on_stop(uv_signal_t *handle, int number)
{
    (void)number;
    sup_stop_all(handle->data);
}

static void on_reload(uv_signal_t *handle, int number)
{
    struct sup *s = handle->data;

    (void)number;
    s->reload = true;
    sup_reload_tick(s);
}

static const struct {
    int number;
    uv_signal_cb call;
} heard[SUP_SIGNALS] = {{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}};

void sup_signals_open(struct sup *s)
{
    for (size_t i = 0; i < SUP_SIGNALS; i++) {
        uv_signal_init(&s->loop, &s->signals[i]);
        s->signals[i].data = s;
        uv_signal_start(&s->signals[i], heard[i].call, heard[i].number);
    }
}

void sup_signals_close(struct sup *s)
{
    for (size_t i = 0; i < SUP_SIGNALS; i++)
        uv_close((uv_handle_t *)&s->signals[i], NULL);
}

/* For a service of Type=notify-reload (systemd.service(5)). */
static void tell_reloading(void)
{
    rel_autofree char *text =
        rel_strf("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)rel_mono_ms() * 1000);

    sup_notify(text);
}

void sup_reload_tick(struct sup *s)
{
    struct rel_err e = {0};

    if (!s->reload || s->state != SWAP_IDLE || s->job_busy || s->trial.busy || s->stopping)
        return;
    s->reload = false;
    tell_reloading();
    if (sup_settings_take(s, s->active ? s->active->dir : NULL, &e) < 0)
        sup_log(s, "the settings stay as they were: %s", e.msg);
    else
        sup_log(s, "the settings are read anew");
    if (s->served)
        sup_notify("READY=1");
}
