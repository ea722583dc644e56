/* SPDX-License-Identifier: Apache-2.0 */
/* The face in a real node: how it gets there, and what it makes of what a supervisor says. */
#include "hotload/hot_face.h"
#include "tests/unit/hot/place.h"

/* Compiles a module in the node and loads it there, as an application's own is. */
static void define(struct place *p, const char *module, const char *text)
{
    rel_autofree char *file = rel_strf("%s/%s.erl", p->dir, module);
    rel_autofree char *expr =
        rel_strf("case compile:file(\"%s\", [binary, nowarn_export_all]) of {ok, M, B} ->"
                 " element(1, code:load_binary(M, \"own\", B)) end",
                 file);
    struct rel_err e = {0};

    assert_int_equal(rel_replace_file(AT_FDCWD, file, text, strlen(text), 0600, &e), 0);
    expect(p, expr, "module");
}

static void ensure(struct place *p, const char *want_own)
{
    struct rel_err e = {0};
    const char *own = "unset";

    if (hot_face_ensure(p->node, CALL_MS, &own, &e) < 0)
        fail_msg("%s", e.msg);
    if (want_own)
        assert_string_equal(own, want_own);
    else
        assert_null(own);
}

static void it_is_loaded_once(void **state)
{
    struct place *p = *state;

    ensure(p, NULL);
    expect(p, "relsup:upgrading()", "false");
    expect(p, "erlang:module_loaded('Elixir.Relsup')", "false");
    ensure(p, NULL);
    expect(p, "erlang:check_old_code(relsup)", "false");
}

static void an_elixir_node_gets_both(void **state)
{
    struct place *p = *state;

    define(p, "Elixir.Kernel", "-module('Elixir.Kernel').\n");
    ensure(p, NULL);
    expect(p, "'Elixir.Relsup':'upgrading?'()", "false");
    expect(p, "{relsup:status(), 'Elixir.Relsup':peer()}",
           "{{error,not_supervised},{error,not_supervised}}");
}

static void what_is_the_applications_own_stays(void **state)
{
    struct place *p = *state;

    define(p, "Elixir.Kernel", "-module('Elixir.Kernel').\n");
    define(p, "Elixir.Relsup",
           "-module('Elixir.Relsup').\n-compile(export_all).\nstatus() -> own.\n");
    ensure(p, "Elixir.Relsup");
    expect(p, "{'Elixir.Relsup':status(), relsup:status()}", "{own,{error,not_supervised}}");
    expect(p, "code:delete(relsup), code:purge(relsup)", "false");
    define(p, "relsup", "-module(relsup).\n-compile(export_all).\nstatus() -> own.\n");
    ensure(p, "relsup");
    expect(p, "relsup:status()", "own");
}

/* A module of the application that nothing has called yet counts too. */
static void what_is_only_on_the_code_path_stays(void **state)
{
    struct place *p = *state;
    rel_autofree char *expr =
        rel_strf("compile:file(\"%s/relsup\", [{outdir, \"%s/hx-1/ebin\"}])", p->dir, p->dir);
    rel_autofree char *beam = rel_strf("%s/hx-1/ebin/relsup.beam", p->dir);
    rel_autofree char *file = rel_strf("%s/relsup.erl", p->dir);
    static const char text[] = "-module(relsup).\n-export([status/0]).\nstatus() -> own.\n";
    struct rel_err e = {0};

    assert_int_equal(rel_replace_file(AT_FDCWD, file, text, strlen(text), 0600, &e), 0);
    expect(p, expr, "{ok,relsup}");
    ensure(p, "relsup");
    expect(p, "relsup:status()", "own");
    assert_int_equal(unlink(beam), 0);
}

#define OLD_VERSION(hash)                                            \
    "-module(relsup).\n-relsup_face(\"" hash "\").\n"                \
    "-compile(export_all).\n"                                        \
    "start() -> register(old_face, spawn(fun wait/0)), started.\n"   \
    "wait() -> receive {P, ping} -> P ! {self(), pong}, wait() end." \
    "\n"
#define PING "old_face ! {self(), ping}, receive {_, pong} -> pong after 5000 -> silence end"

