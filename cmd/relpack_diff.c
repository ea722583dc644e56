/* SPDX-License-Identifier: Apache-2.0 */
/* relpack diff OLD NEW: what changes, and how it can be brought in. */
#include "cmd/cmd.h"

#include <string.h>

#include "pkg/pkg_diff.h"
#include "pkg/pkg_pair.h"
#include "pkg/pkg_plan.h"

extern const struct cmd_verb cmd_relpack_diff;

enum { LINES = 12 }; /* of one section, without --all */

/* Who to read it for: the same words, other marks. */
struct page {
    struct rel_buf text;
    bool markdown, all;
};

static const char *mark_of(enum pkg_change change)
{
    static const char *const marks[] = {"+", "-", "~"};

    return marks[change];
}

/* Harmless on a terminal; in Markdown with its marks quoted, because a name comes from an archive
 * and a "<" or "_" of it must not become markup. */
static char *shown(const struct page *p, const char *raw)
{
    rel_autofree char *text = rel_escape(raw);
    rel_autobuf struct rel_buf out = {0};

    for (const char *c = text; *c; c++) {
        if (p->markdown && strchr("\\`*_<>[]|#&", *c))
            rel_buf_adds(&out, "\\");
        rel_buf_add(&out, c, 1);
    }
    return out.p ? rel_buf_take(&out) : rel_xstrdup("");
}

static char *shown_as_code(const char *raw)
{
    rel_autofree char *text = rel_escape(raw);

    return rel_strf("`%s`", text);
}

static char *shown_name(const struct page *p, const char *raw)
{
    return p->markdown && !strchr(raw, '`') ? shown_as_code(raw) : shown(p, raw);
}

static void add_item(struct page *p, const struct pkg_diff_item *item, int width)
{
    rel_autofree char *raw = item->group && !strchr(item->name, '/')
                                 ? rel_strf("%s (%s)", item->name, item->group)
                                 : rel_xstrdup(item->name);
    rel_autofree char *name = shown_name(p, raw);
    rel_autofree char *detail = shown(p, item->detail ? item->detail : "");

    if (p->markdown)
        rel_buf_addf(&p->text, "- %s %s%s%s\n", pkg_change_name(item->change), name,
                     item->detail ? " " : "", detail);
    else if (item->detail)
        rel_buf_addf(&p->text, "  %s %-*s  %s\n", mark_of(item->change), width, name, detail);
    else
        rel_buf_addf(&p->text, "  %s %s\n", mark_of(item->change), name);
}

static int width_of(const struct pkg_diff *d, enum pkg_diff_section section)
{
    size_t width = 0;

    for (size_t i = 0; i < d->n; i++)
        if (d->v[i].section == section && d->v[i].detail && strlen(d->v[i].name) > width)
            width = strlen(d->v[i].name);
    return width < 40 ? (int)width : 40;
}

static void add_section(struct page *p, const struct pkg_diff *d, enum pkg_diff_section section)
{
    size_t n = pkg_diff_count(d, section), told = 0;
    bool folded = p->markdown && n > LINES;
    int width = width_of(d, section);

    if (!n)
        return;
    if (folded)
        rel_buf_addf(&p->text, "\n<details><summary>%s: %zu</summary>\n\n",
                     pkg_diff_heading(section), n);
    else
        rel_buf_addf(&p->text, p->markdown ? "\n**%s**\n\n" : "\n%s\n", pkg_diff_heading(section));
    for (size_t i = 0; i < d->n; i++) {
        if (d->v[i].section != section || (told == LINES && !p->all && !folded))
            continue;
        add_item(p, &d->v[i], width);
        told++;
    }
    if (told < n)
        rel_buf_addf(&p->text, "    and %zu more (--all)\n", n - told);
    if (folded)
        rel_buf_adds(&p->text, "\n</details>\n");
}

static void add_reasons(struct page *p, char *const *list, size_t n)
{
    for (size_t i = 0; i < n && (i < 5 || p->all); i++) {
        rel_autofree char *reason = shown(p, list[i]);

        rel_buf_addf(&p->text, p->markdown ? "  - %s\n" : "         %s\n", reason);
    }
    if (n > 5 && !p->all)
        rel_buf_addf(&p->text,
                     p->markdown ? "  - and %zu more\n" : "         and %zu more (--all)\n", n - 5);
}

static void add_way(struct page *p, const char *way, const char *command, char *const *why_not,
                    size_t n)
{
    if (p->markdown)
        rel_buf_addf(&p->text, "- %s: %s", way, n ? "no" : "yes");
    else
        rel_buf_addf(&p->text, "  %-5s  %s", way, n ? "no" : "yes");
    rel_buf_addf(&p->text, n ? "\n" : "  (%s)\n", command);
    add_reasons(p, why_not, n);
}

static void add_ways(struct page *p, const struct pkg_diff *d)
{
    rel_buf_adds(&p->text, p->markdown ? "\n**ways to upgrade**\n\n" : "\nways to upgrade\n");
    add_way(p, "hot", "relsup upgrade --hot", d->not_hot, d->not_hot_n);
    add_way(p, "swap", "relsup upgrade", d->not_swap, d->not_swap_n);
    add_way(p, "cold", "stop the old one, start the new one", NULL, 0);
    if (d->note_n)
        rel_buf_adds(&p->text, p->markdown ? "\n**notes**\n\n" : "\nnotes\n");
    for (size_t i = 0; i < d->note_n; i++) {
        rel_autofree char *note = shown(p, d->notes[i]);

        rel_buf_addf(&p->text, p->markdown ? "- %s\n" : "  %s\n", note);
    }
}

