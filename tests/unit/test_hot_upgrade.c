/* SPDX-License-Identifier: Apache-2.0 */
/* The hot upgrade of a real node: tests/unit/hot holds an application in one old version and five
 * new ones. Each test has a node of its own, without epmd, on a free loopback port. */
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
        read_md5(strtok_r(NULL, " ", &end), m->old_md5);
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
                                     .new_ebin = p->strings[1]};
    p->plan.modules = p->modules;
    p->plan.apps = &p->app;
    p->plan.app_n = 1;
    p->plan.old_sys_config = p->strings[3];
    p->plan.new_sys_config = p->strings[4];
    p->plan.suspend_ms = 3000;
    p->plan.timeout_ms = 30000;
}

static void fill(struct place *p)
{
    rel_autofree char *expr = rel_strf("hx_pool:fill(%d)", SERVERS);
    rel_autofree char *n = rel_strf("%d", SERVERS);

    expect(p, expr, n);
    expect(p, "application:set_env(hx, put, by_hand)", "ok");
}

#define VERSIONS                                                          \
    "{hx_server:count(one), hx_server:count(two), hx_lib:version(), "     \
    "element(2, gen_statem:call(hx_statem, get)) >= 0, "                  \
    "gen_event:call(hx_events, hx_event, get), "                          \
    "gen_event:call(hx_events, {hx_event, second}, get), "                \
    "application:get_key(hx, vsn), filename:basename(code:lib_dir(hx)), " \
    "[application:get_env(hx, K) || K <- [from_app, put, file, new]], "   \
    "{erlang:module_loaded(hx_gone), erlang:module_loaded(hx_new)}}"
#define OLD                                                       \
    "{1000,0,1,true,{1,{one,a}},{1,{one,b}},{ok,\"1\"},\"hx-1\"," \
    "[{ok,1},{ok,by_hand},{ok,conf_1},undefined],{true,false}}"

/* Nobody is left suspended, and no state is kept any longer. */
#define ALL_RUN                                                                             \
    "[P || P <- processes(), {_, D} <- [process_info(P, dictionary)], "                     \
    "process_info(P, current_function) =:= {current_function, {sys, suspend_loop_hib, 6}} " \
    "orelse lists:any(fun({K, _}) -> K =:= '$relsup_old' orelse is_tuple(K) andalso "       \
    "element(1, K) =:= '$relsup_old' end, D)]"

/* hx_gone is there as code of the running release is in embedded mode. */
static void setup_old(struct place *p)
{
    fill(p);
    expect(p, "hx_gone:here()", "true");
    expect(p, VERSIONS, OLD);
}

/* ---- the tests ---- */

