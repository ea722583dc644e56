/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the reader of relsup.json: shared by sup_config.c (plain keys), sup_config_process.c
 * (what the processes of the application are) and sup_config_swap.c (what has a structure). */
#ifndef SUP_CONFIG_INTERNAL_H
#define SUP_CONFIG_INTERNAL_H

#include <jansson.h>

#include "supervisor/sup_config.h"

struct sup_config_reader {
    struct sup_config *c;
    const char *file, *text, *key;
    const char *sub; /* key inside of that one's value; NULL */
};

/* "FILE:LINE: KEY WHAT" or "FILE:LINE: KEY: SUB WHAT" */
int sup_config_wrong(const struct sup_config_reader *r, const char *what, struct rel_err *e);

/* A number of seconds, at most a day. */
REL_MUST_USE int sup_config_time(const struct sup_config_reader *r, const json_t *v, int64_t *ms,
                                 struct rel_err *e);

REL_MUST_USE int sup_config_health(struct sup_config_reader *r, const json_t *v, struct rel_err *e);
REL_MUST_USE int sup_config_before_boot(struct sup_config_reader *r, const json_t *v,
                                        struct rel_err *e);
REL_MUST_USE int sup_config_before_cutover(struct sup_config_reader *r, const json_t *v,
                                           struct rel_err *e);
REL_MUST_USE int sup_config_after_cutover(struct sup_config_reader *r, const json_t *v,
                                          struct rel_err *e);
/* sup_config_process.c */
REL_MUST_USE int sup_config_env(struct sup_config_reader *r, const json_t *v, struct rel_err *e);
REL_MUST_USE int sup_config_user(struct sup_config_reader *r, const json_t *v, struct rel_err *e);
REL_MUST_USE int sup_config_capabilities(struct sup_config_reader *r, const json_t *v,
                                         struct rel_err *e);
REL_MUST_USE int sup_config_ports(struct sup_config_reader *r, const json_t *v, struct rel_err *e);
void sup_config_process_fini(struct sup_config *c);

/* Of a NULL-terminated list, NULL too. */
void sup_config_free_words(char **words);
void sup_config_swap_fini(struct sup_config *c);

#endif
