/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <string.h>

#include "cmd/cmd_notes.h"

enum { NOTES_MS = 1000 }; /* to get rid of the last ones */
enum { OPT_HELP = 1000, OPT_JSON, OPT_QUIET, OPT_OWN };

static const struct cmd_option common[] = {
    {"json", 0, NULL, "one JSON object on stdout, progress as JSON lines on stderr"},
    {"quiet", 'q', NULL, "no progress, only results and errors"},
    {"help", 'h', NULL, "this text"},
    {0},
};

static int option_n(const struct cmd_verb *verb)
{
    int n = 0;

    while (verb->options && verb->options[n].name)
        n++;
    if (n > CMD_OPTION_MAX)
        abort();
    return n;
}

static void print_options(FILE *f, const struct cmd_option *options)
{
    for (const struct cmd_option *o = options; o && o->name; o++) {
        char left[64];

        snprintf(left, sizeof(left), "%s%c%s--%s%s%s", o->letter ? "-" : " ",
                 o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name, o->arg ? " " : "",
                 o->arg ? o->arg : "");
        fprintf(f, "  %-26s %s\n", left, o->help);
    }
}

static void print_verb_help(FILE *f, const char *prog, const struct cmd_verb *verb)
{
    fprintf(f, "Usage: %s %s%s%s\n\n%s\n\nOptions:\n", prog, verb->name, *verb->usage ? " " : "",
            verb->usage, verb->summary);
    print_options(f, verb->options);
    print_options(f, common);
}

static void print_help(FILE *f, const struct cmd_program *program)
{
    fprintf(f, "Usage: %s COMMAND [OPTION...]\n\n%s\n\nCommands:\n", program->name,
            program->summary);
    for (const struct cmd_verb *const *v = program->verbs; *v; v++)
        if (!(*v)->hidden)
            fprintf(f, "  %-12s %s\n", (*v)->name, (*v)->summary);
    fprintf(f,
            "\n'%s COMMAND --help' tells more of each.\n\n"
            "Exit status: 0 done; 1 failed, nothing changed; 2 wrong usage or bad input;\n"
            "3 failed and rolled back, the old one still serves; 4 a person is needed.\n",
            program->name);
    if (program->about)
        fprintf(f, "\n%s", program->about);
}

