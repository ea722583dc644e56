/* SPDX-License-Identifier: Apache-2.0 */
/* relpack beam FILE...: what the hot upgrade will see of a module. */
#include <fcntl.h>

#include "cmd/cmd.h"
#include "pkg/pkg_beam.h"

extern const struct cmd_verb cmd_relpack_beam;

static int add_file(const char *path, json_t *modules, struct rel_buf *text, struct rel_err *e)
{
    pkg_autobeam struct pkg_beam b = {0};
    unsigned char md5[16];
    char hex[33];

    if (pkg_beam_read(AT_FDCWD, path, &b, e) < 0 || pkg_beam_md5(&b, md5, e) < 0)
        return -1;
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", md5[i]);
    rel_buf_addf(text, "%s %s %s\n", hex, b.module, path);
    json_array_append_new(modules,
                          json_pack("{s:s, s:s, s:s, s:b, s:b}", "md5", hex, "module", b.module,
                                    "path", path, "nif", b.nif, "on_load", b.on_load));
    return 0;
}

static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    json_t *modules = json_array(), *result = json_pack("{s:o}", "modules", modules);
    rel_autobuf struct rel_buf text = {0};
    int status = 0;

    for (int i = 0; i < ctx->pos_n && status == 0; i++)
        status = add_file(ctx->pos[i], modules, &text, e);
    if (status == 0)
        status = rel_out_result(&ctx->out, result, text.p, e);
    json_decref(result);
    return status;
}

const struct cmd_verb cmd_relpack_beam = {
    .name = "beam",
    .summary = "print the md5 and the module of BEAM files",
    .usage = "FILE...",
    .pos_min = 1,
    .pos_max = -1,
    .hidden = true,
    .run = run,
};
