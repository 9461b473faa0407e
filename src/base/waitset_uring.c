/* SPDX-License-Identifier: ISC */
/*
 * The waitset's way by io_uring, on raw system calls: opcodes and flags that it needs are newer
 * than some distributions' headers and library.
 *
 * One request a word and one for the descriptor. Each has a tag {count:56 | place:8} that is never
 * used twice, and completes exactly once. A completion whose tag is armed nowhere means nothing: it
 * is of a request that was cancelled, or of a cancel. `stale` counts those to come, so that one
 * enter can wait past them; a cancel makes them complete at once, so waiting for them costs
 * nothing. A wake that such a completion reports is dropped: the caller asked for another value of
 * that word, or for the word no more, after it had read it.
 *
 * The ring defers its work to the thread's own enters (DEFER_TASKRUN): nothing interrupts the
 * thread, and only that thread may enter.
 */
#include <linux/io_uring.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/futex.h"
#include "base/waitset_impl.h"

#define PLACE_POLL WAITSET_WORDS_MAX
#define PLACE_CANCEL (WAITSET_WORDS_MAX + 1)

#define OP_FUTEX_WAIT 51u
#define SETUP_NO_SQARRAY (1u << 16)
#define SETUP_FLAGS                                                                         \
	(IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | \
	 IORING_SETUP_TASKRUN_FLAG | SETUP_NO_SQARRAY)
#define ENTRIES 64u
_Static_assert(ENTRIES >= 2 * (WAITSET_WORDS_MAX + 1) + 1, "a turn's requests fit");

struct armed {
	struct wait_word at;
	uint64_t tag; /* 0: not armed */
};

struct waitset_uring {
	int fd;
	uint32_t sq_mask, cq_mask;
	uint32_t queued; /* requests filled in since the last enter */
	uint32_t stale;
	atom32 *sq_tail, *sq_flags, *cq_head, *cq_tail;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	void *rings;
	size_t sqes_size, rings_size;
	uint64_t tags;     /* the last one given out */
	uint64_t poll_tag; /* 0: not armed */
	int poll_fd;
	struct armed armed[WAITSET_WORDS_MAX];
};

static int has_futex(int fd)
{
	enum { OPS = 64 };
	struct io_uring_probe *p = calloc(1, sizeof(*p) + OPS * sizeof(p->ops[0]));
	int has = 0;

	if (!p)
		return 0;
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_PROBE, p, OPS) == 0)
		has = p->ops_len > OP_FUTEX_WAIT &&
		      (p->ops[OP_FUTEX_WAIT].flags & IO_URING_OP_SUPPORTED);
	free(p);
	return has;
}

static void *map(int fd, size_t size, off_t what)
{
	int flags = MAP_SHARED | MAP_POPULATE;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, what);

	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, size, MADV_DONTFORK);
	return p;
}

static int open_ring(struct waitset_uring *u)
{
	struct io_uring_params p = {.flags = SETUP_FLAGS};
	unsigned char *m;

	u->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &p);
	if (u->fd < 0)
		return -errno;
	if (!(p.features & IORING_FEAT_SINGLE_MMAP) || !(p.features & IORING_FEAT_EXT_ARG))
		return -ENOSYS;
	if (!has_futex(u->fd))
		return -ENOSYS;
	u->rings_size = p.cq_off.cqes + p.cq_entries * sizeof(u->cqes[0]);
	u->sqes_size = p.sq_entries * sizeof(u->sqes[0]);
	u->rings = m = map(u->fd, u->rings_size, IORING_OFF_SQ_RING);
	u->sqes = map(u->fd, u->sqes_size, IORING_OFF_SQES);
	if (!u->rings || !u->sqes)
		return -ENOMEM;
	u->sq_mask = *(uint32_t *)(void *)(m + p.sq_off.ring_mask);
	u->cq_mask = *(uint32_t *)(void *)(m + p.cq_off.ring_mask);
	u->sq_tail = (void *)(m + p.sq_off.tail);
	u->sq_flags = (void *)(m + p.sq_off.flags);
	u->cq_head = (void *)(m + p.cq_off.head);
	u->cq_tail = (void *)(m + p.cq_off.tail);
	u->cqes = (void *)(m + p.cq_off.cqes);
	return 0;
}

