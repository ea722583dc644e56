/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the table of the swap: for docs/swap.md, or for the model (tests/model/swap.pml). */
#include <stdio.h>
#include <string.h>

#include "swap/swap_fsm.h"

static void print_states(void)
{
    puts("| state | waits for | its deadline | an active peer that ends |\n|---|---|---|---|");
    for (int s = 0; s < SWAP_STATE_COUNT; s++)
        printf("| %s | %s | %s | %s |\n", swap_state_name((enum swap_state)s),
               swap_state_waits_for((enum swap_state)s),
               swap_deadline_name(swap_state_deadline((enum swap_state)s)),
               swap_state_revives((enum swap_state)s) ? "is started again"
                                                      : "is covered by the other one");
}

static void print_markdown(void)
{
    print_states();
    puts("\n| in | on | does | then |\n|---|---|---|---|");
    for (int s = 0; s < SWAP_STATE_COUNT; s++)
        for (int ev = 0; ev < SWAP_EVENT_COUNT; ev++) {
            struct swap_cell cell = swap_fsm_step((enum swap_state)s, (enum swap_event)ev);

            if (cell.action != SWAP_UNEXPECTED && cell.action != SWAP_IGNORE)
                printf("| %s | %s | %s | %s |\n", swap_state_name((enum swap_state)s),
                       swap_event_name((enum swap_event)ev), swap_action_name(cell.action),
                       swap_state_name(cell.next));
        }
}

static void print_promela(void)
{
    for (int s = 0; s < SWAP_STATE_COUNT; s++)
        printf("#define S_%s %d\n", swap_state_name((enum swap_state)s), s);
    for (int ev = 0; ev < SWAP_EVENT_COUNT; ev++)
        printf("#define E_%s %d\n", swap_event_name((enum swap_event)ev), ev);
    for (int a = 0; a < SWAP_ACTION_COUNT; a++)
        printf("#define A_%s %d\n", swap_action_name((enum swap_action)a), a);
    puts("\ninline look_up(in, on, next, action) {\n    if");
    for (int s = 0; s < SWAP_STATE_COUNT; s++)
        for (int ev = 0; ev < SWAP_EVENT_COUNT; ev++) {
            struct swap_cell cell = swap_fsm_step((enum swap_state)s, (enum swap_event)ev);

            if (cell.action != SWAP_UNEXPECTED)
                printf("    :: in == S_%s && on == E_%s -> next = S_%s; action = A_%s\n",
                       swap_state_name((enum swap_state)s), swap_event_name((enum swap_event)ev),
                       swap_state_name(cell.next), swap_action_name(cell.action));
        }
    puts("    :: else -> next = in; action = A_unexpected\n    fi\n}\n");
    printf("#define has_deadline(s) (false");
    for (int s = 0; s < SWAP_STATE_COUNT; s++)
        if (swap_state_deadline((enum swap_state)s) != SWAP_DEADLINE_NONE)
            printf(" || s == S_%s", swap_state_name((enum swap_state)s));
    printf(")\n#define can_abort(s) (false");
    for (int s = 0; s < SWAP_STATE_COUNT; s++)
        if (swap_fsm_step((enum swap_state)s, SWAP_ABORTED).action != SWAP_UNEXPECTED)
            printf(" || s == S_%s", swap_state_name((enum swap_state)s));
    printf(")\n#define revives(s) (false");
    for (int s = 0; s < SWAP_STATE_COUNT; s++)
        if (swap_state_revives((enum swap_state)s))
            printf(" || s == S_%s", swap_state_name((enum swap_state)s));
    puts(")");
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "markdown")) {
        print_markdown();
    } else if (argc == 2 && !strcmp(argv[1], "promela")) {
        print_promela();
    } else {
        fputs("usage: swap_table markdown|promela\n", stderr);
        return 2;
    }
    return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
