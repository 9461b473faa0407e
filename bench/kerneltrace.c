/* SPDX-License-Identifier: ISC */
#include "bench/kerneltrace.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HEIR_BENCH_TRACEFS
#include <event-parse.h>
#include <tracefs.h>

static const struct source {
	const char *system, *event, *pid;
	enum kernel_what what;
} sources[] = {
	{"signal", "signal_generate", "pid", KERNEL_SIGNAL},
	{"sched", "sched_waking", "pid", KERNEL_WAKE},
	{"sched", "sched_switch", "next_pid", KERNEL_RUN},
	{"sched", "sched_process_exit", "pid", KERNEL_EXIT},
};

#define SOURCES (sizeof(sources) / sizeof(sources[0]))

struct kerneltrace {
	struct tracefs_instance *instance;
	struct tep_handle *formats;
	struct kernel_event *event;
	size_t count, room;
	int error;
};

int kerneltrace_open(struct kerneltrace **ret)
{
	static const char *const systems[] = {"sched", "signal", NULL};
	struct kerneltrace *t = calloc(1, sizeof(*t));
	char name[64];

	if (!t)
		return -ENOMEM;
	tracefs_set_loglevel(TEP_LOG_NONE);
	snprintf(name, sizeof(name), "heir-bench-%d", (int)getpid());
	t->instance = tracefs_instance_create(name);
	t->formats = t->instance ? tracefs_local_events_system(NULL, systems) : NULL;
	if (!t->formats || tracefs_trace_off(t->instance) < 0 ||
	    tracefs_instance_file_write(t->instance, "trace_clock", "mono") < 0)
		goto fail;
	for (size_t i = 0; i < SOURCES; i++)
		if (tracefs_event_enable(t->instance, sources[i].system, sources[i].event) < 0)
			goto fail;
	*ret = t;
	return 0;
fail:
	kerneltrace_close(t);
	return -EACCES;
}

int kerneltrace_start(struct kerneltrace *t)
{
	t->count = 0;
	t->error = 0;
	if (tracefs_instance_file_write(t->instance, "trace", "") < 0 || tracefs_trace_on(t->instance) < 0)
		return -EIO;
	return 0;
}

static void keep(struct kerneltrace *t, struct kernel_event event)
{
	if (t->count == t->room) {
		size_t room = t->room ? 2 * t->room : 1024;
		struct kernel_event *grown = reallocarray(t->event, room, sizeof(*grown));

		if (!grown) {
			t->error = -ENOMEM;
			return;
		}
		t->event = grown;
		t->room = room;
	}
	t->event[t->count++] = event;
}

static int take(struct tep_event *event, struct tep_record *record, int cpu, void *arg)
{
	struct kerneltrace *t = arg;
	unsigned long long pid, by, number;

	(void)cpu;
	for (size_t i = 0; i < SOURCES; i++) {
		const struct source *s = &sources[i];

		if (strcmp(event->name, s->event) != 0)
			continue;
		if (tep_get_field_val(NULL, event, s->pid, record, &pid, 0) < 0 ||
		    tep_get_common_field_val(NULL, event, "common_pid", record, &by, 0) < 0)
			continue;
		if (s->what == KERNEL_SIGNAL &&
		    (tep_get_field_val(NULL, event, "sig", record, &number, 0) < 0 || number != SIGKILL))
			continue;
		keep(t, (struct kernel_event){(int64_t)record->ts, s->what, (pid_t)pid, (pid_t)by});
	}
	return t->error;
}

static int by_time(const void *a, const void *b)
{
	const struct kernel_event *x = a, *y = b;

	return (x->ns > y->ns) - (x->ns < y->ns);
}

int kerneltrace_stop(struct kerneltrace *t, const struct kernel_event **ret, size_t *ret_count)
{
	if (tracefs_trace_off(t->instance) < 0)
		return -EIO;
	if (tracefs_iterate_raw_events(t->formats, t->instance, NULL, 0, take, t) < 0 || t->error)
		return t->error ? t->error : -EIO;
	qsort(t->event, t->count, sizeof(t->event[0]), by_time);
	*ret = t->event;
	*ret_count = t->count;
	return 0;
}

void kerneltrace_close(struct kerneltrace *t)
{
	if (!t)
		return;
	if (t->formats)
		tep_free(t->formats);
	if (t->instance) {
		tracefs_instance_destroy(t->instance);
		tracefs_instance_free(t->instance);
	}
	free(t->event);
	free(t);
}

#else

int kerneltrace_open(struct kerneltrace **ret)
{
	(void)ret;
	return -ENOSYS;
}

int kerneltrace_start(struct kerneltrace *t)
{
	(void)t;
	return -ENOSYS;
}

int kerneltrace_stop(struct kerneltrace *t, const struct kernel_event **ret, size_t *ret_count)
{
	(void)t;
	(void)ret;
	(void)ret_count;
	return -ENOSYS;
}

void kerneltrace_close(struct kerneltrace *t)
{
	(void)t;
}
#endif
