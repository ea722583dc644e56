/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_own.h"

enum { STAT_MAX = 4096 };

/* "pid (comm) state ppid pgrp session ..."; comm may hold anything, so the fields are counted from
 * the last ')'. */
static bool parse_stat(const char *text, struct hot_proc *p)
{
    const char *at = strrchr(text, ')');
    char state, *rest;
    long parent, session;

    if (!at || at[1] != ' ' || !at[2])
        return false;
    state = at[2];
    parent = strtol(at + 3, &rest, 10);
    (void)strtol(rest, &rest, 10); /* the process group */
    session = strtol(rest, NULL, 10);
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        return false;
    p->parent = (pid_t)parent;
    p->session = (pid_t)session;
    p->zombie = state == 'Z' || state == 'X';
    p->start = strtoull(at, NULL, 10);
    return true;
}

bool hot_proc_read(pid_t pid, struct hot_proc *p)
{
    char path[64], text[STAT_MAX];
    rel_autoclose int fd = -1;
    struct hot_proc read_now = {.pid = pid};
    struct stat st;
    ssize_t n;

    if (pid <= 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || (n = read(fd, text, sizeof(text) - 1)) <= 0)
        return false;
    text[n] = '\0';
    read_now.uid = st.st_uid;
    if (!parse_stat(text, &read_now))
        return false;
    *p = read_now;
    return true;
}
