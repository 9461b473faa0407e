/* SPDX-License-Identifier: ISC */
/* What a child of a supervisor tells: one record, of less than PIPE_BUF. */
#ifndef HEIR_BENCH_PEERCHILD_H
#define HEIR_BENCH_PEERCHILD_H

#include <stdint.h>

#define PEER_CHILD_FIFO	 "PEER_CHILD_FIFO"
#define PEER_CHILD_READY "PEER_CHILD_READY"

struct peer_began {
	int64_t ns; /* CLOCK_MONOTONIC */
	int32_t pid, unused;
};

#endif
