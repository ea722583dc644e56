/* SPDX-License-Identifier: Apache-2.0 */
/* relpack keygen, sign and verify. */
#include <fcntl.h>
#include <string.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "cmd/cmd.h"
#include "cmd/cmd_signal.h"
#include "pkg/pkg_archive.h"
#include "pkg/pkg_verify.h"

extern const struct cmd_verb cmd_relpack_verify, cmd_relpack_sign, cmd_relpack_keygen;

static int run_keygen(struct cmd_ctx *ctx, struct rel_err *e)
{
    const char *name = ctx->pos[0];
    rel_autofree char *text = NULL, *secret = NULL, *public = NULL;
    json_auto_t *doc = NULL;
    char id[PKG_KEY_ID_LEN];

    if (pkg_key_make(name, id, e) < 0)
        return -1;
    secret = rel_strf("%s.key", name);
    public = rel_strf("%s.pub", name);
    doc = json_pack("{s:s, s:s, s:s}", "key_id", id, "secret", secret, "public", public);
    text = rel_strf("%s\n%s\n", secret, public);
    if (!doc)
        return rel_fail(e, REL_E_INPUT, 0, "the name '%s' is no UTF-8", name);
    rel_out_log(&ctx->out, "the key %s: keep %s secret, verify with %s", id, secret, public);
    return rel_out_result(&ctx->out, doc, text, e);
}

static int run_sign(struct cmd_ctx *ctx, struct rel_err *e)
{
    struct rel_progress progress = rel_out_progress(&ctx->out);
    const char *path = ctx->pos[0], *key_file = cmd_get(ctx, "key");
    const char *output = cmd_has(ctx, "output") ? cmd_get(ctx, "output") : path;
    struct pkg_verify how = {.progress = &progress};
    pkg_autoverified struct pkg_verified v = {0};
    pkg_autokey struct pkg_key *key = NULL;
    rel_autobuf struct rel_buf signature = {0};
    rel_autofree char *name = NULL, *text = NULL;
    json_auto_t *doc = NULL;
    struct pkg_entry put = {.kind = PKG_ENTRY_BYTES, .mode = 0644};

    if (!key_file)
        return rel_fail(e, REL_E_USAGE, 0, "say which key signs: --key FILE");
    ctx->out.silent_steps = true;
    progress.stopped = cmd_signal_stopped;
    cmd_signal_catch();
    rel_progress_step(&progress, "verify", path);
    if (pkg_key_read_secret(key_file, &key, e) < 0 || pkg_verify(path, &how, &v, e) < 0 ||
        pkg_sign(key, v.manifest, v.manifest_len, &signature, e) < 0)
        return -1;
    name = rel_strf("releases/%s/relpack.sig", v.vsn);
    put.path = name;
    put.bytes = signature.p;
    put.len = signature.len;
    rel_progress_step(&progress, "sign", output);
    if (pkg_archive_rewrite(path, output, &put, &progress, e) < 0)
        return -1;
    doc = json_pack("{s:s, s:s, s:s, s:s}", "path", output, "name", v.name, "version", v.vsn,
                    "key_id", pkg_key_id(key));
    text = rel_strf("%s\n", output);
    rel_out_step_end(&ctx->out, true, NULL);
    return rel_out_result(&ctx->out, doc, text, e);
}

static json_t *verified_object(const struct pkg_verified *v, bool checked)
{
    json_t *doc = json_pack("{s:s, s:s, s:I, s:b, s:b, s:b}", "name", v->name, "version", v->vsn,
                            "files", (json_int_t)v->file_n, "signed", v->is_signed,
                            "signature_checked", checked, "whole", v->whole);

    if (v->expires)
        json_object_set_new(doc, "expires", json_string(v->expires));
    if (v->is_signed)
        json_object_set_new(doc, "key_id", json_string(v->key_id));
    return doc;
}

static int run_verify(struct cmd_ctx *ctx, struct rel_err *e)
{
    struct rel_progress progress = rel_out_progress(&ctx->out);
    const char *path = ctx->pos[0], *key_file = cmd_get(ctx, "key");
    struct pkg_verify how = {.progress = &progress, .now_s = rel_wall_ms() / 1000};
    pkg_autoverified struct pkg_verified v = {0};
    pkg_autokey struct pkg_key *key = NULL;
    rel_autofree char *by = NULL, *line = NULL, *shown = NULL, *text = NULL;
    json_auto_t *doc = NULL;

    if (key_file && pkg_key_read_public(key_file, &key, e) < 0)
        return -1;
    how.key = key;
    ctx->out.silent_steps = true;
    rel_progress_step(&progress, "verify", path);
    if (pkg_verify(path, &how, &v, e) < 0)
        return -1;
    if (key)
        by = rel_strf("signed by %s", v.key_id);
    else if (v.is_signed)
        by = rel_strf("signature by %s not checked (--key)", v.key_id);
    else
        by = rel_strf("not signed");
    line = rel_strf("%s %s: %zu files as in the manifest, %s%s%s%s", v.name, v.vsn, v.file_n, by,
                    v.expires ? ", until " : "", v.expires ? v.expires : "",
                    v.whole || rel_is_dir(AT_FDCWD, path)
                        ? ""
                        : "; not byte for byte the tarball that relpack wrote");
    shown = rel_escape(line);
    text = rel_strf("%s\n", shown);
    doc = verified_object(&v, key != NULL);
    rel_out_step_end(&ctx->out, true, NULL);
    return rel_out_result(&ctx->out, doc, text, e);
}

static const struct cmd_option verify_options[] = {
    {.name = "key", .letter = 'k', .arg = "FILE", .help = "it must be signed by this public key"},
    {0},
};
static const struct cmd_option sign_options[] = {
    {.name = "key", .letter = 'k', .arg = "FILE", .help = "the secret key, of 'relpack keygen'"},
    {.name = "output", .letter = 'o', .arg = "FILE", .help = "write a copy instead"},
    {0},
};
static const struct cmd_option keygen_options[] = {{0}};

const struct cmd_verb cmd_relpack_verify = {
    .name = "verify",
    .summary = "check that a release is what its manifest says, and who signed it",
    .usage = "TARBALL|DIR [--key FILE]",
    .options = verify_options,
    .pos_min = 1,
    .pos_max = 1,
    .run = run_verify,
};
const struct cmd_verb cmd_relpack_sign = {
    .name = "sign",
    .summary = "put a signature into a tarball",
    .usage = "TARBALL --key FILE [--output FILE]",
    .options = sign_options,
    .pos_min = 1,
    .pos_max = 1,
    .run = run_sign,
};
const struct cmd_verb cmd_relpack_keygen = {
    .name = "keygen",
    .summary = "make a pair of keys, NAME.key and NAME.pub",
    .usage = "NAME",
    .options = keygen_options,
    .pos_min = 1,
    .pos_max = 1,
    .run = run_keygen,
};
