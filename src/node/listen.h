/* SPDX-License-Identifier: ISC */
/*
 * The sockets under `listen`. The first leader of a domain opens them; every other, and one that
 * comes back, gets them from a leader that has them, over an abstract socket, so that they are
 * opened once and no connection in a backlog is lost.
 */
#ifndef HEIR_NODE_LISTEN_H
#define HEIR_NODE_LISTEN_H

#include "node/leader.h"

int listen_create(struct leader *leader);
void listen_destroy(struct leader *leader);
/* Goes on with getting them. Once it cannot, leader->fatal is set, after a message. */
void listen_advance(struct leader *leader);
bool listen_ready(const struct leader *leader, uint32_t app);
/* The sockets of an application, in the order of its configuration. */
const int *listen_sockets(const struct leader *leader, uint32_t app);

#endif