static void close_ring(struct waitset_uring *u)
{
	if (u->sqes)
		munmap(u->sqes, u->sqes_size);
	if (u->rings)
		munmap(u->rings, u->rings_size);
	if (u->fd >= 0)
		close(u->fd);
	free(u);
}

int uring_create(struct waitset_uring **ret)
{
	struct waitset_uring *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return -ENOMEM;
	rc = open_ring(u);
	if (rc) {
		close_ring(u);
		return rc;
	}
	*ret = u;
	return 0;
}

/* The tail is this thread's; the kernel has taken all before it, as no turn begins otherwise. */
static void queue(struct waitset_uring *u, struct io_uring_sqe sqe)
{
	uint32_t tail = atom_load_relaxed(u->sq_tail);

	u->sqes[tail & u->sq_mask] = sqe;
	atom_store_release(u->sq_tail, tail + 1); /* pairs with the kernel's load in enter */
	u->queued++;
}

/* Submits what is queued, then waits for so many completions or `left` ns. 0 or -errno. */
static int enter(struct waitset_uring *u, unsigned completions, int64_t left)
{
	const unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
	struct timespec ts;
	struct io_uring_getevents_arg arg = {
		.ts = (uintptr_t)deadline_timespec(left, &ts),
	};
	long rc = syscall(SYS_io_uring_enter, u->fd, u->queued, completions, flags, &arg,
			  sizeof(arg));

	if (rc < 0)
		return -errno;
	u->queued -= (uint32_t)rc;
	return 0;
}

/* All that is queued is with the kernel after this, or an error. */
static int flush(struct waitset_uring *u)
{
	int rc = 0;

	while (u->queued && (rc == 0 || rc == -EINTR))
		rc = enter(u, 0, 0);
	return u->queued ? rc : 0;
}

static uint64_t next_tag(struct waitset_uring *u, unsigned place)
{
	return ++u->tags << 8 | place;
}

static void cancel(struct waitset_uring *u, uint64_t *tag)
{
	queue(u, (struct io_uring_sqe){
		.opcode = IORING_OP_ASYNC_CANCEL,
		.fd = -1,
		.addr = *tag,
		.user_data = next_tag(u, PLACE_CANCEL),
	});
	u->stale += 2;
	*tag = 0;
}

static void arm_poll(struct waitset_uring *u, int fd)
{
	if (u->poll_tag && u->poll_fd != fd)
		cancel(u, &u->poll_tag);
	if (u->poll_tag || fd < 0)
		return;
	u->poll_fd = fd;
	u->poll_tag = next_tag(u, PLACE_POLL);
	queue(u, (struct io_uring_sqe){
		.opcode = IORING_OP_POLL_ADD,
		.fd = fd,
		.poll32_events = POLLIN,
		.user_data = u->poll_tag,
	});
}

static void arm_word(struct waitset_uring *u, struct wait_word at)
{
	unsigned i = 0;

	while (u->armed[i].tag)
		i++;
	u->armed[i] = (struct armed){.at = at, .tag = next_tag(u, i)};
	queue(u, (struct io_uring_sqe){
		.opcode = OP_FUTEX_WAIT,
		.fd = FUTEX_32,
		.addr = (uintptr_t)at.word,
		.off = at.expected,
		.addr3 = FUTEX_BITSET_MATCH_ANY,
		.user_data = u->armed[i].tag,
	});
}