/* And who still runs the one before the last is not killed for it. */
static void another_version_is_replaced_softly(void **state)
{
    struct place *p = *state;
    struct rel_err e = {0};
    const char *own = NULL;

    define(p, "relsup", OLD_VERSION("00000000"));
    expect(p, "relsup:start()", "started");
    ensure(p, NULL);
    expect(p, "{relsup:upgrading(), is_pid(whereis(old_face))}", "{false,true}");
    expect(p, PING, "pong");

    expect(p, "exit(whereis(old_face), kill), code:purge(relsup)", "false");
    define(p, "relsup", OLD_VERSION("11111111"));
    expect(p, "relsup:start()", "started");
    expect(p, "code:soft_purge(relsup)", "true");
    define(p, "relsup", OLD_VERSION("22222222"));
    assert_int_equal(hot_face_ensure(p->node, CALL_MS, &own, &e), -1);
    assert_int_equal(e.code, REL_E_BUSY);
    expect(p, PING, "pong");
    expect(p, "lists:keyfind(relsup_face, 1, relsup:module_info(attributes))",
           "{relsup_face,\"22222222\"}");
}

/* ---- what is said on the socket ---- */

/* What `call` yields where the supervisor says `answers`. */
static void told(struct place *p, const char *answers, const char *call, const char *want)
{
    rel_autofree char *start = rel_strf("face_parent:start(\"%s/home\", %s)", p->dir, answers);

    expect(p, start, "ok");
    expect(p, call, want);
}

static void set_up_parent(struct place *p)
{
    rel_autofree char *file =
        rel_strf("%s/tests/support/face_parent.erl", getenv("RELPACK_SOURCE"));
    rel_autofree char *text = NULL;
    struct rel_err e = {0};
    size_t len;

    assert_int_equal(rel_read_file(AT_FDCWD, file, 65536, &text, &len, &e), 0);
    define(p, "face_parent", text);
    ensure(p, NULL);
}

#define PROGRESS "\"#{<<\\\"type\\\">> => <<\\\"progress\\\">>}.\\n\""
#define RESULT(term) \
    "\"#{<<\\\"type\\\">> => <<\\\"result\\\">>, <<\\\"result\\\">> => " term "}.\\n\""
#define ERROR(code, text)                                                                   \
    "\"#{<<\\\"type\\\">> => <<\\\"error\\\">>, <<\\\"code\\\">> => <<\\\"" code "\\\">>, " \
    "<<\\\"message\\\">> => <<\\\"" text "\\\">>}.\\n\""
#define STATUS(doing)                                                                            \
    RESULT(                                                                                      \
        "#{<<\\\"home\\\">> => <<\\\"/h\\\">>, " doing "<<\\\"peers\\\">> => ["                  \
        "#{<<\\\"generation\\\">> => 7, <<\\\"role\\\">> => <<\\\"retiring\\\">>, "              \
        "<<\\\"node\\\">> => <<\\\"hx@localhost\\\">>, <<\\\"release\\\">> => <<\\\"1+a\\\">>, " \
        "<<\\\"version\\\">> => <<\\\"1\\\">>}, "                                                \
        "#{<<\\\"generation\\\">> => 8, <<\\\"role\\\">> => <<\\\"active\\\">>, "                \
        "<<\\\"node\\\">> => <<\\\"hx2@localhost\\\">>, <<\\\"release\\\">> => <<\\\"2\\\">>, "  \
        "<<\\\"version\\\">> => <<\\\"2\\\">>}]}")

static void answers_are_read_to_the_last_line(void **state)
{
    struct place *p = *state;

    set_up_parent(p);
    told(p, "[" RESULT("#{<<\\\"a\\\">> => 1.5}") "]", "relsup:status()",
         "{ok,#{<<\"a\">> => 1.5}}");
    told(p,
         "[" PROGRESS
         ", 100, \"#{}.\\n#{<<\\\"ty\", 100, \"pe\\\">> => 1}.\\n\", " RESULT("#{}") "]",
         "relsup:upgrade(\"/x\")", "ok");
    told(p, "[" PROGRESS "," ERROR("rolled_back", "no") "]", "relsup:upgrade(\"/x\")",
         "{error,{rolled_back,<<\"no\">>}}");
    told(p, "[" PROGRESS "]", "relsup:upgrade(\"/x\")",
         "{error,{not_running,<<\"the supervisor ended before it answered\">>}}");
    told(p, "[\"{\\\"json\\\":1}\\n\"]", "element(1, element(2, relsup:upgrade(\"/x\")))",
         "internal");
    told(p, "[\"<<\\n\"]", "element(1, element(2, relsup:upgrade(\"/x\")))", "internal");
}

