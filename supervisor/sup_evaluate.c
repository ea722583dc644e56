/* SPDX-License-Identifier: Apache-2.0 */
/* What a boot of the new release would read as its configuration, for a hot upgrade to it: the
 * variables of sys.config.src, config/runtime.exs and other providers are evaluated by a VM of that
 * release that starts no application, with the environment that the active peer would be booted
 * with. Its application_controller has merged them as it does at any boot. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/sup_engine.h"

/* Values may be secrets: they go into a folder that is private to the user of the peers. */
#define FILE_NAME     "configuration"
#define FILE_VARIABLE "RELSUP_CONFIGURATION"

enum { TERM_MAX = 16 << 20 };

/* The configuration is an element of an internal record, as relsup_hot_app:conf_data/0 has it. */
static char erlang_expression[] =
    "{state, _, _, _, _, _, _, _, Conf} = sys:get_state(application_controller), "
    "true = is_list(Conf), "
    "ok = file:write_file(os:getenv(\"" FILE_VARIABLE "\"), term_to_binary(Conf)).";
static char elixir_expression[] =
    "{:state, _, _, _, _, _, _, _, conf} = :sys.get_state(:application_controller); "
    "true = is_list(conf); "
    ":ok = :file.write_file(System.get_env(\"" FILE_VARIABLE "\"), :erlang.term_to_binary(conf))";

static int read_term(const char *tmp, struct rel_buf *term, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/" FILE_NAME, tmp), *bytes = NULL;
    rel_autoclose int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return rel_fail(e, REL_E_CHILD, errno, "open %s", path);
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > TERM_MAX)
        return rel_fail(e, REL_E_CHILD, 0, "the configuration that was evaluated is too large");
    bytes = rel_xmalloc((size_t)st.st_size);
    if (pread(fd, bytes, (size_t)st.st_size, 0) != st.st_size)
        return rel_fail(e, REL_E_CHILD, errno, "read %s", path);
    rel_buf_fini(term);
    rel_buf_add(term, bytes, (size_t)st.st_size);
    return 0;
}

static void on_done(void *ctx, const char *tmp, const struct rel_err *failure)
{
    struct sup *s = ctx;

    s->steps = NULL;
    s->step = (struct sup_child){0};
    s->job_err = *failure;
    if (!s->job_err.code)
        (void)!read_term(tmp, &s->job_config, &s->job_err);
    sup_env_fini(&s->evaluation.env);
    s->evaluation.done(s);
}

int sup_evaluate(struct sup *s, void (*done)(struct sup *s), struct rel_err *e)
{
    rel_autofree char *root = sup_store_path(s->store.home, s->ask.dir);
    rel_autofree char *tmp = sup_steps_folder(s->store.home, s->generation + 1);
    sup_autorelease struct sup_release *release = NULL;
    struct sup_steps_order order = {.home = s->store.home,
                                    .root = root,
                                    .generation = s->generation + 1,
                                    .config = &s->config,
                                    .steps = &s->evaluation.step,
                                    .step_n = 1,
                                    .what = "the configuration that it would boot with",
                                    .name = "its evaluation",
                                    .more = &s->evaluation.env,
                                    .line = sup_on_step_line,
                                    .record = sup_on_step_held,
                                    .done = on_done,
                                    .ctx = s};

    if (sup_release_read(root, &release, e) < 0)
        return -1;
    sup_peer_env(s->active, &s->evaluation.env);
    sup_env_setf(&s->evaluation.env, FILE_VARIABLE "=%s/" FILE_NAME, tmp);
    s->evaluation.step = (struct sup_boot_step){
        .eval = release->elixir ? elixir_expression : erlang_expression,
        .timeout_ms = s->ask.boot_ms > 0 ? s->ask.boot_ms : s->config.boot_ms};
    s->evaluation.done = done;
    if (sup_steps_start(&s->loop, &order, &s->steps, e) == 0)
        return 0;
    sup_env_fini(&s->evaluation.env);
    return -1;
}