/* Of a hot upgrade, where it is possible. */
static void add_plan(struct page *p, const struct pkg_lines *plan)
{
    size_t n = p->all || plan->n <= LINES ? plan->n : LINES;

    if (!plan->n)
        return;
    rel_buf_adds(&p->text,
                 p->markdown ? "\n**a hot upgrade would**\n\n" : "\na hot upgrade would\n");
    for (size_t i = 0; i < n; i++) {
        rel_autofree char *line = shown(p, plan->v[i]);

        rel_buf_addf(&p->text, p->markdown ? "%zu. %s\n" : "  %3zu. %s\n", i + 1, line);
    }
    if (n < plan->n)
        rel_buf_addf(&p->text, "%sand %zu more (--all)\n", p->markdown ? "\n" : "       ",
                     plan->n - n);
}

static void make_page(struct page *p, const struct pkg_outline *old, const struct pkg_outline *new,
                      const struct pkg_diff *d, const struct pkg_lines *plan)
{
    rel_autofree char *name = shown(p, new->name), *from = shown(p, old->vsn);
    rel_autofree char *to = shown(p, new->vsn);

    rel_buf_addf(&p->text, p->markdown ? "### %s %s -> %s\n" : "%s %s -> %s\n", name, from, to);
    if (!d->n) {
        rel_buf_adds(&p->text, p->markdown ? "\nno difference\n" : "no difference\n");
        return;
    }
    for (int section = 0; section < PKG_DIFF_SECTIONS; section++)
        add_section(p, d, (enum pkg_diff_section)section);
    add_ways(p, d);
    add_plan(p, plan);
}

static json_t *section_object(const struct pkg_diff *d, enum pkg_diff_section section)
{
    json_t *list = json_array();

    for (size_t i = 0; i < d->n; i++) {
        const struct pkg_diff_item *item = &d->v[i];
        json_t *v;

        if (item->section != section)
            continue;
        v = json_pack("{s:o, s:s}", "name", rel_json_text(item->name), "change",
                      pkg_change_name(item->change));
        if (item->group)
            json_object_set_new(v, "application", rel_json_text(item->group));
        if (item->detail)
            json_object_set_new(v, "detail", rel_json_text(item->detail));
        json_array_append_new(list, v);
    }
    return list;
}

static json_t *diff_object(const struct pkg_outline *old, const struct pkg_outline *new,
                           const struct pkg_diff *d)
{
    json_t *doc =
        json_pack("{s:o, s:o, s:o, s:b}", "name", rel_json_text(new->name), "old",
                  rel_json_text(old->vsn), "new", rel_json_text(new->vsn), "differ", d->n > 0);

    for (int section = 0; section < PKG_DIFF_SECTIONS; section++)
        json_object_set_new(doc, pkg_diff_key((enum pkg_diff_section)section),
                            section_object(d, (enum pkg_diff_section)section));
    json_object_set_new(doc, "hot",
                        json_pack("{s:b, s:o}", "possible", !d->not_hot_n, "why_not",
                                  cmd_json_lines(d->not_hot, d->not_hot_n)));
    json_object_set_new(doc, "swap",
                        json_pack("{s:b, s:o}", "possible", !d->not_swap_n, "why_not",
                                  cmd_json_lines(d->not_swap, d->not_swap_n)));
    json_object_set_new(doc, "notes", cmd_json_lines(d->notes, d->note_n));
    return doc;
}

static int make_plan(const struct pkg_pair *pair, const struct pkg_diff *d, struct pkg_lines *plan,
                     struct rel_err *e)
{
    return d->not_hot_n ? 0 : pkg_plan_make(pair, plan, e);
}

static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    __attribute__((cleanup(pkg_lines_fini))) struct pkg_lines plan = {0};
    struct page page = {.markdown = cmd_has(ctx, "markdown"), .all = cmd_has(ctx, "all")};
    struct rel_progress progress = rel_out_progress(&ctx->out);
    pkg_autopair struct pkg_pair pair = {0};
    const struct pkg_outline *old = &pair.old.outline, *new = &pair.new.outline;
    pkg_autodiff struct pkg_diff d = {0};
    json_auto_t *doc = NULL;
    int status;

    ctx->out.silent_steps = true;
    if (pkg_pair_read(ctx->pos[0], ctx->pos[1], &progress, &pair, e) < 0)
        return -1;
    pkg_diff_make(&pair.old.survey, old, &pair.new.survey, new, &d);
    if (make_plan(&pair, &d, &plan, e) < 0)
        return -1;
    make_page(&page, old, new, &d, &plan);
    doc = diff_object(old, new, &d);
    json_object_set_new(doc, "hot_plan", cmd_json_lines(plan.v, plan.n));
    if (cmd_has(ctx, "exit-code") && d.n)
        ctx->exit_status = 1;
    rel_out_step_end(&ctx->out, true, NULL);
    status = rel_out_result(&ctx->out, doc, page.text.p, e);
    rel_buf_fini(&page.text);
    return status;
}

static const struct cmd_option options[] = {
    {"markdown", 'm', NULL, "for a pull request"},
    {"all", 'a', NULL, "lists of any length"},
    {"exit-code", 0, NULL, "exit with 1 when they differ"},
    {0},
};

const struct cmd_verb cmd_relpack_diff = {
    .name = "diff",
    .summary = "what changes from one release to another, and how to bring it in",
    .usage = "OLD NEW [--markdown] [--all] [--exit-code]",
    .options = options,
    .pos_min = 2,
    .pos_max = 2,
    .run = run,
};
