/* SPDX-License-Identifier: Apache-2.0 */
/* What is likely wrong with a release that is about to be packed: looked for after everything is
 * resolved and before anything is written. docs/checks.md tells of each code at length.
 *
 * OTP's own applications and Elixir's are taken as they are: they call each other optionally and
 * are tested as a whole. What is said of "an application" here means the others. One thread. */
#ifndef PKG_CHECK_H
#define PKG_CHECK_H

#include "pkg/pkg_erts.h"
#include "pkg/pkg_survey.h"

/* XX(constant, code, is an error, what it means). The order is that of the findings. */
#define PKG_CHECK_MAP(XX)                                                                        \
    XX(PKG_CHECK_DUPLICATE_MODULE, duplicate_module, true, "one module in two applications")     \
    XX(PKG_CHECK_MISSING_MODULE, missing_module, true,                                           \
       "a module that the .app file lists and that has no BEAM file")                            \
    XX(PKG_CHECK_MACHINE, machine, true, "native code for another machine than that of the VM")  \
    XX(PKG_CHECK_UNLISTED_MODULE, unlisted_module, false,                                        \
       "a BEAM file that the .app file does not list, so that it is not loaded at boot")         \
    XX(PKG_CHECK_UNDEFINED, undefined, false,                                                    \
       "a module that is called and that no application of the release has")                     \
    XX(PKG_CHECK_UNDEFINED_FUNCTION, undefined_function, false,                                  \
       "a function that is called and that its module does not export")                          \
    XX(PKG_CHECK_NOT_STARTED, not_started, false,                                                \
       "an application that is called and that the caller's .app file does not name")            \
    XX(PKG_CHECK_SECRET, secret, false, "a likely secret in the configuration that is packed")   \
    XX(PKG_CHECK_PRIVATE_KEY, private_key, false, "a private key in a packed file")              \
    XX(PKG_CHECK_PRIVATE_FILE, private_file, false, "a packed file that is private by its name") \
    XX(PKG_CHECK_OUTSIDE, outside, false, "an overlay that lies outside of the project")         \
    XX(PKG_CHECK_PHOENIX_SERVER, phoenix_server, false,                                          \
       "a Phoenix endpoint that nothing tells to serve")                                         \
    XX(PKG_CHECK_GLIBC, glibc, false,                                                            \
       "native code that needs a newer C library than the VM, or than --target-glibc")           \
    XX(PKG_CHECK_BUILD_PATH, build_path, false,                                                  \
       "a path of the machine it was built on inside a file of priv")                            \
    XX(PKG_CHECK_WRITABLE, writable, false, "a packed file that every user here can write")

enum pkg_check_code {
#define XX(constant, code, is_error, meaning) constant,
    PKG_CHECK_MAP(XX)
#undef XX
        PKG_CHECK_COUNT
};

const char *pkg_check_name(enum pkg_check_code code);
const char *pkg_check_meaning(enum pkg_check_code code);
/* Refuses the release, unless it is allowed. */
bool pkg_check_is_error(enum pkg_check_code code);

/* A list of what is left out: "glibc,undefined:jose,all". With an application behind the code only
 * what is found in that one; "all" is every code. REL_E_INPUT for an unknown code, naming all. */
REL_MUST_USE int pkg_check_allow_read(const char *list, struct rel_err *e);
/* Does the list, which was read, leave out that code, or that code of that application? NULL for
 * either of them: no list; what belongs to no application. */
bool pkg_check_allows(const char *list, enum pkg_check_code code, const char *app);

/* Is it "2.36"? */
bool pkg_check_is_glibc(const char *vsn);

struct pkg_finding {
    enum pkg_check_code code;
    char *text; /* names the file or the module, and says what to do */
    char *file; /* in the release, or NULL */
    char *app;  /* that the file belongs to, or NULL */
};

struct pkg_findings {
    struct pkg_finding *v; /* by code; those of a code in the order they were found */
    size_t n, cap;
};

void pkg_findings_fini(struct pkg_findings *fs);
#define pkg_autofindings __attribute__((cleanup(pkg_findings_fini)))

struct pkg_check {
    const struct pkg_project *project;
    const struct pkg_otp *otp;
    const struct pkg_rel *rel;
    struct pkg_lib *lib; /* asked for the application of a module that is missing */
    const struct pkg_entries *entries;
    const struct pkg_survey *survey; /* of the entries */
    const char *target_glibc;        /* "2.31", or NULL: that of the VM */
    const char *allow[2];            /* lists of what is left out; each may be NULL */
};

/* 0: *found holds what was found, which may be nothing. -1: a file could not be read, or is named
 * as a BEAM file and is none (REL_E_INPUT). */
REL_MUST_USE int pkg_check_run(const struct pkg_check *check, struct pkg_findings *found,
                               struct rel_err *e);

struct pkg_check_report {
    bool strict;  /* every finding refuses the release */
    size_t lines; /* at most so many warnings of one code, one for an application; 0: all */
    const struct rel_progress *progress;
};

/* Warns of each. REL_E_INPUT when one of them refuses the release: the message tells the first. */
REL_MUST_USE int pkg_check_tell(const struct pkg_findings *found,
                                const struct pkg_check_report *report, struct rel_err *e);

#endif