/* What is armed and not wanted is cancelled first: then there is a place for all that is wanted. */
static void arm_words(struct waitset_uring *u, const struct wait_word *words, unsigned n)
{
	uint32_t have = 0;

	for (unsigned i = 0; i < WAITSET_WORDS_MAX; i++) {
		unsigned j = 0;

		if (!u->armed[i].tag)
			continue;
		while (j < n && (have & 1u << j || !wait_word_same(words[j], u->armed[i].at)))
			j++;
		if (j == n)
			cancel(u, &u->armed[i].tag);
		else
			have |= 1u << j;
	}
	for (unsigned j = 0; j < n; j++)
		if (!(have & 1u << j))
			arm_word(u, words[j]);
}

static int completed(struct waitset_uring *u, uint64_t tag, int result)
{
	unsigned place = tag & 0xff;

	if (place < WAITSET_WORDS_MAX && u->armed[place].tag == tag) {
		u->armed[place].tag = 0;
		if (result == 0 || result == -EAGAIN)
			return WAIT_WORD;
		return result == -ECANCELED ? 0 : result;
	}
	if (u->poll_tag == tag) {
		u->poll_tag = 0;
		if (result >= 0)
			return WAIT_FD;
		return result == -ECANCELED ? 0 : result;
	}
	u->stale--;
	return 0;
}

/* Takes all completions that are there. WAIT_… bits, or the first error. */
static int reap(struct waitset_uring *u)
{
	uint32_t head = atom_load_relaxed(u->cq_head);
	uint32_t tail = atom_load_acquire(u->cq_tail); /* pairs with the kernel's release */
	int seen = 0, error = 0;

	for (; head != tail; head++) {
		const struct io_uring_cqe *cqe = &u->cqes[head & u->cq_mask];
		int rc = completed(u, cqe->user_data, cqe->res);

		if (rc > 0)
			seen |= rc;
		else if (!error)
			error = rc;
	}
	atom_store_release(u->cq_head, head); /* the kernel may fill them again */
	return error ? error : seen;
}

/* No system call where the descriptor's poll is armed and the ring has no work for this thread. */
static int look(struct waitset_uring *u, int seen)
{
	int rc;

	if (u->queued || (atom_load_relaxed(u->sq_flags) & IORING_SQ_TASKRUN)) {
		rc = enter(u, 0, 0);
		if (rc < 0 && rc != -EINTR)
			return rc;
	}
	rc = reap(u);
	return rc < 0 ? rc : rc | seen;
}

int uring_wait(struct waitset_uring *u, const struct wait_word *words, unsigned n, int fd,
	       int64_t deadline, int seen)
{
	int rc = 0;

	for (;;) {
		int64_t left = deadline_left(deadline);

		if (rc < 0 && rc != -EINTR && rc != -ETIME)
			return rc;
		rc = flush(u);
		if (rc == 0)
			rc = reap(u);
		if (rc < 0)
			return rc;
		seen |= rc;
		arm_poll(u, fd);
		if (seen || left == 0)
			return look(u, seen);
		arm_words(u, words, n);
		rc = enter(u, u->stale + 1, left < WAIT_RELATIVE_MAX ? left : WAIT_RELATIVE_MAX);
	}
}

/* The cancel has taken the waits off their words when enter returns; else they have completed. */
int uring_disarm(struct waitset_uring *u)
{
	int rc = flush(u), seen;

	if (rc)
		return rc;
	queue(u, (struct io_uring_sqe){
		.opcode = IORING_OP_ASYNC_CANCEL,
		.fd = -1,
		.cancel_flags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY,
		.user_data = next_tag(u, PLACE_CANCEL),
	});
	u->stale++;
	rc = flush(u);
	if (rc)
		return rc;
	seen = reap(u);
	for (unsigned i = 0; i < WAITSET_WORDS_MAX; i++) {
		u->stale += u->armed[i].tag != 0;
		u->armed[i].tag = 0;
	}
	u->stale += u->poll_tag != 0;
	u->poll_tag = 0;
	return seen > 0 ? seen & WAIT_WORD : 0;
}

/* Closing the ring would cancel as well, but some time later. */
void uring_destroy(struct waitset_uring *u)
{
	(void)uring_disarm(u);
	close_ring(u);
}
