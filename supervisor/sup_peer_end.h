/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a peer, for sup_peer.c: its VM's, and then that of all it started. */
#ifndef SUP_PEER_END_H
#define SUP_PEER_END_H

#include "supervisor/sup_peer.h"

/* Its owner is told once all is over. */
void sup_peer_watch(uv_loop_t *loop, struct sup_peer *peer);

#endif
