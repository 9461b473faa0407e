/* SPDX-License-Identifier: ISC */
/*
 * The worker of the measurements. It answers with its pid, registers names, fills its state, and
 * measures what only an owner can: transactions and changes of its names, outside of a handler's
 * own transaction, so these are asked of NAME@NODE.
 */
#include "bench/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct bench_worker {
	size_t resident;
	bool is_spinning, is_bare;
	int64_t main_ns;
	int cpu;
	struct share *share;
	char *reply;
};

static int touch(heir_t *h, void *arg)
{
	struct bench_worker *w = arg;

	w->reply = calloc(1, heir_message_max(h));
	if (!w->reply)
		return -ENOMEM;
	return w->resident == 0 || barelimit_touch(w->resident) ? 0 : -ENOMEM;
}

static int register_names(heir_t *h, struct ask a)
{
	char name[32];
	int error = 0;

	for (uint64_t i = a.at; i < a.at + a.count && !error; i++) {
		snprintf(name, sizeof(name), "name-%" PRIu64, i);
		error = heir_register(h, name, HEIR_ROLE);
	}
	return error;
}

static int fill(heir_t *h, struct ask a)
{
	size_t size;
	char *state = heir_state(h, &size);
	int error;

	if (!state || a.at + a.count > size)
		return HEIR_EINVAL;
	error = heir_mark(h, state + a.at, a.count);
	if (!error)
		memset(state + a.at, 1, a.count);
	return error;
}

/*
 * A pair of CASes on a word of one's own, as begin and commit are a pair on the control word; taken in
 * turns with them. Both less what an empty sample costs.
 */
static int transactions(heir_t *h, struct share *s, struct ask a)
{
	static _Alignas(64) _Atomic uint64_t control;
	double ps = bench_ps_per_tick();
	char *state = heir_state(h, NULL);
	uint64_t t, empty = UINT64_MAX;
	int error = 0;

	if (a.at && !state)
		return HEIR_EINVAL;
	for (uint32_t i = 0; i < a.count; i++) {
		t = bench_ticks();
		t = bench_ticks() - t;
		empty = t < empty ? t : empty;
	}
	for (uint32_t i = 0; i < a.count && i < SHARE_SAMPLES && !error; i++) {
		uint64_t old = atomic_load(&control);

		t = bench_ticks();
		error = heir_begin(h);
		if (a.at)
			heir_mark(h, state, a.at);
		error = error ? error : heir_commit(h);
		s->heir[i] = (int64_t)((double)(bench_ticks() - t - empty) * ps);
		t = bench_ticks();
		atomic_compare_exchange_strong(&control, &old, old | 1);
		old |= 1;
		atomic_compare_exchange_strong(&control, &old, old + 1);
		s->limit[i] = (int64_t)((double)(bench_ticks() - t - empty) * ps);
	}
	atomic_thread_fence(memory_order_seq_cst);
	s->count = a.count < SHARE_SAMPLES ? a.count : SHARE_SAMPLES;
	return error;
}

/* at: 0 register, 1 re_register, 2 unregister; each of a name of its own. */
static int changes(heir_t *h, struct share *s, struct ask a)
{
	double ps = bench_ps_per_tick();
	char name[32];
	int error = 0;

	for (uint32_t i = 0; i < a.count && i < SHARE_SAMPLES && !error; i++) {
		uint64_t t;

		snprintf(name, sizeof(name), "change-%u", i);
		t = bench_ticks();
		error = a.at == 0   ? heir_register(h, name, HEIR_ROLE)
			: a.at == 1 ? heir_re_register(h, name, HEIR_ROLE)
				    : heir_unregister(h, name);
		s->heir[i] = (int64_t)((double)(bench_ticks() - t) * ps);
	}
	s->count = a.count < SHARE_SAMPLES ? a.count : SHARE_SAMPLES;
	return error;
}

static void note(struct share *s, struct ask a)
{
	histogram_add(&s->delay, measure_now() - (int64_t)a.at);
	atomic_fetch_add(&s->received, 1);
}

static int handle(heir_t *h, const struct heir_message *message, void *arg)
{
	struct bench_worker *w = arg;
	struct ask a = {0};
	pid_t pid = getpid();
	int error = 0;

	memcpy(&a, message->data, message->size < sizeof(a) ? message->size : sizeof(a));
	switch (a.op) {
	case ASK_ECHO:
		memcpy(w->reply, message->data, message->size);
		return heir_reply(h, w->reply, message->size);
	case ASK_REGISTER:
		error = register_names(h, a);
		break;
	case ASK_FILL:
		error = fill(h, a);
		break;
	case ASK_TRANSACTIONS:
		error = w->share ? transactions(h, w->share, a) : HEIR_EINVAL;
		break;
	case ASK_CHANGES:
		error = w->share ? changes(h, w->share, a) : HEIR_EINVAL;
		break;
	case ASK_PIN:
		barelimit_pin((int)a.at);
		break;
	case ASK_NOTE:
		if (w->share)
			note(w->share, a);
		return 0;
	default:
		break;
	}
	return error ? error : heir_reply(h, &pid, sizeof(pid));
}

static int serve(heir_t *h, bool spin)
{
	int rc;

	if (!spin)
		return heir_serve(h);
	while ((rc = heir_poll(h, 0)) == 1)
		barelimit_relax();
	return rc;
}

static struct share *share_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct share *share;

	if (fd < 0)
		return NULL;
	share = mmap(NULL, sizeof(*share), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return share == MAP_FAILED ? NULL : share;
}

static void read_word(const char *word, int64_t now, struct bench_worker *w)
{
	if (!strncmp(word, "resident=", 9)) {
		w->resident = strtoull(word + 9, NULL, 10);
	} else if (!strncmp(word, "cpu=", 4)) {
		barelimit_pin(atoi(word + 4));
	} else if (!strcmp(word, "core=1")) {
		barelimit_allow_core(true);
	} else if (!strcmp(word, "spin=1")) {
		w->is_spinning = true;
	} else if (!strncmp(word, "share=", 6) && (w->share = share_map(word + 6))) {
		w->main_ns = now;
	} else if (!strcmp(word, "bare=1")) {
		w->is_bare = true;
	}
}

int worker_main(int argc, char **argv)
{
	static const struct heir_worker worker = {
		.size = sizeof(worker), .version = 1, .init = touch, .handle = handle};
	struct bench_worker w = {0};
	int64_t now = measure_now();
	heir_t *h;
	int error;

	for (int i = 0; i < argc; i++)
		read_word(argv[i], now, &w);
	if (w.is_bare && w.share)
		child_sleep(&w.share->child, now, true);
	if (w.share)
		child_tell(&w.share->child, now);
	error = heir_worker_open(&worker, &w, &h);
	if (!error) {
		error = serve(h, w.is_spinning);
		heir_close(h);
	}
	if (error)
		fprintf(stderr, "heir-bench worker: %s\n", heir_strerror(error));
	return error ? 1 : 0;
}
