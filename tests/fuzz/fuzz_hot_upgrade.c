/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a hot upgrade, and all that is asked on the way to it. Each module is said to be
 * there already by so many answers of the harness; then come the fuzzer's. */
#include "hotload/hot_beams.h"
#include "hotload/hot_upgrade.h"
#include "tests/fuzz/hot_peer.h"

static const unsigned char yes[] = {0, 6, 119, 4, 't', 'r', 'u', 'e'};

static void check_report(const struct hot_report *r)
{
    for (size_t i = 0; i < r->section_n; i++) {
        must(r->sections[i].name != NULL);
        for (size_t j = 0; j < r->sections[i].line_n; j++)
            must(r->sections[i].lines[j] != NULL);
    }
}

static int no(void *ctx, struct rel_err *e)
{
    (void)ctx;
    return rel_fail(e, REL_E_REMOTE, 0, "not good");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hot_beam *const beams[] = HOT_BEAMS_RELSUP_HOT;
    const struct hot_module module = {
        .app = "a", .module = "m", .old_path = "/old/m.beam", .new_path = "/new/m.beam"};
    const struct hot_plan plan = {.modules = &module,
                                  .module_n = 1,
                                  .suspend_ms = 1,
                                  .timeout_ms = 1,
                                  .prove = no,
                                  .prove_ms = 1};
    rel_autobuf struct rel_buf all = {0};
    struct hot_report report = {0};
    struct rel_err e = {0};
    struct peer p;

    for (size_t i = 0; beams[i]; i++)
        rel_buf_add(&all, yes, sizeof(yes));
    rel_buf_add(&all, data, size);
    p = peer_of_answers((const uint8_t *)all.p, all.len, false);
    must_tell(hot_upgrade_run(p.node, &plan, &report, &e), &e);
    check_report(&report);
    hot_report_fini(&report);
    peer_close(&p);
    return 0;
}
