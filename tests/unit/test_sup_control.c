/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "supervisor/sup_control.h"

static void parse(const char *text, enum rel_code want)
{
    struct sup_request r = {0};
    struct rel_err e = {0};

    assert_int_equal(sup_request_parse(text, strlen(text), &r, &e), want ? -1 : 0);
    assert_int_equal(e.code, want);
    sup_request_fini(&r);
}

static void only_requests_of_our_version_are_taken(void **state)
{
    (void)state;
    parse("{\"v\":1,\"cmd\":\"status\",\"args\":{}}", REL_E_NONE);
    parse("{\"v\":1,\"cmd\":\"status\"}", REL_E_NONE);
    parse("{\"v\":2,\"cmd\":\"status\"}", REL_E_INPUT);
    parse("{\"cmd\":\"status\"}", REL_E_INPUT);
    parse("{\"v\":1,\"cmd\":\"frobnicate\"}", REL_E_INPUT);
    parse("{\"v\":1,\"cmd\":7}", REL_E_INPUT);
    parse("{\"v\":1,\"cmd\":\"status\",\"args\":[]}", REL_E_INPUT);
    parse("{\"v\":1,\"cmd\":\"status\",\"format\":\"erlang\"}", REL_E_NONE);
    parse("{\"v\":1,\"cmd\":\"status\",\"format\":\"xml\"}", REL_E_INPUT);
    parse("{\"v\":1,\"cmd\":\"status\",\"format\":1}", REL_E_INPUT);
    parse("{\"v\":1,\"v\":1,\"cmd\":\"status\"}", REL_E_INPUT);
    parse("[1]", REL_E_INPUT);
    parse("", REL_E_INPUT);
}

/* A control socket in a folder of its own, and what its handler saw. */
struct fixture {
    char dir[64], path[96];
    uv_loop_t loop;
    uv_timer_t tick;
    struct sup_control *control;
    struct sup_conn *conn; /* that waits for its answer */
    int requests, gone;
};

static void on_request(void *ctx, struct sup_conn *conn, const struct sup_request *r)
{
    struct fixture *f = ctx;

    f->requests++;
    if (r->cmd == SUP_CMD_STATUS)
        sup_conn_result(conn, json_pack("{s:i}", "answer", 42));
    else
        f->conn = conn;
}