/* Letters by which two short words differ, at most (for the hint only). */
static int distance(const char *a, const char *b)
{
    int row[33];
    size_t an = strlen(a), bn = strlen(b);

    if (an > 32 || bn > 32)
        return 99;
    for (size_t j = 0; j <= bn; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= an; i++) {
        int diagonal = row[0];

        row[0] = (int)i;
        for (size_t j = 1; j <= bn; j++) {
            int above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);

            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[bn];
}

static const struct cmd_verb *find_verb(const struct cmd_program *program, const char *name,
                                        struct rel_err *e)
{
    const char *hint = NULL;
    int best = 3;

    for (const struct cmd_verb *const *v = program->verbs; *v; v++) {
        int d = distance(name, (*v)->name);

        if (d == 0)
            return *v;
        if (d < best && !(*v)->hidden) {
            best = d;
            hint = (*v)->name;
        }
    }
    if (hint)
        rel_fail(e, REL_E_USAGE, 0, "unknown command '%s', did you mean '%s'?", name, hint);
    else
        rel_fail(e, REL_E_USAGE, 0, "unknown command '%s', see '%s --help'", name, program->name);
    return NULL;
}

struct parse {
    struct option longs[CMD_OPTION_MAX + 4];
    char shorts[3 * CMD_OPTION_MAX + 8];
    bool help, json, quiet;
};

static void add_long(struct parse *p, int *n, const char *name, bool has_arg, int val)
{
    p->longs[(*n)++] = (struct option){
        .name = name, .has_arg = has_arg ? required_argument : no_argument, .val = val};
}

static void make_tables(struct parse *p, const struct cmd_verb *verb)
{
    char *s = p->shorts;
    int n = 0;

    if (verb->stop_at_pos)
        *s++ = '+';
    *s++ = ':'; /* getopt stays silent and tells a missing argument from an unknown option */
    for (int i = 0; i < option_n(verb); i++) {
        const struct cmd_option *o = &verb->options[i];

        add_long(p, &n, o->name, o->arg != NULL, OPT_OWN + i);
        if (o->letter) {
            *s++ = o->letter;
            if (o->arg)
                *s++ = ':';
        }
    }
    *s++ = 'h';
    *s++ = 'q';
    *s = '\0';
    add_long(p, &n, "help", false, OPT_HELP);
    add_long(p, &n, "json", false, OPT_JSON);
    add_long(p, &n, "quiet", false, OPT_QUIET);
}

static void set_value(struct cmd_ctx *ctx, int i, const char *value)
{
    const char *arg = ctx->verb->options[i].arg;
    char *joined;

    if (!arg || !strstr(arg, ",...") || !ctx->value[i]) {
        ctx->value[i] = value;
        return;
    }
    joined = rel_strf("%s,%s", ctx->value[i], value);
    free(ctx->joined[i]);
    ctx->joined[i] = joined;
    ctx->value[i] = joined;
}

static int parse_one(struct cmd_ctx *ctx, struct parse *p, int c, char **argv, struct rel_err *e)
{
    const struct cmd_verb *verb = ctx->verb;

    if (c == OPT_HELP || c == 'h')
        p->help = true;
    else if (c == OPT_JSON)
        p->json = true;
    else if (c == OPT_QUIET || c == 'q')
        p->quiet = true;
    else if (c == ':')
        return rel_fail(e, REL_E_USAGE, 0, "option '%s' needs an argument", argv[optind - 1]);
    else if (c == '?')
        return rel_fail(e, REL_E_USAGE, 0, "unknown option '%s', see '%s %s --help'",
                        argv[optind - 1], ctx->prog, verb->name);
    for (int i = 0; i < option_n(verb); i++)
        if (c == OPT_OWN + i || (verb->options[i].letter && c == verb->options[i].letter))
            set_value(ctx, i, optarg ? optarg : "");
    return 0;
}

static int parse_args(struct cmd_ctx *ctx, struct parse *p, int argc, char **argv,
                      struct rel_err *e)
{
    const struct cmd_verb *verb = ctx->verb;
    int c;

    make_tables(p, verb);
    optind = 1;
    opterr = 0;
    while ((c = getopt_long(argc, argv, p->shorts, p->longs, NULL)) != -1)
        if (parse_one(ctx, p, c, argv, e) < 0)
            return -1;
    ctx->pos = argv + optind;
    ctx->pos_n = argc - optind;
    if (p->help)
        return 0;
    if (ctx->pos_n < verb->pos_min)
        return rel_fail(e, REL_E_USAGE, 0, "an argument is missing: %s %s %s", ctx->prog,
                        verb->name, verb->usage);
    if (verb->pos_max >= 0 && ctx->pos_n > verb->pos_max)
        return rel_fail(e, REL_E_USAGE, 0, "unexpected argument '%s': %s %s %s",
                        ctx->pos[verb->pos_max], ctx->prog, verb->name, verb->usage);
    return 0;
}

static int run_verb(struct cmd_ctx *ctx, int argc, char **argv)
{
    struct cmd_notes *notes = NULL;
    struct rel_err e = {0};
    struct parse p = {0};

    rel_out_init(&ctx->out, stdout, stderr, false, false);
    if (parse_args(ctx, &p, argc, argv, &e) < 0) {
        rel_out_error(&ctx->out, ctx->prog, &e);
        return (int)rel_code_outcome(e.code);
    }
    if (p.help) {
        print_verb_help(stdout, ctx->prog, ctx->verb);
        return fflush(stdout) == EOF ? REL_FAILED : REL_DONE;
    }
    rel_out_init(&ctx->out, stdout, stderr, p.json, p.quiet);
    if (ctx->verb->lives_on && cmd_notes_open(STDERR_FILENO, p.json, &notes, &e) == 0)
        ctx->out.notes = cmd_notes_stream(notes);
    if (e.code || ctx->verb->run(ctx, &e) < 0) {
        rel_out_error(&ctx->out, ctx->prog, &e);
        ctx->exit_status = (int)rel_code_outcome(e.code);
    }
    if (notes)
        cmd_notes_close(notes, NOTES_MS);
    return ctx->exit_status;
}

/* A descriptor that the caller closed would be the next file of ours that is opened, and what is
 * written for people would go into it. */
static void open_standard(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int cmd_main(const struct cmd_program *program, int argc, char **argv)
{
    struct cmd_ctx ctx = {.prog = program->name};
    struct rel_err e = {0};
    int status;

    open_standard();
    /* libarchive takes names of files for text of the locale; they are UTF-8 whatever LANG says */
    setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN); /* a reader that left is an error of write, with a message */
    if (argc < 2) {
        print_help(stderr, program);
        return REL_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_help(stdout, program);
        return fflush(stdout) == EOF ? REL_FAILED : REL_DONE;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("%s %s\n", program->name, RELPACK_VERSION);
        return fflush(stdout) == EOF ? REL_FAILED : REL_DONE;
    }
    ctx.verb = find_verb(program, argv[1], &e);
    if (!ctx.verb) {
        rel_out_init(&ctx.out, stdout, stderr, false, false);
        rel_out_error(&ctx.out, program->name, &e);
        return REL_USAGE;
    }
    status = run_verb(&ctx, argc - 1, argv + 1);
    for (int i = 0; i < CMD_OPTION_MAX; i++)
        free(ctx.joined[i]);
    return status;
}

const char *cmd_get(const struct cmd_ctx *ctx, const char *option)
{
    for (int i = 0; i < option_n(ctx->verb); i++)
        if (!strcmp(ctx->verb->options[i].name, option))
            return ctx->value[i];
    abort();
}

bool cmd_has(const struct cmd_ctx *ctx, const char *option)
{
    return cmd_get(ctx, option) != NULL;
}

int cmd_get_ms(const struct cmd_ctx *ctx, const char *option, int64_t fallback_ms, int64_t *ms,
               struct rel_err *e)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    const char *text = cmd_get(ctx, option);
    char *end;
    double n;

    if (!text) {
        *ms = fallback_ms;
        return 0;
    }
    errno = 0;
    n = strtod(text, &end);
    for (size_t i = 0; end != text && !errno && i < sizeof(units) / sizeof(*units); i++)
        if (!strcmp(end, units[i].name) && n >= 0 && n * units[i].ms <= 1e12) {
            *ms = (int64_t)(n * units[i].ms);
            return 0;
        }
    return rel_fail(e, REL_E_USAGE, 0, "--%s: '%s' is no time, say 30, 1.5s, 500ms or 2m", option,
                    text);
}

json_t *cmd_json_lines(char *const *lines, size_t n)
{
    json_t *v = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(v, rel_json_text(lines[i]));
    return v;
}
