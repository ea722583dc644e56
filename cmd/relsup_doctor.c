/* SPDX-License-Identifier: Apache-2.0 */
/* The verb that looks at the host and the home. */
#include <fcntl.h>

#include "base/rel_io.h"
#include "cmd/relsup.h"
#include "supervisor/sup_doctor.h"

extern const struct cmd_verb relsup_doctor;

static const struct cmd_option options[] = {RELSUP_HOME_OPTIONS, {0}};

struct report {
    struct rel_buf text;
    json_t *list; /* lent */
};

static void on_finding(void *ctx, const struct sup_finding *f)
{
    struct report *r = ctx;
    json_t *one =
        json_pack("{s:s, s:b, s:o, s:o*}", "subject", f->subject, "well", f->well, "text",
                  rel_json_text(f->text), "advice", f->advice ? rel_json_text(f->advice) : NULL);

    rel_buf_addf(&r->text, "%-8s %-12s %s\n", f->well ? "ok" : "warning", f->subject, f->text);
    if (f->advice)
        rel_buf_addf(&r->text, "%-8s %-12s %s\n", "", "", f->advice);
    json_array_append_new(r->list, one);
}

/* One that is named is looked at even where every other command refuses it. Without one that is
 * named or runs, the host alone is. */
static int find_home(const struct cmd_ctx *ctx, char **home, struct rel_err *e)
{
    const char *given = cmd_get(ctx, "home");
    bool named = given || cmd_has(ctx, "app");

    if (!given)
        given = getenv("RELSUP_HOME");
    if (given && rel_is_dir(AT_FDCWD, given))
        *home = rel_xstrdup(given);
    else if (relsup_home(ctx, home, e) < 0 && named)
        return -1;
    rel_err_clear(e);
    return 0;
}

static int doctor(struct cmd_ctx *ctx, struct rel_err *e)
{
    json_auto_t *doc = json_pack("{s:[]}", "findings");
    struct report r = {.list = json_object_get(doc, "findings")};
    rel_autofree char *home = NULL;
    int rc;

    if (find_home(ctx, &home, e) < 0)
        return -1;
    json_object_set_new(doc, "warnings", json_integer(sup_doctor(home, on_finding, &r)));
    rc = rel_out_result(&ctx->out, doc, r.text.p, e);
    rel_buf_fini(&r.text);
    return rc;
}

const struct cmd_verb relsup_doctor = {.name = "doctor",
                                       .summary = "What this host and home let relsup do, and what "
                                                  "to mend",
                                       .usage = "",
                                       .options = options,
                                       .run = doctor};
