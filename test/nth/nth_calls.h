/* SPDX-License-Identifier: ISC */
/* The system calls that are made to fail, and the errors that their pages list and a healthy program may meet. */
#ifndef HEIR_TEST_NTH_CALLS_H
#define HEIR_TEST_NTH_CALLS_H

#define NTH_ERRORS_MAX 4

struct nth_call {
	int number;
	const char *name;
	int error[NTH_ERRORS_MAX]; /* until 0 */
};

extern const struct nth_call nth_calls[];
extern const unsigned nth_calls_count;

/* NULL: none of these. */
const struct nth_call *nth_call_by_number(int number);
const struct nth_call *nth_call_by_name(const char *name);
const char *nth_error_name(int error);
int nth_error_by_name(const char *name); /* 0: none */

#endif
