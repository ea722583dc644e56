/* SPDX-License-Identifier: Apache-2.0 */
/* What the application of a home listened on in its last runs: HOME/run/listens.json. So a boot
 * with nobody to compare with knows what is to come, and whose ports to look at before it.
 *   {"v":1,"runs":[{"release":"0.1.0","generation":3,
 *                   "listens":[{"address":"0.0.0.0","port":8080,"v6only":false,"same":2}]}]}
 * One run a release, the newest last. Any thread; no state. */
#ifndef SUP_KNOWN_H
#define SUP_KNOWN_H

#include "swap/swap_listen.h"

struct sup_known_run {
    char *release; /* name of its folder */
    int generation;
    struct swap_listeners l; /* same_n counts */
};

struct sup_known {
    struct sup_known_run *v;
    size_t n;
};

void sup_known_fini(struct sup_known *k);
#define sup_autoknown __attribute__((cleanup(sup_known_fini)))

/* REL_E_INPUT for anything else than a file of our version; safe for any bytes. */
REL_MUST_USE int sup_known_parse(const char *text, size_t len, struct sup_known *k,
                                 struct rel_err *e);
/* Nothing is known where there is no such file. */
REL_MUST_USE int sup_known_read(const char *home, struct sup_known *k, struct rel_err *e);
/* Atomic and durable. */
REL_MUST_USE int sup_known_write(const char *home, const struct sup_known *k, struct rel_err *e);

/* The peer of that generation serves, and listens there. */
void sup_known_note(struct sup_known *k, const char *release, int generation,
                    const struct swap_listeners *l);

/* The last run of that release, NULL: of any; lent, or NULL. */
const struct sup_known_run *sup_known_of(const struct sup_known *k, const char *release);

#endif
