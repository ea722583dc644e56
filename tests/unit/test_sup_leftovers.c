/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "hotload/hot_contact.h"
#include "supervisor/sup_leftovers.h"

enum { NEVER_MS = 60000 };

static int make_home(void **state)
{
    static char dir[64];
    rel_autofree char *run = NULL;
    struct rel_err e = {0};

    strcpy(dir, "/tmp/test_sup_leftovers.XXXXXX");
    *state = mkdtemp(dir);
    run = rel_strf("%s/run", dir);
    return rel_mkdirs(AT_FDCWD, run, 0700, &e);
}

static int remove_home(void **state)
{
    struct rel_err e = {0};

    return rel_remove_tree(AT_FDCWD, *state, &e);
}

/* A leader of a group, as a peer is; a stubborn one ignores SIGTERM. */
static struct sup_journal_peer start(bool stubborn)
{
    int ready[2];
    struct sup_journal_peer p = {.generation = 1, .served = true};
    char c;

    assert_int_equal(pipe(ready), 0);
    p.pid = fork();
    if (p.pid == 0) {
        setsid();
        if (stubborn)
            signal(SIGTERM, SIG_IGN);
        (void)!write(ready[1], "x", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    close(ready[1]);
    p.pid_start = hot_pid_start(p.pid);
    return p;
}

static void ended_by(const struct sup_journal_peer *p, int signal)
{
    int64_t until_ms = rel_mono_ms() + 10000;
    pid_t pid;
    int status;

    /* with a thread that a sanitizer added it is a zombie a moment before it can be reaped */
    while ((pid = waitpid(p->pid, &status, WNOHANG)) == 0 && rel_left_ms(until_ms))
        usleep(1000);
    assert_int_equal(pid, p->pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal);
}

static size_t end(const char *home, const struct sup_journal *j, int timeout_ms)
{
    struct sup_leftovers of = {
        .home = home, .journal = j, .known = true, .user = geteuid(), .timeout_ms = timeout_ms};
    struct rel_err e = {0};
    size_t n = 0;

    assert_int_equal(sup_leftovers_end(&of, &n, &e), 0);
    return n;
}

static void peers_that_run_are_ended(void **state)
{
    struct sup_journal j = {.peer_n = 2, .peers = {start(false), start(true)}};

    assert_int_equal(end(*state, &j, 300), 2);
    ended_by(&j.peers[0], SIGTERM);
    ended_by(&j.peers[1], SIGKILL);
    assert_int_equal(end(*state, &j, 300), 0);
}

/* It is booting, and would lose a SIGTERM; a step has nothing to end in order. */
static void what_never_served_is_killed_at_once(void **state)
{
    struct sup_journal j = {.peer_n = 2, .peers = {start(false), start(false)}}, got;
    struct rel_err e = {0};

    j.peers[0].served = j.peers[1].served = false;
    j.peers[1].step = true;
    assert_int_equal(sup_journal_write(*state, &j, &e), 0);
    assert_int_equal(sup_journal_read(*state, &got, &e), 0);
    assert_int_equal(end(*state, &got, NEVER_MS), 2);
    ended_by(&j.peers[0], SIGKILL);
    ended_by(&j.peers[1], SIGKILL);
}

static void a_stranger_of_that_number_is_left_alone(void **state)
{
    struct sup_journal j = {.peer_n = 1, .peers = {start(false)}};
    int status;

    j.peers[0].pid_start--;
    assert_int_equal(end(*state, &j, 300), 0);
    assert_int_equal(waitpid(j.peers[0].pid, &status, WNOHANG), 0);
    kill(j.peers[0].pid, SIGKILL);
    waitpid(j.peers[0].pid, &status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_that_run_are_ended),
        cmocka_unit_test(what_never_served_is_killed_at_once),
        cmocka_unit_test(a_stranger_of_that_number_is_left_alone),
    };

    return cmocka_run_group_tests(tests, make_home, remove_home);
}
