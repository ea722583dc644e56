/* SPDX-License-Identifier: Apache-2.0 */
/* relpack appup OLD NEW: the appups that lead from one release to another. */
#include "cmd/cmd.h"

#include <fcntl.h>

#include "base/rel_io.h"
#include "pkg/pkg_appup.h"

extern const struct cmd_verb cmd_relpack_appup;

enum { WIDTH = 100 };

static json_t *texts_of(const struct pkg_term *list)
{
    json_t *v = json_array();

    for (size_t i = 0; i < pkg_len(list); i++) {
        rel_autobuf struct rel_buf text = {0};

        pkg_term_format(pkg_at(list, i), 0, 0, &text);
        json_array_append_new(v, rel_json_text(text.p));
    }
    return v;
}

static json_t *appup_object(const struct pkg_appup *up)
{
    json_t *v = json_pack("{s:o, s:o, s:o, s:s}", "application", rel_json_text(up->app), "old",
                          rel_json_text(up->old_vsn), "new", rel_json_text(up->new_vsn), "origin",
                          pkg_appup_origin_name(up->origin));

    if (up->origin == PKG_APPUP_DERIVED) {
        json_object_set_new(v, "up", texts_of(up->up));
        json_object_set_new(v, "down", texts_of(up->down));
    }
    if (up->file)
        json_object_set_new(v, "file", rel_json_text(up->file));
    return v;
}

static json_t *appups_object(const struct pkg_appups *ups)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ups->n; i++)
        json_array_append_new(list, appup_object(&ups->v[i]));
    return json_pack("{s:o, s:o, s:o}", "appups", list, "notes",
                     cmd_json_lines(ups->notes.v, ups->notes.n), "gaps",
                     cmd_json_lines(ups->gaps.v, ups->gaps.n));
}

static void add_instructions(struct rel_buf *page, const char *way, const struct pkg_term *list)
{
    for (size_t i = 0; i < pkg_len(list); i++) {
        rel_autobuf struct rel_buf text = {0};
        rel_autofree char *shown = NULL;

        pkg_term_format(pkg_at(list, i), 0, 0, &text);
        shown = rel_escape(text.p);
        rel_buf_addf(page, "  %-4s  %s\n", i ? "" : way, shown);
    }
    if (!pkg_len(list))
        rel_buf_addf(page, "  %-4s  nothing\n", way);
}

static void add_appup(struct rel_buf *page, const struct pkg_appup *up)
{
    rel_autofree char *app = rel_escape(up->app), *old = rel_escape(up->old_vsn);
    rel_autofree char *new = rel_escape(up->new_vsn), *file = rel_escape(up->file ? up->file : "");

    rel_buf_addf(page, "%s %s -> %s", app, old, new);
    if (up->origin == PKG_APPUP_OWN) {
        rel_buf_adds(page, "  its own appup is kept\n");
        return;
    }
    rel_buf_addf(page, "  %s\n", file);
    add_instructions(page, "up", up->up);
    add_instructions(page, "down", up->down);
}

/* Nothing but terms, for file:consult/1. */
static void add_term(struct rel_buf *page, const struct pkg_appup *up)
{
    rel_autobuf struct rel_buf text = {0};
    rel_autofree char *path = rel_escape(up->path);

    if (up->origin == PKG_APPUP_OWN)
        return;
    pkg_term_format(up->term, 0, WIDTH, &text);
    rel_buf_addf(page, "%%%% %s\n%s.\n", path, text.p);
}

static void tell(struct cmd_ctx *ctx, const struct pkg_appups *ups)
{
    for (size_t i = 0; i < ups->notes.n; i++)
        rel_out_log(&ctx->out, "%s", ups->notes.v[i]);
    for (size_t i = 0; i < ups->gaps.n; i++)
        rel_out_warn(&ctx->out, "%s", ups->gaps.v[i]);
}

static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    bool dry = cmd_has(ctx, "dry-run"), in_folder = rel_is_dir(AT_FDCWD, ctx->pos[1]);
    const char *output = cmd_get(ctx, "output");
    struct rel_progress progress = rel_out_progress(&ctx->out);
    pkg_autopair struct pkg_pair pair = {0};
    pkg_autoappups struct pkg_appups ups = {0};
    rel_autobuf struct rel_buf page = {0};
    json_auto_t *doc = NULL;

    ctx->out.silent_steps = true;
    if (pkg_pair_read(ctx->pos[0], ctx->pos[1], &progress, &pair, e) < 0 ||
        pkg_appups_derive(&pair, cmd_has(ctx, "force"), &ups, e) < 0)
        return -1;
    if (!output && !in_folder)
        output = ".";
    if (!dry && pkg_appups_write(&ups, ctx->pos[1], output, e) < 0)
        return -1;
    for (size_t i = 0; i < ups.n; i++)
        (dry ? add_term : add_appup)(&page, &ups.v[i]);
    if (!ups.n)
        rel_buf_adds(&page, dry ? "" : "no application changes its version\n");
    rel_out_step_end(&ctx->out, true, NULL);
    tell(ctx, &ups);
    doc = appups_object(&ups);
    return rel_out_result(&ctx->out, doc, page.p ? page.p : "", e);
}

static const struct cmd_option options[] = {
    {"output", 'o', "DIR", "where they go (default: the ebin folders of NEW; of a tarball: here)"},
    {"force", 'f', NULL, "replace what NEW has for this old version"},
    {"dry-run", 'n', NULL, "print the terms and write nothing"},
    {0},
};

const struct cmd_verb cmd_relpack_appup = {
    .name = "appup",
    .summary = "derive the appups that lead from one release to another",
    .usage = "OLD NEW [--output DIR] [--force] [--dry-run]",
    .options = options,
    .pos_min = 2,
    .pos_max = 2,
    .run = run,
};