static void everything_changes(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;
    struct hot_report report = {0};
    struct rel_err e = {0};

    setup_old(p);
    read_plan(p, 2, &plan);
    if (hot_upgrade_check(p->node, &plan.plan, &report, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(report.process_n, SERVERS + 3);
    expect(p, VERSIONS, OLD);

    if (hot_upgrade_run(p->node, &plan.plan, &report, &e) < 0)
        fail_msg("%s", e.msg);
    /* app, event, lib, new, server, statem, sup; and servers, state machine, manager, supervisor */
    assert_int_equal(report.module_n, 7);
    assert_int_equal(report.process_n, SERVERS + 3);
    assert_true(report.pause_us > 0 && report.pause_us < 3000000);
    expect(p, VERSIONS,
           "{0,1000,2,true,{2,{two,a}},{2,{two,b}},{ok,\"2\"},\"hx-2\","
           "[{ok,2},{ok,by_hand},{ok,conf_2},{ok,2}],{false,true}}");
    expect(p, "persistent_term:get(hx_config)", "{2,[{file,conf_2},{from_app,2}],[{new,2}],[]}");
    expect(p, "filename:basename(filename:dirname(filename:dirname(code:which(hx_server))))",
           "\"hx-2\"");
    expect(p, ALL_RUN, "[]");
    expect(p, "whereis(relsup_hot_keeper)", "undefined");
}

static void one_of_thousand_fails(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;
    struct hot_report report = {0};
    struct rel_err e = {0};

    setup_old(p);
    expect(p, "persistent_term:put(pids, hx_server:all())", "ok");
    read_plan(p, 3, &plan);
    assert_int_equal(hot_upgrade_run(p->node, &plan.plan, &report, &e), -1);
    assert_int_equal(e.code, REL_E_ROLLED_BACK);
    expect_in(&e, "hx_server");
    expect_in(&e, "bad_luck");
    expect(p, VERSIONS, OLD);
    /* The state machine is back in its old callback mode: it answers; and nobody was restarted. */
    expect(p, "gen_statem:call(hx_statem, get)", "{1,42}");
    expect(p, "persistent_term:get(pids) =:= hx_server:all()", "true");
    expect(p, ALL_RUN, "[]");

    /* And the way is free for a better one. */
    struct rel_err e2 = {0};
    autoplan struct plan good;

    read_plan(p, 2, &good);
    if (hot_upgrade_run(p->node, &good.plan, &report, &e2) < 0)
        fail_msg("%s", e2.msg);
    expect(p, "{hx_server:count(one), hx_server:count(two)}", "{0,1000}");
    expect(p, "element(1, gen_statem:call(hx_statem, get))", "2");
}

static void busy_process(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;
    struct hot_report report = {0};
    struct rel_err e = {0};

    setup_old(p);
    expect(p, "hx_server:busy(hd(hx_server:all()), 3000)", "ok");
    read_plan(p, 2, &plan);
    plan.plan.suspend_ms = 500;
    assert_int_equal(hot_upgrade_run(p->node, &plan.plan, &report, &e), -1);
    assert_int_equal(e.code, REL_E_ROLLED_BACK);
    expect_in(&e, "did not suspend in time");
    /* The late suspend has its resume behind it: all thousand answer, the busy one in its time. */
    expect(p, VERSIONS, OLD);
    expect(p, ALL_RUN, "[]");
}

/* A caller waits in a callee that is suspended already: all at once never ends. */
static void callers_and_callees(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;
    struct hot_report report = {0};
    struct rel_err e = {0};

    setup_old(p);
    expect(p,
           "begin [B | As] = lists:sublist(hx_server:all(), 51), "
           "[spawn(fun() -> (fun L() -> catch gen_server:call(A, {ask, B}, 10000), L() end)() end)"
           " || A <- As, _ <- [1, 2, 3]], ok end",
           "ok");
    read_plan(p, 2, &plan);
    if (hot_upgrade_run(p->node, &plan.plan, &report, &e) < 0)
        fail_msg("%s", e.msg);
    expect(p, "{hx_server:count(one), hx_server:count(two)}", "{0,1000}");
    expect(p, ALL_RUN, "[]");
}

/* The process that hangs in its code_change; its supervisor must have noticed, too. */
#define END_CHANGING                                                                              \
    "begin exit(whereis(hx_changing), kill), (fun W() -> case length(hx_server:all()) of 999 -> " \
    "ok; "                                                                                        \
    "_ -> timer:sleep(5), W() end end)() end"

static void client_killed(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;

    setup_old(p);
    read_plan(p, 4, &plan);
    plan.plan.suspend_ms = 8000;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        hot_autonode struct hot_node *node = NULL;
        struct hot_report report;
        struct rel_err e = {0};

        if (hot_node_open(&p->contact, 5000, &node, &e) < 0 ||
            hot_upgrade_run(node, &plan.plan, &report, &e) < 0)
            _exit(1);
        _exit(0);
    }
    expect(p,
           "(fun W(0) -> none; W(N) -> case whereis(hx_changing) of undefined -> timer:sleep(10), "
           "W(N - 1); _ -> here end end)(1500)",
           "here");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    /* At once, not when some deadline is over. */
    expect(p, "element(1, gen_server:call(lists:last(hx_server:all()), get, 3000))", "1");
    expect(p, END_CHANGING, "ok");
    expect(p,
           "(fun W(0) -> late; W(N) -> case whereis(relsup_hot_keeper) of undefined -> gone; "
           "_ -> timer:sleep(10), W(N - 1) end end)(1000)",
           "gone");
    expect(p, "{hx_server:count(one), hx_server:count(two)}", "{999,0}");
    expect(p, "gen_statem:call(hx_statem, get)", "{1,41}");
    expect(p, ALL_RUN, "[]");
}

static void hung_code_change(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;
    struct hot_report report = {0};
    struct rel_err e = {0};

    setup_old(p);
    read_plan(p, 4, &plan);
    plan.plan.suspend_ms = 400;
    assert_int_equal(hot_upgrade_run(p->node, &plan.plan, &report, &e), -1);
    /* That one process still sits in its code_change; the message says so, all others are back. */
    assert_int_equal(e.code, REL_E_STUCK);
    expect_in(&e, "was not over within 400 ms");
    expect_in(&e, "the old state of");
    expect(p, END_CHANGING, "ok");
    expect(p, "{hx_server:count(one), hx_server:count(two)}", "{999,0}");
    expect(p, ALL_RUN, "[]");
}

static void refuses(struct place *p, struct plan *plan, const char *reason)
{
    struct hot_report report = {0};
    struct rel_err e = {0};

    assert_int_equal(hot_upgrade_run(p->node, &plan->plan, &report, &e), -1);
    if (e.code != REL_E_INPUT)
        fail_msg("%s: %s", rel_code_name(e.code), e.msg);
    expect_in(&e, reason);
    expect(p, VERSIONS, OLD);
}

static void refusals(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;

    setup_old(p);
    read_plan(p, 2, &plan);

    expect(p, "register(plain, spawn(hx_lib, loop, []))", "true");
    refuses(p, &plan, "process plain runs in module hx_lib");
    expect(p, "exit(whereis(plain), kill)", "true");

    plan.app.new_vsn = "";
    refuses(p, &plan, "application hx is removed: use --swap");
    plan.app.new_vsn = "2";
    plan.app.old_vsn = "0.9";
    refuses(p, &plan, "application hx runs in version 1, not 0.9");
    plan.app.old_vsn = "1";
    plan.app.app = "hy";
    refuses(p, &plan, "application hy is new: use --swap");
    plan.app.app = "hx";

    plan.modules[0].old_md5[0] ^= 1;
    refuses(p, &plan, "module hx_app in memory is not that of");
    plan.modules[0].old_md5[0] ^= 1;
    plan.modules[0].new_md5[0] ^= 1;
    refuses(p, &plan, "changed while the upgrade was planned");
    plan.modules[0].new_md5[0] ^= 1;

    plan.modules[0].app = "stdlib";
    refuses(p, &plan, "module hx_app of stdlib changes");
    plan.modules[0].app = "hx";
    plan.modules[0].module = "lists";
    refuses(p, &plan, "module lists is sticky");
    plan.modules[0].module = "hx_app";
    expect(p, ALL_RUN, "[]");
}

static void old_code_in_use(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;

    setup_old(p);
    read_plan(p, 2, &plan);
    /* Somebody stays in the code of before: loading the same file makes the loop's code old. */
    expect(p, "register(plain, spawn(hx_lib, loop, []))", "true");
    expect(p, "code:load_file(hx_lib)", "{module,hx_lib}");
    refuses(p, &plan, "process plain still runs the code of hx_lib");
    expect(p, "is_pid(whereis(plain))", "true");
}

static void supervisor_rolls_back(struct place *p, int version, const char *reason)
{
    autoplan struct plan plan;
    struct hot_report report = {0};
    struct rel_err e = {0};

    read_plan(p, version, &plan);
    assert_int_equal(hot_upgrade_run(p->node, &plan.plan, &report, &e), -1);
    if (e.code != REL_E_ROLLED_BACK)
        fail_msg("%s: %s", rel_code_name(e.code), e.msg);
    expect_in(&e, reason);
    expect(p, VERSIONS, OLD);
    expect(p, "length(supervisor:which_children(hx_sup))", "3");
    expect(p, ALL_RUN, "[]");
}

static void supervisors(void **state)
{
    struct place *p = *state;

    setup_old(p);
    supervisor_rolls_back(p, 5, "process hx_sup (hx_sup) gets new children ([more])");
    supervisor_rolls_back(p, 6, "process hx_sup (hx_sup) changes to or from simple_one_for_one");
}

/* A figure for people, printed: no assertion depends on the machine. */
static void pause_of_ten_thousand(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;
    struct hot_report report = {0};
    struct rel_err e = {0};

    expect(p, "hx_pool:fill(10000)", "10000");
    read_plan(p, 2, &plan);
    if (hot_upgrade_run(p->node, &plan.plan, &report, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(report.process_n, 10003);
    expect(p, "{hx_server:count(one), hx_server:count(two)}", "{0,10000}");
    print_message("pause of 10,000 gen_servers: %.1f ms\n", (double)report.pause_us / 1000);
}

int main(void)
{
#define ON_NODE(f) cmocka_unit_test_setup_teardown(f, open_place, close_place)
    const struct CMUnitTest tests[] = {
        ON_NODE(everything_changes), ON_NODE(one_of_thousand_fails),
        ON_NODE(busy_process),       ON_NODE(callers_and_callees),
        ON_NODE(client_killed),      ON_NODE(hung_code_change),
        ON_NODE(refusals),           ON_NODE(old_code_in_use),
        ON_NODE(supervisors),        ON_NODE(pause_of_ten_thousand),
    };

    return cmocka_run_group_tests(tests, make_versions, remove_versions);
}
