/* SPDX-License-Identifier: ISC */
/*
 * The library as the verbs see it, with canned answers: a test fills `fake`, runs a command line in
 * this process and compares what it printed. No segment and no domain are touched.
 */
#ifndef HEIR_TEST_FAKE_CLIENT_H
#define HEIR_TEST_FAKE_CLIENT_H

#include "cmd/cmd.h"

struct fake_name {
	const char *name;
	struct heir_where where;
};

struct fake {
	/* answers */
	int open_error, status_error, call_error, send_error, takeover_error, moves_error;
	int reopen_error; /* of every heir_open after the first */
	struct heir_status status;
	struct fake_name name[8];
	size_t names;
	struct heir_move move[4];
	size_t moves;
	int refusal_error, check_error;
	struct heir_finding finding[4];
	size_t findings;
	struct heir_check check;
	const char *reply;
	size_t reply_size;
	int (*call_start)(const char *name); /* NULL: 0 */
	int (*call)(const char *name);       /* likewise */
	void (*changed)(void);               /* in heir_wait_change; NULL: time out at once */
	/* what was asked */
	int opened, closed;
	unsigned open_flags, how;
	char domain[64], sent_to[256], sent[256];
	size_t sent_size;
	int64_t timeout;
	int waits;
};

extern struct fake fake;

/* Everything as after `heir up` with two applications: kv on node a with a standby on b, log down.
 */
void fake_reset(void);

struct run {
	int status;
	char *out, *error;
};

/* heir ARGUMENTS... with UTF-8 or ASCII output; input is standard input. End it with run_free. */
struct run run_heir(bool utf8, const char *input, const char *const *arguments);
void run_free(struct run *run);

#define ARGUMENTS(...) ((const char *const[]){"heir", __VA_ARGS__, NULL})
#define RUN(...) run_heir(true, "", ARGUMENTS(__VA_ARGS__))

/* Run, compare everything, end. */
#define EXPECT(want_status, want_out, want_error, ...) \
	do { \
		struct run run_ = RUN(__VA_ARGS__); \
		assert_string_equal(run_.error, want_error); \
		assert_string_equal(run_.out, want_out); \
		assert_int_equal(run_.status, want_status); \
		assert_int_equal(fake.opened, fake.closed); \
		run_free(&run_); \
	} while (0)

#endif
