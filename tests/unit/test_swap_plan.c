/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "swap/swap_plan.h"

enum { SIDE_MAX = 6 };

/* Who gets a connection while the program returns `index`: its target alone, or a leaving one that
 * was told to drop it. */
static bool is_safe(const enum swap_part *part, size_t n, size_t index, bool blocked)
{
    if (index >= n)
        return n == 1 && part[0] == SWAP_TARGET;
    return part[index] == SWAP_TARGET || (blocked && part[index] == SWAP_LEAVING);
}

/* Follows the plan and looks at each instant: before and after each attach and each close. */
static size_t follow(const enum swap_part *start, size_t n)
{
    enum swap_part part[SWAP_PLAN_MAX];
    struct swap_leave steps[SWAP_PLAN_MAX];
    size_t step_n = swap_plan(start, n, steps), blocks = 0;

    memcpy(part, start, n * sizeof(*part));
    for (size_t i = 0; i < step_n; i++) {
        assert_int_equal(part[steps[i].closes], SWAP_LEAVING);
        assert_true(is_safe(part, n, steps[i].index, steps[i].must_block));
        swap_plan_close(part, &n, steps[i].closes);
        assert_true(is_safe(part, n, steps[i].index, false));
        blocks += steps[i].must_block;
    }
    for (size_t i = 0; i < n; i++)
        assert_int_not_equal(part[i], SWAP_LEAVING);
    return blocks;
}

static size_t fill(enum swap_part *part, unsigned code, size_t n)
{
    for (size_t i = 0; i < n; i++, code /= 3)
        part[i] = (enum swap_part)(code % 3);
    return n;
}

static size_t count(const enum swap_part *part, size_t n, enum swap_part which)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        found += part[i] == which;
    return found;
}

/* Old sockets first, as they lie when the candidate has joined; and the other way round. */
static void every_group_up_to_six_and_six_is_safe(void **state)
{
    (void)state;
    for (size_t old = 0; old <= SIDE_MAX; old++)
        for (size_t new = 1; new <= SIDE_MAX; new ++) {
            enum swap_part part[2 * SIDE_MAX];

            for (size_t i = 0; i < old + new; i++)
                part[i] = i < old ? SWAP_LEAVING : SWAP_TARGET;
            assert_int_equal(follow(part, old + new), new == 1 && old >= 2 ? old - 1 : 0);
            for (size_t i = 0; i < old + new; i++)
                part[i] = i < new ? SWAP_TARGET : SWAP_LEAVING;
            assert_int_equal(follow(part, old + new), 0);
        }
}

/* Also orders that only a history of leavings makes, with sockets that are nobody's business. */
static void every_order_is_safe(void **state)
{
    enum swap_part part[2 * SIDE_MAX];

    (void)state;
    for (size_t n = 1; n <= 9; n++) {
        unsigned codes = 1;

        for (size_t i = 0; i < n; i++)
            codes *= 3;
        for (unsigned code = 0; code < codes; code++) {
            size_t targets = count(part, fill(part, code, n), SWAP_TARGET), blocks;

            if (!targets)
                continue;
            blocks = follow(part, n);
            if (targets >= 2)
                assert_int_equal(blocks, 0);
        }
    }
}

static void nobody_left_means_no_plan(void **state)
{
    enum swap_part part[] = {SWAP_LEAVING, SWAP_BYSTANDER};
    struct swap_leave steps[SWAP_PLAN_MAX];

    (void)state;
    assert_int_equal(swap_plan(part, 2, steps), 0);
    part[0] = SWAP_TARGET;
    assert_int_equal(swap_plan(part, 2, steps), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_group_up_to_six_and_six_is_safe),
        cmocka_unit_test(every_order_is_safe),
        cmocka_unit_test(nobody_left_means_no_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
