/* SPDX-License-Identifier: Apache-2.0 */
/* What a killed relsup and its peers leave in a home beside releases and logs. Blocking. */
#ifndef SUP_TIDY_H
#define SUP_TIDY_H

/* Removes half-written files, and what belongs to peers and steps that are gone. For whoever holds
 * the home's lock, once none of its peers runs; what cannot be removed stays for the next time. */
void sup_tidy(const char *home);

#endif
