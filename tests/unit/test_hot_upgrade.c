/* SPDX-License-Identifier: Apache-2.0 */
/* The hot upgrade of a real node: tests/unit/hot holds an application in one old version and five
 * new ones. Each test has a node of its own. */
#include "tests/unit/hot/place.h"

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
    autoreport struct hot_report report = {0};
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
           "[{ok,2},{ok,2},{ok,conf_2},{ok,2}],{false,true}}");
    expect(p, "persistent_term:get(hx_config)",
           "{2,[{file,conf_2},{from_app,2},{put,2}],[{new,2}],[]}");
    expect(p, "filename:basename(filename:dirname(filename:dirname(code:which(hx_server))))",
           "\"hx-2\"");
    expect(p, ALL_RUN, "[]");
    expect(p, "whereis('relsup.hot')", "undefined");
}

static void one_of_thousand_fails(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;
    autoreport struct hot_report report = {0};
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
    autoreport struct hot_report report = {0};
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

/* A hundred servers call ten of them, five callers wait in each: one that waits for an answer of
 * who is suspended already never suspends itself. */
static void callers_and_callees(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;
    autoreport struct hot_report report = {0};
    struct rel_err e = {0};

    setup_old(p);
    expect(p,
           "begin {Bs, As} = lists:split(10, lists:sublist(hx_server:all(), 110)), "
           "register(hx_load, spawn(fun() -> receive stop -> ok end end)), "
           "[spawn(fun() -> (fun L() -> catch gen_server:call(A, {ask, lists:nth(rand:uniform(10), "
           "Bs)}, 10000), whereis(hx_load) =:= undefined orelse L() end)() end) "
           "|| A <- As, _ <- [1, 2, 3, 4, 5]], ok end",
           "ok");
    read_plan(p, 2, &plan);
    if (hot_upgrade_run(p->node, &plan.plan, &report, &e) < 0)
        fail_msg("%s", e.msg);
    /* on a busy machine nobody else would be answered in time */
    expect(p, "exit(whereis(hx_load), kill)", "true");
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
        autoreport struct hot_report report = {0};
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
    expect(p, "gen_statem:call(hx_statem, get, 3000)", "{1,41}");
    expect(p, END_CHANGING, "ok");
    expect(p,
           "(fun W(0) -> late; W(N) -> case whereis('relsup.hot') of undefined -> gone; "
           "_ -> timer:sleep(10), W(N - 1) end end)(1000)",
           "gone");
    expect(p, "{hx_server:count(one), hx_server:count(two)}", "{999,0}");
    expect(p, "gen_statem:call(hx_statem, get)", "{1,42}");
    expect(p, ALL_RUN, "[]");
}

static void hung_code_change(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;
    autoreport struct hot_report report = {0};
    struct rel_err e = {0};

    setup_old(p);
    read_plan(p, 4, &plan);
    plan.plan.suspend_ms = 400;
    assert_int_equal(hot_upgrade_run(p->node, &plan.plan, &report, &e), -1);
    /* That one process still sits in its code_change; the message says so, all others are back. */
    assert_int_equal(e.code, REL_E_STUCK);
    expect_in(&e, "was not over within 400 ms");
    expect_in(&e, "the old state of");
    /* For as long as it does another attempt would not meet what the first one met. */
    struct rel_err e2 = {0};

    assert_int_equal(hot_upgrade_run(p->node, &plan.plan, &report, &e2), -1);
    assert_int_equal(e2.code, REL_E_INPUT);
    expect_in(&e2, "has not yet taken its state");
    expect(p, END_CHANGING, "ok");
    expect(p, "{hx_server:count(one), hx_server:count(two)}", "{999,0}");
    expect(p, ALL_RUN, "[]");

    struct rel_err e3 = {0};
    autoplan struct plan good;

    read_plan(p, 2, &good);
    if (hot_upgrade_run(p->node, &good.plan, &report, &e3) < 0)
        fail_msg("%s", e3.msg);
}

static void refuses_as(struct place *p, struct plan *plan, enum rel_code code, const char *reason)
{
    autoreport struct hot_report report = {0};
    struct rel_err e = {0};

    assert_int_equal(hot_upgrade_run(p->node, &plan->plan, &report, &e), -1);
    if (e.code != code)
        fail_msg("%s: %s", rel_code_name(e.code), e.msg);
    expect_in(&e, reason);
    expect(p, VERSIONS, OLD);
}

static void refuses(struct place *p, struct plan *plan, const char *reason)
{
    refuses_as(p, plan, REL_E_INPUT, reason);
}

static void refusals(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;

    setup_old(p);
    read_plan(p, 2, &plan);

    expect(p, "register(plain, spawn(hx_lib, loop, []))", "true");
    plan.plan.refuse_old = true;
    refuses_as(p, &plan, REL_E_IN_USE,
               "process plain (plain process, in hx_lib:loop/0) does not "
               "leave module hx_lib");
    expect(p, "exit(whereis(plain), kill)", "true");

    plan.app.old_vsn = "0.9";
    refuses(p, &plan, "application hx runs in version 1, not 0.9");
    plan.app.old_vsn = "1";
    plan.app.app = "hy";
    refuses(p, &plan, "application hy is not loaded in the running node");
    plan.app.app = "hx";

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
    refuses_as(p, &plan, REL_E_IN_USE,
               "process plain (plain process, in hx_lib:loop/0) still runs "
               "the code of hx_lib");
    expect(p, "is_pid(whereis(plain))", "true");
}

static void supervisor_rolls_back(struct place *p, int version, const char *reason)
{
    autoplan struct plan plan;
    autoreport struct hot_report report = {0};
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
    supervisor_rolls_back(p, 5, "the new child more of process hx_sup does not start: ");
    supervisor_rolls_back(p, 6, "process hx_sup (hx_sup) changes to or from simple_one_for_one");
}

/* A figure for people, printed: no assertion depends on the machine. */
static void pause_of_ten_thousand(void **state)
{
    struct place *p = *state;
    autoplan struct plan plan;
    autoreport struct hot_report report = {0};
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
