/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target once over every file of its corpus, for compilers without libFuzzer. Takes
 * libFuzzer's way of being called; options are ignored. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>

#include "base/rel_io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_folder(const char *folder)
{
    rel_autoclosedir DIR *d = opendir(folder);
    struct dirent *entry;
    int n = 0;

    if (!d) {
        perror(folder);
        return -1;
    }
    while ((entry = readdir(d))) {
        rel_autofree char *path = rel_strf("%s/%s", folder, entry->d_name), *data = NULL;
        struct rel_err e = {0};
        size_t len;

        if (!rel_is_file(AT_FDCWD, path))
            continue;
        if (rel_read_file(AT_FDCWD, path, 16 << 20, &data, &len, &e) < 0) {
            fprintf(stderr, "%s\n", e.msg);
            return -1;
        }
        LLVMFuzzerTestOneInput((const uint8_t *)data, len);
        n++;
    }
    printf("%s: %d inputs\n", folder, n);
    return n;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        int n;

        if (argv[i][0] == '-')
            continue;
        n = run_folder(argv[i]);
        if (n < 0)
            return 1;
        total += n;
    }
    return total ? 0 : 1; /* a corpus that was lost must not look like a pass */
}
