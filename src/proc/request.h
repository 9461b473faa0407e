/* SPDX-License-Identifier: ISC */
/*
 * What processes of a domain ask of each other by direct mail (cells of kind CELL_CONTROL): the body of the
 * request and of the reply. Read as input: size, op and ranges are checked by request_valid().
 */
#ifndef HEIR_PROC_REQUEST_H
#define HEIR_PROC_REQUEST_H

#include <stdint.h>

enum request_op {
	/* to the lead worker of a node, by its leader, or by any client for REQ_TAKEOVER */
	/*
	 * begin to serve as type normal, failover or local: drives the steps; answered when serving or
	 * failed
	 */
	REQ_START = 1,
	/*
	 * take the application over; also to a leader, where the instance is cold: it spawns, then passes
	 * the request on
	 */
	REQ_TAKEOVER,
	/* to any worker */
	REQ_STOP,       /* prep_stop, stop, exit 0; the reply is sent before it exits */
	/* to a worker of another role, by the lead worker of the same node */
	REQ_CHILD_START, /* run start(type, from) */
	REQ_CHILD_PHASE, /* run start_phase(phase, type, from) */
	/* to a leader */
	/*
	 * exclusive takeover: hold, stop the instance; answered when the kernel has confirmed that it is
	 * gone
	 */
	REQ_STOP_INSTANCE,
	/* to any worker: that it answers is all; one that does not know the request says so, which will do */
	REQ_PING,
};

struct request {
	uint32_t op;
	uint32_t app;
	uint32_t type;       /* enum heir_start_type */
	uint32_t from_node;  /* node + 1, 0: none */
	uint32_t how;        /* HEIR_OVERLAP, HEIR_EXCLUSIVE, 0: as configured */
	uint32_t generation; /* of the move: the control word's when it began */
	char phase[32];
};

struct reply {
	int32_t error;       /* 0, or why not */
	uint32_t generation; /* of the move that answers, or of the winner's (EBUSY): heir_moves() has it */
	uint32_t node;       /* node + 1 of the winner (EBUSY) */
	uint32_t result;     /* enum heir_result */
	char step[32];       /* the step that failed */
};

#endif
