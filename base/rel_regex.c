/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rel_regex.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* pcre2api(3): a step of the match; KiB of what it keeps to come back to. An answer of a megabyte
 * searched for a word takes none of either. */
enum { STEPS_MAX = 1000000, HEAP_MAX_KIB = 4096 };

static pcre2_code *compile(const char *regex, struct rel_err *e)
{
    PCRE2_UCHAR why[128];
    PCRE2_SIZE at;
    pcre2_code *code;
    size_t len = strlen(regex);
    int rc;

    if (len > REL_REGEX_MAX) {
        (void)rel_fail(e, REL_E_INPUT, 0, "longer than %d bytes", REL_REGEX_MAX);
        return NULL;
    }
    code =
        pcre2_compile((PCRE2_SPTR)regex, len, PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY, &rc, &at, NULL);
    if (!code) {
        pcre2_get_error_message(rc, why, sizeof why);
        (void)rel_fail(e, REL_E_INPUT, 0, "%s at byte %zu", (const char *)why, at);
    }
    return code;
}

int rel_regex_check(const char *regex, struct rel_err *e)
{
    pcre2_code *code = compile(regex, e);

    pcre2_code_free(code);
    return code ? 0 : -1;
}

static int match(const pcre2_code *code, pcre2_match_data *found, const char *text, size_t len)
{
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    int rc = PCRE2_ERROR_NOMEMORY;

    if (limits && found) {
        pcre2_set_match_limit(limits, STEPS_MAX);
        pcre2_set_heap_limit(limits, HEAP_MAX_KIB);
        rc = pcre2_match(code, (PCRE2_SPTR)text, len, 0, 0, found, limits);
    }
    pcre2_match_context_free(limits);
    return rc;
}

int rel_regex_find(const char *regex, const char *text, size_t len, size_t at[2], struct rel_err *e)
{
    pcre2_code *code = compile(regex, e);
    pcre2_match_data *found;
    int rc;

    if (!code)
        return -1;
    found = pcre2_match_data_create_from_pattern(code, NULL);
    rc = match(code, found, text, len);
    if (rc > 0 && at)
        memcpy(at, pcre2_get_ovector_pointer(found), 2 * sizeof *at);
    pcre2_match_data_free(found);
    pcre2_code_free(code);
    if (rc > 0 || rc == PCRE2_ERROR_NOMATCH)
        return rc > 0;
    return rel_fail(e, REL_E_INPUT, 0, "the regular expression '%s' takes too many steps", regex);
}
