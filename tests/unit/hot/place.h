/* SPDX-License-Identifier: Apache-2.0 */
/* A node to upgrade, and the plans that make.escript wrote. For the tests of one file: everything
 * here is static. Each node has no epmd and a free loopback port, and is ended by its pid. */
#ifndef TEST_HOT_PLACE_H
#define TEST_HOT_PLACE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above */
#include <setjmp.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "hotload/hot_upgrade.h"

/* No test needs all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

enum { BOOT_MS = 20000, CALL_MS = 20000, SERVERS = 1000 };

struct place {
    char *dir;
    struct hot_contact contact;
    pid_t erl;
    struct hot_node *node;
};

static void run_tool(char *const argv[])
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    rel_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

/* Once for all tests: compile every version of the application. */
static int make_versions(void **state)
{
    char dir[] = "/tmp/test_hot_upgrade.XXXXXX";
    const char *source = getenv("RELPACK_SOURCE");
    struct rel_err e = {0};

    assert_non_null(source);
    assert_non_null(mkdtemp(dir));
    rel_autofree char *script = rel_strf("%s/tests/unit/hot/make.escript", source);
    rel_autofree char *sources = rel_strf("%s/tests/unit/hot", source);
    rel_autofree char *erlang = rel_strf("%s/secret/erlang", dir);
    rel_autofree char *cookie = rel_strf("%s/.erlang.cookie", erlang);

    run_tool((char *[]){(char *)"escript", script, sources, dir, NULL});
    assert_int_equal(rel_mkdirs(AT_FDCWD, erlang, 0700, &e), 0);
    assert_int_equal(rel_replace_file(AT_FDCWD, cookie, "chocolate", 9, 0400, &e), 0);
    *state = rel_xstrdup(dir);
    return 0;
}

static int remove_versions(void **state)
{
    struct rel_err e = {0};

    assert_int_equal(rel_remove_tree(AT_FDCWD, *state, &e), 0);
    free(*state);
    return 0;
}

static void start_erl(const char *dir, int port)
{
    rel_autofree char *secret = rel_strf("%s/secret", dir);
    rel_autofree char *ebin = rel_strf("%s/hx-1/ebin", dir);
    rel_autofree char *config = rel_strf("%s/1", dir);
    rel_autofree char *log = rel_strf("%s/erl.log", dir);
    rel_autofree char *port_text = rel_strf("%d", port);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    dup2(null, 0);
    dup2(fd, 1);
    dup2(fd, 2);
    setenv("XDG_CONFIG_HOME", secret, 1);
    execlp("erl", "erl", "-noshell", "-setcookie", "-home", "x", "-start_epmd", "false",
           "-erl_epmd_port", port_text, "-kernel", "inet_dist_use_interface", "{127,0,0,1}",
           "-sname", "hx@localhost", "-pa", ebin, "-config", config, "-eval",
           "application:ensure_all_started(hx)", (char *)NULL);
    _exit(127);
}

static void wait_booted(struct place *p)
{
    int64_t until = rel_mono_ms() + BOOT_MS;

    for (;;) {
        struct rel_err e = {0};
        hot_autonode struct hot_node *node = NULL;
        rel_autofree char *value = NULL;
        struct hot_eval started = {.expr =
                                       "lists:keymember(hx, 1, application:which_applications())",
                                   .timeout_ms = CALL_MS};

        if (hot_node_open(&p->contact, 1000, &node, &e) == 0 &&
            hot_node_eval(node, &started, &value, &e) == 0 && strcmp(value, "true") == 0) {
            p->node = rel_steal(&node);
            return;
        }
        if (rel_mono_ms() > until)
            fail_msg("the node does not boot: %s", e.msg);
        usleep(20000);
    }
}

static int open_place(void **state)
{
    struct place *p = rel_xcalloc(1, sizeof(*p));
    int port = free_port();

    p->dir = *state;
    p->contact = (struct hot_contact){
        .node = rel_xstrdup("hx@localhost"),
        .port = port,
        .cookie_file = rel_strf("%s/secret/erlang/.erlang.cookie", p->dir),
    };
    p->erl = fork();
    assert_true(p->erl >= 0);
    if (p->erl == 0)
        start_erl(p->dir, port);
    wait_booted(p);
    *state = p;
    return 0;
}