static void who_is_who(void **state)
{
    struct place *p = *state;

    set_up_parent(p);
    expect(p, "os:putenv(\"RELSUP_GENERATION\", \"7\")", "true");
    told(p, "[" STATUS("") "]", "relsup:peer()",
         "{ok,#{generation => 7,home => <<\"/h\">>,node => hx@localhost,other => hx2@localhost,"
         "release => <<\"1+a\">>,role => retiring,version => <<\"1\">>}}");
    expect(p, "os:putenv(\"RELSUP_GENERATION\", \"9\")", "true");
    told(p, "[" STATUS("") "]", "element(1, element(2, relsup:peer()))", "unknown_peer");
    told(p, "[" STATUS("<<\\\"doing\\\">> => <<\\\"restart\\\">>, ") "]", "relsup:upgrading()",
         "true");
    told(p, "[" STATUS("<<\\\"doing\\\">> => <<\\\"boot\\\">>, ") "]", "relsup:upgrading()",
         "false");
    told(p, "[" STATUS("") "]", "relsup:upgrading()", "false");
}

static void requests_are_json(void **state)
{
    struct place *p = *state;

    set_up_parent(p);
    told(
        p, "[" RESULT("#{}") "]",
        "{relsup:upgrade(\"/x \\\"\\\\\\n\\x{e9}\", [{mode, hot}, {<<\"n\">>, -1}, {soak, 1.5},"
        " {step, 2}, {canary, [5, 25, 1.0e2]}, {dry_run, false}, {none, nil}]),"
        " binary_to_list(face_parent:asked())}",
        "{ok,\"{\\\"args\\\":{\\\"canary\\\":[5,25,100.0],\\\"dry_run\\\":false,"
        "\\\"mode\\\":\\\"hot\\\",\\\"n\\\":-1,\\\"none\\\":null,"
        "\\\"release\\\":\\\"/x \\\\\\\"\\\\\\\\\\\\u000a\xc3\x83\xc2\xa9\\\",\\\"soak_ms\\\":1500,"
        "\\\"step_ms\\\":2000,\\\"until\\\":\\\"serving\\\"},\\\"cmd\\\":\\\"upgrade\\\","
        "\\\"format\\\":\\\"erlang\\\",\\\"v\\\":1}\\n\"}");
    expect(p,
           "[element(1, element(2, relsup:upgrade(R, O))) || {R, O} <- "
           "[{\"/x\", [hot]}, {\"/x\", [{[], 1}]}, {\"/x\", [{a, {}}]}, {<<255>>, []}, {\"\", []}, "
           "{[a], []}, {\"/x\", #{a => [1 | 2]}}]]",
           "[bad_input,bad_input,bad_input,bad_input,bad_input,bad_input,bad_input]");
}

static void nobody_listens(void **state)
{
    struct place *p = *state;

    ensure(p, NULL);
    expect(p, "os:putenv(\"RELSUP_HOME\", \"/nowhere\")", "true");
    expect(p, "relsup:status()",
           "{error,{not_running,<<\"no supervisor runs in /nowhere: enoent\">>}}");
    expect(p, "os:putenv(\"RELSUP_HOME\", \"/\" ++ lists:duplicate(200, $x))", "true");
    expect(p, "element(1, element(2, relsup:upgrade(\"/x\")))", "not_running");
    expect(p, "relsup:upgrading()", "false");
}

#define WITH_NODE(test) cmocka_unit_test_setup_teardown(test, open_place, close_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NODE(it_is_loaded_once),
        WITH_NODE(an_elixir_node_gets_both),
        WITH_NODE(what_is_the_applications_own_stays),
        WITH_NODE(what_is_only_on_the_code_path_stays),
        WITH_NODE(another_version_is_replaced_softly),
        WITH_NODE(answers_are_read_to_the_last_line),
        WITH_NODE(who_is_who),
        WITH_NODE(requests_are_json),
        WITH_NODE(nobody_listens),
    };

    return cmocka_run_group_tests(tests, make_versions, remove_versions);
}
