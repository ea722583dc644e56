/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rel_io.h"
#include "cmd/cmd_node.h"

enum { ARG_MAX_N = 48 };

struct argv {
    const char *v[ARG_MAX_N + 1];
    int n;
};

static void add(struct argv *a, const char *arg)
{
    if (a->n == ARG_MAX_N)
        abort();
    a->v[a->n++] = arg;
}

static void add_words(struct argv *a, const char *const *words)
{
    while (*words)
        add(a, *words++);
}

/* What the VM of the shell needs of the release. */
struct shell {
    char *bin_dir; /* of its ERTS; NULL: the release has none, erl is found by PATH */
    char *boot, *lib_dir, *vm_args, *port, *name, *secret_dir;
    bool old_iex; /* before Elixir 1.15 */
};

static void shell_fini(struct shell *s)
{
    char **all[] = {&s->bin_dir, &s->boot, &s->lib_dir,   &s->vm_args,
                    &s->port,    &s->name, &s->secret_dir};

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        free(*all[i]);
}

/* releases/start_erl.data holds "<erts version> <release version>". */
static void find_erts(struct shell *s, const char *root)
{
    rel_autofree char *path = rel_strf("%s/releases/start_erl.data", root);
    rel_autofree char *text = NULL, *dir = NULL;
    struct rel_err e = {0};
    size_t len;

    if (rel_read_file(AT_FDCWD, path, 4096, &text, &len, &e) < 0)
        return;
    dir = rel_strf("%s/erts-%.*s/bin", root, (int)strcspn(text, " \r\n"), text);
    if (rel_is_dir(AT_FDCWD, dir))
        s->bin_dir = rel_steal(&dir);
}

static char *first_file(char *a, char *b)
{
    if (rel_is_file(AT_FDCWD, a)) {
        free(b);
        return a;
    }
    free(a);
    if (rel_is_file(AT_FDCWD, b))
        return b;
    free(b);
    return NULL;
}

/* The boot script without its suffix, as -boot takes it. mix and relpack keep it by the version,
 * relx in bin/; without one, OTP's own of that name will do. */
static void find_boot(struct shell *s, const struct hot_contact *c)
{
    char *file = first_file(rel_strf("%s/releases/%s/start_clean.boot", c->root, c->version),
                            rel_strf("%s/bin/start_clean.boot", c->root));

    if (file)
        file[strlen(file) - strlen(".boot")] = '\0';
    s->boot = file ? file : rel_xstrdup("start_clean");
}

static bool has_old_iex(const char *lib_dir)
{
    rel_autoclosedir DIR *d = opendir(lib_dir);

    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        if (!strncmp(e->d_name, "elixir-1.", 9))
            return strtol(e->d_name + 9, NULL, 10) < 15;
    return false;
}

static int find_all(struct shell *s, const struct hot_contact *c, struct rel_err *e)
{
    const char *own = getenv("RELEASE_REMOTE_VM_ARGS");
    const char *slash = strrchr(c->cookie_file, '/');
    rel_autofree char *link = NULL;

    s->secret_dir = rel_xstrndup(c->cookie_file, slash ? (size_t)(slash - c->cookie_file) : 0);
    link = rel_strf("%s/erlang/.erlang.cookie", s->secret_dir);
    if (access(link, R_OK) < 0)
        return rel_fail(e, REL_E_UNREACHABLE, errno, "the cookie cannot be read: %s", link);
    find_erts(s, c->root);
    find_boot(s, c);
    s->lib_dir = rel_strf("%s/lib", c->root);
    s->old_iex = has_old_iex(s->lib_dir);
    s->vm_args = first_file(rel_xstrdup(own ? own : ""),
                            rel_strf("%s/releases/%s/remote.vm.args", c->root, c->version));
    s->port = rel_strf("%d", c->port);
    /* IEx calls the node by rpc before it has a dynamic name, which then connects nowhere. A name
     * by pid keeps the atoms that sessions leave over there in bounds. */
    s->name = c->elixir ? rel_strf("remote_%d@localhost", (int)getpid()) : rel_xstrdup("undefined");
    return 0;
}

static bool has_long_name(const char *node)
{
    const char *at = strchr(node, '@');

    return at && strchr(at, '.') != NULL;
}

static void add_distribution(struct argv *a, const struct shell *s, const struct hot_contact *c)
{
    static const char *const local[] = {"-start_epmd", "false",   "-dist_listen",
                                        "false",       "-hidden", "-setcookie",
                                        "-home",       "x",       NULL};
    static const char *const cluster[] = {"-dist_listen", "false", "-hidden", "-setcookie",
                                          "-home",        "x",     NULL};

    add(a, has_long_name(c->node) ? "-name" : "-sname");
    add(a, s->name);
    if (c->port) {
        add(a, "-erl_epmd_port");
        add(a, s->port);
    }
    add_words(a, c->port ? local : cluster);
}

static void add_shell(struct argv *a, const struct shell *s, const struct hot_contact *c)
{
    static const char *const iex[] = {"-extra", "--no-halt", "+iex", "--remsh", NULL};

    if (!c->elixir) {
        add(a, "-remsh");
        add(a, c->node);
        return;
    }
    if (isatty(STDOUT_FILENO) && isatty(STDERR_FILENO) && !getenv("NO_COLOR")) {
        add(a, "-elixir");
        add(a, "ansi_enabled");
        add(a, "true");
    }
    add(a, "-noshell");
    add(a, "-user");
    add(a, s->old_iex ? "Elixir.IEx.CLI" : "elixir");
    add_words(a, iex);
    add(a, c->node);
}

static int run(const struct shell *s, struct argv *a, const struct hot_contact *c,
               struct rel_err *e)
{
    rel_autofree char *program = s->bin_dir ? rel_strf("%s/erlexec", s->bin_dir) : NULL;

    setenv("XDG_CONFIG_HOME", s->secret_dir, 1);
    if (program) {
        setenv("ROOTDIR", c->root, 1);
        setenv("BINDIR", s->bin_dir, 1);
        setenv("EMU", "beam", 1);
        setenv("PROGNAME", "erl", 1);
        execv(program, (char *const *)(const void *)a->v);
        return rel_fail(e, REL_E_CHILD, errno, "start %s", program);
    }
    execvp("erl", (char *const *)(const void *)a->v);
    return rel_fail(e, REL_E_CHILD, errno, "start erl (the release has no ERTS of its own)");
}

int cmd_node_remote(struct cmd_ctx *ctx, const struct hot_contact *c, struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    __attribute__((cleanup(shell_fini))) struct shell s = {0};
    struct argv a = {0};

    (void)ctx;
    /* OTP and IEx would open a local shell instead, and do there what was meant for the node. */
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return rel_fail(e, REL_E_USAGE, 0, "remote needs a terminal, use rpc in a script");
    if (cmd_node_open(c, CMD_NODE_TIMEOUT_MS, &node, e) < 0) /* a clear line, not a VM's */
        return -1;
    if (find_all(&s, c, e) < 0)
        return -1;
    add(&a, "erl");
    add(&a, "-boot");
    add(&a, s.boot);
    add(&a, "-boot_var");
    add(&a, "RELEASE_LIB");
    add(&a, s.lib_dir);
    if (s.vm_args) {
        add(&a, "-args_file");
        add(&a, s.vm_args);
    }
    add_distribution(&a, &s, c);
    add_shell(&a, &s, c);
    return run(&s, &a, c, e);
}