static void on_gone(void *ctx, struct sup_conn *conn)
{
    struct fixture *f = ctx;

    assert_ptr_equal(conn, f->conn);
    f->conn = NULL;
    f->gone++;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static int set_up(void **state)
{
    struct fixture *f = rel_xcalloc(1, sizeof(*f));
    struct sup_control_handler handler = {.request = on_request, .gone = on_gone, .ctx = f};
    struct rel_err e = {0};

    snprintf(f->dir, sizeof(f->dir), "%s", "/tmp/test_sup_control.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->tick); /* so that a turn of the loop ends */
    uv_timer_start(&f->tick, on_tick, 5, 5);
    assert_int_equal(sup_control_open(&f->loop, f->path, &handler, &f->control, &e), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct rel_err e = {0};

    sup_control_close(f->control);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    assert_int_equal(access(f->path, F_OK), -1);
    assert_int_equal(rel_remove_tree(AT_FDCWD, f->dir, &e), 0);
    free(f);
    return 0;
}

static int dial(const struct fixture *f, const char *line)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct rel_err e = {0};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(rel_write_all(fd, line, strlen(line), &e), 0);
    return fd;
}

/* Turns the loop until the other side has closed; what it said is in `text`. */
static void listen_to(struct fixture *f, int fd, char *text, size_t size)
{
    int64_t until_ms = rel_mono_ms() + 5000;
    size_t len = 0;
    ssize_t n = 1;

    while (n != 0 && rel_left_ms(until_ms) && len < size - 1) {
        uv_run(&f->loop, UV_RUN_ONCE);
        n = recv(fd, text + len, size - 1 - len, MSG_DONTWAIT);
        if (n < 0) /* ECONNRESET: closed with bytes of ours unread */
            n = errno == EAGAIN ? 1 : 0;
        else
            len += (size_t)n;
    }
    assert_int_equal(n, 0);
    text[len] = '\0';
}

static void a_request_is_answered_and_the_socket_is_ours_alone(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char text[512];
    int fd = dial(f, "{\"v\":1,\"cmd\":\"status\"}\n");

    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    listen_to(f, fd, text, sizeof(text));
    assert_non_null(strstr(text, "\"type\":\"result\""));
    assert_non_null(strstr(text, "42"));
    assert_int_equal(f->requests, 1);
    assert_int_equal(f->gone, 0);
    close(fd);
}

static void an_answer_may_be_an_erlang_term(void **state)
{
    struct fixture *f = *state;
    char text[512];
    int fd = dial(f, "{\"v\":1,\"cmd\":\"restart\",\"format\":\"erlang\"}\n");

    while (!f->conn)
        uv_run(&f->loop, UV_RUN_ONCE);
    sup_conn_progress(f->conn, "boot", "done", "no \xff UTF-8", 12);
    sup_conn_log(f->conn, "a line");
    sup_conn_result(f->conn, json_pack("{s:i}", "answer", 42));
    listen_to(f, fd, text, sizeof(text));
    assert_string_equal(text, "#{}.\n#{<<\"v\">> => 1, <<\"type\">> => <<\"log\">>, "
                              "<<\"message\">> => <<\"a line\">>}.\n"
                              "#{<<\"v\">> => 1, <<\"type\">> => <<\"result\">>, "
                              "<<\"result\">> => #{<<\"answer\">> => 42}}.\n");
    close(fd);
}

static void what_is_no_request_gets_an_error(void **state)
{
    struct fixture *f = *state;
    char text[512];
    int fd = dial(f, "GET / HTTP/1.1\r\n\r\n");

    listen_to(f, fd, text, sizeof(text));
    assert_non_null(strstr(text, "\"code\":\"bad_input\""));
    assert_int_equal(f->requests, 0);
    close(fd);
}

static void a_line_without_end_is_cut_off(void **state)
{
    struct fixture *f = *state;
    char text[512];
    rel_autofree char *line = rel_xmalloc(SUP_LINE_MAX + 8193);
    int fd;

    memset(line, 'x', SUP_LINE_MAX + 8192);
    line[SUP_LINE_MAX + 8192] = '\0';
    fd = dial(f, line);
    listen_to(f, fd, text, sizeof(text));
    assert_int_equal(f->requests, 0);
    close(fd);
}

static void progress_comes_before_the_end(void **state)
{
    struct fixture *f = *state;
    struct rel_err e = {.code = REL_E_ROLLED_BACK, .msg = "it \xff died"};
    char text[1024];
    int fd = dial(f, "{\"v\":1,\"cmd\":\"restart\"}\n");

    while (!f->conn)
        uv_run(&f->loop, UV_RUN_ONCE);
    sup_conn_progress(f->conn, "boot", "done", NULL, 12);
    sup_conn_log(f->conn, "a line that is no \xff UTF-8 is left out");
    sup_conn_log(f->conn, "a line");
    sup_conn_error(f->conn, &e);
    listen_to(f, fd, text, sizeof(text));
    assert_non_null(strstr(text, "\"step\":\"boot\""));
    assert_non_null(strstr(text, "a line\""));
    assert_null(strstr(text, "left out"));
    assert_non_null(strstr(text, "\"code\":\"rolled_back\""));
    assert_int_equal(f->gone, 0);
    close(fd);
}

/* Whether the end is seen by a read or by a write that fails. */
static void who_hangs_up_is_told_once(void **state)
{
    struct fixture *f = *state;
    int fd;

    for (int by_write = 0; by_write < 2; by_write++) {
        fd = dial(f, "{\"v\":1,\"cmd\":\"restart\"}\n");
        while (!f->conn)
            uv_run(&f->loop, UV_RUN_ONCE);
        close(fd);
        if (by_write)
            sup_conn_progress(f->conn, "boot", "running", NULL, 1);
        while (f->gone <= by_write)
            uv_run(&f->loop, UV_RUN_ONCE);
        assert_null(f->conn);
        assert_int_equal(f->gone, by_write + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_requests_of_our_version_are_taken),
        cmocka_unit_test_setup_teardown(a_request_is_answered_and_the_socket_is_ours_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_answer_may_be_an_erlang_term, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_request_gets_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_without_end_is_cut_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(progress_comes_before_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_hangs_up_is_told_once, set_up, tear_down),
    };

    signal(SIGPIPE, SIG_IGN); /* as every program of ours (cmd.c) */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
