/* SPDX-License-Identifier: Apache-2.0 */
/* relpack init [DIR]: writes its relpack.json. */
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "cmd/cmd.h"
#include "pkg/pkg_init.h"

extern const struct cmd_verb cmd_relpack_init;

static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    const char *dir = ctx->pos_n ? ctx->pos[0] : ".";
    rel_autofree char *path = rel_strf("%s/relpack.json", dir);
    rel_autofree char *shown = rel_strf("%s\n", path), *text = NULL;
    struct pkg_draft draft;
    json_auto_t *doc = NULL;

    if (pkg_init_draft(dir, &draft, e) < 0)
        return -1;
    text = draft.text;
    if (rel_replace_file(AT_FDCWD, path, text, strlen(text), 0644, e) < 0)
        return -1;
    doc = json_pack("{s:s, s:s}", "path", path, "kind", pkg_project_kind_name(draft.kind));
    return rel_out_result(&ctx->out, doc, shown, e);
}

const struct cmd_verb cmd_relpack_init = {
    .name = "init",
    .summary = "write a relpack.json from what is in the project",
    .usage = "[DIR]",
    .pos_max = 1,
    .run = run,
};
