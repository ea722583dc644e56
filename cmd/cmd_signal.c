/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_signal.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

void cmd_signal_catch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    /* A wait for a child ends by poll(2), which is interrupted all the same. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
}

bool cmd_signal_stopped(void *ctx)
{
    (void)ctx;
    return caught != 0;
}

void cmd_signal_raise(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};

    if (!caught)
        return;
    sigemptyset(&action.sa_mask);
    sigaction(caught, &action, NULL);
    raise(caught);
}
