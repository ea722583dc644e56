/* SPDX-License-Identifier: Apache-2.0 */
#include "swap/swap_plan.h"

#include <string.h>

void swap_plan_close(enum swap_part *part, size_t *n, size_t closes)
{
    part[closes] = part[--*n];
}

/* Out of range is a hash over all, which is right where one is left. */
static bool names_target(const enum swap_part *part, size_t n, size_t index)
{
    return index < n ? part[index] == SWAP_TARGET : n == 1 && part[0] == SWAP_TARGET;
}

/* A constant that is right before and after `closes` leaves. */
static bool find_constant(const enum swap_part *part, size_t n, struct swap_leave *step)
{
    enum swap_part after[SWAP_PLAN_MAX];
    size_t after_n = n;

    memcpy(after, part, n * sizeof(*part));
    swap_plan_close(after, &after_n, step->closes);
    for (size_t i = 0; i < n; i++)
        if (part[i] == SWAP_TARGET && names_target(after, after_n, i)) {
            step->index = i;
            return true;
        }
    return false;
}

/* The best next leaving: the last one for which there is a constant, else the last one of all. */
static bool next_step(const enum swap_part *part, size_t n, struct swap_leave *step)
{
    bool found = false;

    for (size_t i = n; i-- > 0;) {
        struct swap_leave one = {.closes = i};

        if (part[i] != SWAP_LEAVING)
            continue;
        if (find_constant(part, n, &one)) {
            *step = one;
            return true;
        }
        if (!found)
            *step = (struct swap_leave){.index = i, .closes = i, .must_block = true};
        found = true;
    }
    return found;
}

size_t swap_plan(const enum swap_part *part, size_t n, struct swap_leave steps[SWAP_PLAN_MAX])
{
    enum swap_part now[SWAP_PLAN_MAX];
    size_t targets = 0, step_n = 0;

    for (size_t i = 0; i < n; i++)
        targets += part[i] == SWAP_TARGET;
    if (!targets)
        return 0;
    memcpy(now, part, n * sizeof(*part));
    while (next_step(now, n, &steps[step_n])) {
        swap_plan_close(now, &n, steps[step_n].closes);
        step_n++;
    }
    return step_n;
}
