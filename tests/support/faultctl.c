/* SPDX-License-Identifier: Apache-2.0 */
/* faultctl: what the preloaded library libfault.so does to relsup, told through a file.
 *
 *   faultctl FILE new                 an empty file, nothing is counted yet
 *   faultctl FILE arm [CALL:]N HOW [WHO]
 *                                     counts from here on; at the N-th call (0: never) HOW happens:
 *                                     kill, kill-after (the call was made), fail (with the errno
 *                                     that is usual for the call; one that has none is left alone),
 *                                     or an errno's name; with a '+' behind it: from then on at
 * each call for which that one is usual (ENOSPC+: a full disk) WHO: run (the supervisor; default),
 * child (all that it makes of itself), any faultctl FILE disarm faultctl FILE count | hit prints
 * how many calls were made | the number of the one hit faultctl FILE log                 prints a
 * line for each: number, who, call, what it was about
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault.h"

static struct fault_state *map(const char *path, int flags)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
    void *p = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof(struct fault_state)) == 0)
        p = mmap(NULL, sizeof(struct fault_state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "faultctl: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    close(fd);
    return p;
}

static int how_of(const char *text)
{
    size_t len = strcspn(text, "+");

    if (!strncmp(text, "kill-after", len) && len > 4)
        return FAULT_KILL_AFTER;
    if (!strncmp(text, "kill", len))
        return FAULT_KILL;
    if (!strncmp(text, "fail", len))
        return FAULT_FAIL;
    for (int n = 1; n < 134; n++) {
        const char *name = strerrorname_np(n);

        if (name && strlen(name) == len && !strncmp(text, name, len))
            return n;
    }
    fprintf(stderr, "faultctl: unknown fault %s\n", text);
    exit(2);
}

static int who_of(const char *text)
{
    if (!text || !strcmp(text, "run"))
        return FAULT_BY_RUN;
    return !strcmp(text, "child") ? FAULT_BY_CHILD : FAULT_BY_RUN | FAULT_BY_CHILD;
}

static void arm(struct fault_state *s, char **argv)
{
    const char *colon = strchr(argv[3], ':');

    s->armed = 0;
    memset(s->records, 0, sizeof(s->records));
    s->n = s->hit = 0;
    snprintf(s->only, sizeof(s->only), "%.*s", colon ? (int)(colon - argv[3]) : 0, argv[3]);
    s->at = (unsigned)strtoul(colon ? colon + 1 : argv[3], NULL, 10);
    s->how = how_of(argv[4]);
    s->sticky = strchr(argv[4], '+') != NULL;
    s->who = who_of(argv[5]);
    s->armed = 1;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[2] : "";
    struct fault_state *s;

    if (argc < 3 || (!strcmp(verb, "arm") && argc < 5)) {
        fputs("usage: faultctl FILE new|arm [CALL:]N HOW [WHO]|disarm|count|hit|log\n", stderr);
        return 2;
    }
    s = map(argv[1], !strcmp(verb, "new") ? O_CREAT | O_TRUNC : 0);
    if (!strcmp(verb, "new"))
        s->magic = FAULT_MAGIC;
    else if (!strcmp(verb, "arm"))
        arm(s, argv);
    else if (!strcmp(verb, "disarm"))
        s->armed = 0;
    else if (!strcmp(verb, "count"))
        printf("%u\n", (unsigned)s->n);
    else if (!strcmp(verb, "hit"))
        printf("%u\n", (unsigned)s->hit);
    else
        for (unsigned i = 0; i < s->n && i < FAULT_RECORDS; i++)
            printf("%s\n", s->records[i]);
    return 0;
}
