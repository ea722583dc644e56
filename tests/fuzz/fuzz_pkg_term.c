/* SPDX-License-Identifier: Apache-2.0 */
/* Text to terms and back: what was read must be written as text, and as external format, that reads
 * as an equal term. The same bytes are also taken for the external format itself. */
#include <stdlib.h>

#include "pkg/pkg_etf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_round_trips(const struct pkg_term *t)
{
    pkg_autoarena struct pkg_arena a = {0};
    rel_autobuf struct rel_buf text = {0}, etf = {0};
    struct rel_err e = {0};
    struct pkg_terms again;
    const struct pkg_term *decoded;

    pkg_term_format_file(t, &text);
    must(pkg_terms_parse(&a, text.p, text.len, "again", &again, &e) == 0);
    must(again.n == 1 && pkg_equal(t, again.v[0]));
    must(pkg_etf_encode(t, &etf, &e) == 0);
    must(pkg_etf_decode(&a, etf.p, etf.len, &decoded, &e) == 0);
    must(pkg_equal(t, decoded));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pkg_autoarena struct pkg_arena a = {0};
    struct rel_err e = {0};
    struct pkg_terms terms;
    const struct pkg_term *t;

    if (pkg_terms_parse(&a, (const char *)data, size, "fuzz", &terms, &e) == 0)
        for (size_t i = 0; i < terms.n; i++)
            check_round_trips(terms.v[i]);
    rel_err_clear(&e);
    if (pkg_etf_decode(&a, data, size, &t, &e) == 0)
        check_round_trips(t);
    return 0;
}
