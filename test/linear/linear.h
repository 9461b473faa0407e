/* SPDX-License-Identifier: ISC */
/*
 * Whether a history is linearizable: could each operation have happened at one instant between its call and its
 * return, so that one after the other they are what the specification allows?
 *
 * The search is Wing and Gong's in Lowe's just-in-time form: it goes through calls and returns in the order of
 * time and keeps, as a set without duplicates, every configuration that is possible there: a state of the object,
 * and which of the operations under way have happened already. At a return those remain in which that operation
 * has happened, be it by letting it, and any others under way before it, happen now. None left: there is no such
 * order.
 *
 * An operation whose process died in it has no result. It may have happened, until `returned`, or never: the
 * latest moment at which it can have is when its process is known to be dead.
 *
 * Objects that are independent of each other are checked one by one (a history is linearizable if and only if each
 * of its objects is).
 */
#ifndef HEIR_TEST_LINEAR_H
#define HEIR_TEST_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct operation {
	int64_t called, returned; /* one clock for all; returned >= called */
	bool died;		  /* no result, and perhaps no effect */
	const void *what;	  /* the specification's */
};

struct specification {
	size_t size; /* of a state: plain bytes, compared as such */
	void (*begin)(void *state);
	/*
	 * The operation happens in that state, and has the result that it has (any, if it died). False: it cannot;
	 * of one that died: it has no effect there. *state may be changed in either case.
	 */
	bool (*happen)(void *state, const struct operation *op);
};

#define LINEAR_UNDER_WAY      64u /* at most, at one time */
#define LINEAR_CONFIGURATIONS (1u << 18)

enum linear_verdict { LINEAR, NOT_LINEAR, LINEAR_TOO_LARGE };

struct linear_report {
	size_t stuck;	       /* NOT_LINEAR: index of the operation that cannot have returned what it did */
	size_t configurations; /* the most at one time */
};

/* Operations are sorted by the time of their calls. */
enum linear_verdict linear_check(const struct specification *spec, const struct operation *ops, size_t count,
				 struct linear_report *ret);

#endif