static int close_place(void **state)
{
    struct place *p = *state;

    hot_node_close(p->node);
    kill(p->erl, SIGKILL);
    waitpid(p->erl, NULL, 0);
    hot_contact_fini(&p->contact);
    *state = p->dir;
    free(p);
    return 0;
}

static void expect(struct place *p, const char *expr, const char *want)
{
    struct rel_err e = {0};
    rel_autofree char *value = NULL;
    struct hot_eval eval = {.expr = expr, .lang = HOT_ERLANG, .timeout_ms = CALL_MS};

    if (hot_node_eval(p->node, &eval, &value, &e) < 0)
        fail_msg("%s: %s", expr, e.msg);
    if (strcmp(value, want) != 0)
        fail_msg("%s is %s, not %s", expr, value, want);
}

static void expect_in(const struct rel_err *e, const char *part)
{
    if (!strstr(e->msg, part))
        fail_msg("\"%s\" does not say \"%s\"", e->msg, part);
}

#define autoreport __attribute__((cleanup(hot_report_fini)))

/* ---- plans ---- */

struct plan {
    struct hot_plan plan;
    struct hot_module modules[16];
    struct hot_app_change app;
    char *text, *strings[6];
};

static void plan_fini(struct plan *p)
{
    free(p->text);
    for (size_t i = 0; i < sizeof(p->strings) / sizeof(p->strings[0]); i++)
        free(p->strings[i]);
}
#define autoplan __attribute__((cleanup(plan_fini)))

static void read_md5(const char *hex, unsigned char md5[16])
{
    if (strcmp(hex, "-") == 0)
        return;
    for (size_t i = 0; i < 16; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        md5[i] = (unsigned char)strtoul(byte, NULL, 16);
    }
}

static const char *path_or_null(const char *path)
{
    return strcmp(path, "-") == 0 ? NULL : path;
}

/* From 1 to `version`, as make.escript wrote it down. */
static void read_plan(struct place *place, int version, struct plan *p)
{
    rel_autofree char *file = rel_strf("%s/%d.plan", place->dir, version);
    char *line, *rest, *end;
    struct rel_err e = {0};
    size_t len;

    *p = (struct plan){0};
    assert_int_equal(rel_read_file(AT_FDCWD, file, 65536, &p->text, &len, &e), 0);
    for (line = strtok_r(p->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        struct hot_module *m = &p->modules[p->plan.module_n++];

        m->app = "hx";
        m->module = strtok_r(line, " ", &end);
        m->old_path = path_or_null(strtok_r(NULL, " ", &end));
        m->new_path = path_or_null(strtok_r(NULL, " ", &end));
        (void)strtok_r(NULL, " ", &end); /* the MD5 of the old one */
        read_md5(strtok_r(NULL, " ", &end), m->new_md5);
    }
    p->strings[0] = rel_strf("%s/hx-1/ebin", place->dir);
    p->strings[1] = rel_strf("%s/hx-%d/ebin", place->dir, version);
    p->strings[2] = rel_strf("%d", version);
    p->strings[3] = rel_strf("%s/1.config", place->dir);
    p->strings[4] = rel_strf("%s/%d.config", place->dir, version);
    p->app = (struct hot_app_change){.app = "hx",
                                     .old_vsn = "1",
                                     .new_vsn = p->strings[2],
                                     .old_ebin = p->strings[0],
                                     .new_ebin = p->strings[1],
                                     .type = "permanent"};
    p->plan.modules = p->modules;
    p->plan.apps = &p->app;
    p->plan.app_n = 1;
    p->plan.old_sys_config = p->strings[3];
    p->plan.new_sys_config = p->strings[4];
    p->plan.suspend_ms = 3000;
    p->plan.timeout_ms = 30000;
}

#endif
