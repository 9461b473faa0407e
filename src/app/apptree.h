/* SPDX-License-Identifier: ISC */
/*
 * Supervisors: what is restarted when a child dies, and when a supervisor has had enough. Pure:
 * times are given in.
 *
 * The workers of an application are numbered in start order, over the whole tree; so what one
 * supervisor has under it is a range of them, and so is what is restarted together. A supervisor
 * that gives up dies as a child of the one above it; when the one at the top gives up, the instance
 * does.
 */
#ifndef HEIR_APP_APPTREE_H
#define HEIR_APP_APPTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tree_strategy { TREE_ONE_FOR_ONE, TREE_ONE_FOR_ALL, TREE_REST_FOR_ONE };
enum tree_restart { TREE_PERMANENT, TREE_TRANSIENT, TREE_TEMPORARY };

struct tree_supervisor {
	int above; /* index; -1: the top, which is index 0 */
	enum tree_strategy strategy;
	enum tree_restart restart; /* of it as a child */
	uint32_t intensity;
	int64_t period;
	uint32_t first, end; /* the workers under it */
	uint32_t count;
	int64_t *times; /* of the last restarts, intensity + 1 of them */
};

struct tree_worker {
	uint32_t above;
	enum tree_restart restart;
};

struct tree {
	struct tree_supervisor *supervisors;
	struct tree_worker *workers;
	uint32_t supervisor_count, worker_count;
};

enum tree_verdict { TREE_RESTART, TREE_LEAVE, TREE_GIVE_UP };

/* A worker has died; normally: with status 0. TREE_RESTART: the workers from *ret_first to before
 * *ret_end. */
enum tree_verdict tree_died(struct tree *tree, uint32_t worker, bool normally, int64_t now,
                            uint32_t *ret_first, uint32_t *ret_end);
/* Forget the restarts so far. */
void tree_forget(struct tree *tree);

#endif
