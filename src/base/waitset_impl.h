/* SPDX-License-Identifier: ISC */
/* What waitset.c and its two ways that keep something armed share. */
#ifndef HEIR_BASE_WAITSET_IMPL_H
#define HEIR_BASE_WAITSET_IMPL_H

#include "base/waitset.h"

/* Relative times are cut to this: the kernel adds its clock to them, and the caller waits again. */
#define WAIT_RELATIVE_MAX (INT64_MAX / 4)

/* WAIT_WORD if a word differs from what is expected, else 0. */
static inline int words_changed(const struct wait_word *words, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (atom_load_seq(words[i].word) != words[i].expected)
			return WAIT_WORD;
	return 0;
}

static inline int wait_word_same(struct wait_word a, struct wait_word b)
{
	return a.word == b.word && a.expected == b.expected;
}

/*
 * The ways. create: 0 or -errno. wait: as waitset_wait, after its checks; `seen` is what is known
 * to have happened already. disarm: WAIT_WORD if it came across a wake, 0, or -errno: then what is
 * armed is ended by destroy only. destroy ends what is armed.
 */
int uring_create(struct waitset_uring **ret);
int uring_wait(struct waitset_uring *u, const struct wait_word *words, unsigned n, int fd,
	       int64_t deadline, int seen);
int uring_disarm(struct waitset_uring *u);
void uring_destroy(struct waitset_uring *u);

int helper_create(struct waitset_helper **ret);
int helper_wait(struct waitset_helper *h, const struct wait_word *words, unsigned n, int fd,
		int64_t deadline, int seen);
int helper_disarm(struct waitset_helper *h);
void helper_destroy(struct waitset_helper *h);

#endif
