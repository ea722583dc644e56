/* SPDX-License-Identifier: Apache-2.0 */
/* The verb that looks at the host and the home. */
#include "cmd/relsup.h"
#include "supervisor/sup_doctor.h"

extern const struct cmd_verb relsup_doctor;

static const struct cmd_option options[] = {RELSUP_HOME_OPTIONS, {0}};

struct report {
    struct rel_buf text;
    json_t *list;
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

/* Without a home that is named or runs, the host alone is looked at. */
static int doctor(struct cmd_ctx *ctx, struct rel_err *e)
{
    bool named = cmd_has(ctx, "home") || cmd_has(ctx, "app");
    struct report r = {.list = json_array()};
    rel_autofree char *home = NULL;
    json_auto_t *doc = NULL;
    int unwell_n, rc;

    if (relsup_home(ctx, &home, e) < 0) {
        if (named) {
            json_decref(r.list);
            return -1;
        }
        rel_err_clear(e);
    }
    unwell_n = sup_doctor(home, on_finding, &r);
    doc = json_pack("{s:i, s:o}", "warnings", unwell_n, "findings", r.list);
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
