/* SPDX-License-Identifier: Apache-2.0 */
/* relpack relup OLD NEW: the relup that OTP's release_handler follows from one to the other. */
#include <limits.h>

#include "cmd/cmd.h"
#include "cmd/cmd_signal.h"
#include "pkg/pkg_relup.h"

extern const struct cmd_verb cmd_relpack_relup;

enum { SYSTOOLS_MS = 120000 };

static json_t *relup_object(const struct pkg_pair *pair, const struct pkg_appups *ups,
                            const struct pkg_relup *relup)
{
    json_t *derived = json_array(), *doc;

    for (size_t i = 0; i < ups->n; i++)
        if (ups->v[i].origin == PKG_APPUP_DERIVED)
            json_array_append_new(derived, rel_json_text(ups->v[i].app));
    doc = json_pack("{s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "file", rel_json_text(relup->file),
                    "old", rel_json_text(pair->old.outline.vsn), "new",
                    rel_json_text(pair->new.outline.vsn), "up", (json_int_t)relup->up_n, "down",
                    (json_int_t)relup->down_n, "derived", derived, "beside",
                    cmd_json_lines(relup->beside.v, relup->beside.n), "notes",
                    cmd_json_lines(relup->notes.v, relup->notes.n));
    return doc;
}

static void tell(struct cmd_ctx *ctx, const struct pkg_lines *lines)
{
    for (size_t i = 0; i < lines->n; i++)
        rel_out_log(&ctx->out, "%s", lines->v[i]);
}

/* The last line is the path, as of a build. */
static int show(struct cmd_ctx *ctx, const struct pkg_pair *pair, const struct pkg_appups *ups,
                const struct pkg_relup *relup, struct rel_err *e)
{
    rel_autobuf struct rel_buf page = {0};
    json_auto_t *doc = relup_object(pair, ups, relup);

    for (size_t i = 0; i < relup->beside.n; i++) {
        rel_autofree char *path = rel_escape(relup->beside.v[i]);

        rel_buf_addf(&page, "%s\n", path);
    }
    rel_buf_addf(&page, "%s\n", relup->file);
    rel_out_step_end(&ctx->out, true, NULL);
    tell(ctx, &ups->notes);
    tell(ctx, &relup->notes);
    return rel_out_result(&ctx->out, doc, page.p, e);
}

static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    struct rel_progress progress = rel_out_progress(&ctx->out);
    pkg_autopair struct pkg_pair pair = {0};
    pkg_autoappups struct pkg_appups ups = {0};
    pkg_autorelup struct pkg_relup relup = {0};
    struct pkg_relup_make make = {
        .pair = &pair, .appups = &ups, .output = cmd_get(ctx, "output"), .progress = &progress};
    int64_t timeout_ms;

    ctx->out.silent_steps = true;
    if (cmd_get_ms(ctx, "timeout", SYSTOOLS_MS, &timeout_ms, e) < 0)
        return -1;
    make.timeout_ms = timeout_ms < INT_MAX ? (int)timeout_ms : INT_MAX;
    progress.stopped = cmd_signal_stopped;
    cmd_signal_catch();
    if (pkg_pair_read(ctx->pos[0], ctx->pos[1], &progress, &pair, e) < 0 ||
        pkg_appups_derive(&pair, cmd_has(ctx, "force"), &ups, e) < 0 ||
        pkg_relup_make(&make, &relup, e) < 0)
        return -1;
    return show(ctx, &pair, &ups, &relup, e);
}

static const struct cmd_option options[] = {
    {"output", 'o', "DIR", "where it goes (default: releases/VERSION of NEW; of a tarball: here)"},
    {"force", 'f', NULL, "derive appups also where NEW has its own"},
    {"timeout", 0, "TIME", "for systools (default 2m)"},
    {0},
};

const struct cmd_verb cmd_relpack_relup = {
    .name = "relup",
    .summary = "make the relup by which OTP's release_handler goes from one release to another",
    .usage = "OLD NEW [--output DIR] [--force] [--timeout TIME]",
    .options = options,
    .pos_min = 2,
    .pos_max = 2,
    .run = run,
};
