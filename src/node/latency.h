/* SPDX-License-Identifier: ISC */
/* What a leader does for `low_latency:` that its workers cannot do, or that should be said once. */
#ifndef HEIR_NODE_LATENCY_H
#define HEIR_NODE_LATENCY_H

#include "node/leader.h"

/*
 * Holds the kernel's /dev/cpu_dma_latency until the descriptor is closed: processors then wake from no deeper sleep
 * than that. Returns it, or -1 where the configuration asks for none or it cannot be had; then the log says so. Also
 * says where workers may not lock as much memory as they will want to.
 */
int latency_hold(const struct conf *conf, const struct shm *shm);

#endif
