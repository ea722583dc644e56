/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a tarball that is surveyed: what is accepted has clean, unique, sorted names. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pkg/pkg_survey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rel_autoclose int fd = memfd_create("fuzz", MFD_CLOEXEC);
    rel_autofree char *path = rel_strf("/proc/self/fd/%d", fd);
    pkg_autosurvey struct pkg_survey s = {0};
    struct rel_err e = {0};

    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    if (pkg_survey_read(path, NULL, &s, &e) < 0)
        return 0;
    must(s.n > 0);
    for (size_t i = 0; i < s.n; i++) {
        must(*s.v[i].path && *s.v[i].path != '/' && !strstr(s.v[i].path, "/../"));
        must(i == 0 || strcmp(s.v[i - 1].path, s.v[i].path) < 0);
        must(pkg_survey_find(&s, s.v[i].path) == &s.v[i]);
    }
    return 0;
}
