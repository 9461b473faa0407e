/* SPDX-License-Identifier: ISC */
/* What families share: rows, complaints, processors, time stamps. */
#include "bench/bench.h"

#include "bench/barelimit.h"

#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CALIBRATE_NS 20000000

struct row *bench_row(struct bench *bench, const char *family, enum unit unit, const char *wait)
{
	struct row *row;

	if (bench->rows == BENCH_ROWS_MAX) {
		bench_say("more than %d rows", BENCH_ROWS_MAX);
		abort();
	}
	row = &bench->row[bench->rows++];
	*row = (struct row){.family = family, .axis = "", .unit = unit, .wait = wait};
	return row;
}

bool bench_complain(const char *what, int error)
{
	return bench_say("%s: %s", what, heir_strerror(error));
}

bool bench_say(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fputs("heir-bench: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return false;
}

bool bench_has_memory(size_t needed, size_t shared)
{
	char line[128];
	size_t available = 0;
	struct statvfs vfs;
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %zu", &available) == 1)
			break;
	if (file)
		fclose(file);
	if (statvfs("/dev/shm", &vfs) < 0)
		return false;
	return available << 10 >= needed + needed / 8 &&
	       (shared == 0 || (size_t)vfs.f_bavail * vfs.f_frsize >= shared);
}

/* The n-th processor that this process may use, from the first again after the last. */
static int nth_cpu(int n)
{
	static cpu_set_t set; /* as it was at first: this process may be moved later */

	if (CPU_COUNT(&set) == 0 && (sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) == 0))
		return -1;
	n %= CPU_COUNT(&set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((unsigned)cpu, &set) && n-- == 0)
			return cpu;
	return -1;
}

int bench_cpu(const struct bench *bench, enum part part)
{
	return bench->is_pinned ? nth_cpu((int)part) : -1;
}

int bench_other_cpu(int n)
{
	return nth_cpu(n);
}

unsigned bench_rounds(const struct bench *bench, unsigned full, unsigned quick)
{
	return bench->is_quick ? quick : full;
}

uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
	unsigned cpu;
	uint64_t t = __builtin_ia32_rdtscp(&cpu);

	__builtin_ia32_lfence();
	return t;
#else
	return (uint64_t)measure_now();
#endif
}

double bench_ps_per_tick(void)
{
	static double ps;
	int64_t from;
	uint64_t t;

	if (ps > 0)
		return ps;
	from = measure_now();
	t = bench_ticks();
	while (measure_now() - from < CALIBRATE_NS)
		barelimit_relax();
	t = bench_ticks() - t;
	ps = 1000.0 * (double)(measure_now() - from) / (double)t;
	return ps;
}

uint32_t bench_draw(uint64_t *seed, uint32_t below)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)((*seed >> 32) * below >> 32);
}

double unit_value(enum unit unit, int64_t kept)
{
	return unit == UNIT_US || unit == UNIT_NS ? (double)kept / 1000 : (double)kept;
}

const char *unit_name(enum unit unit)
{
	static const char *const names[] = {"us", "ns", "bytes", "count"};

	return names[unit];
}

struct spread row_heir(struct row *row)
{
	return row->heir.count ? samples_spread(&row->heir) : row->heir_given;
}

struct spread row_limit(struct row *row)
{
	return row->limit.count ? samples_spread(&row->limit) : row->limit_given;
}

double row_ratio(struct row *row)
{
	struct spread heir = row_heir(row), limit = row_limit(row);

	return row->is_at_least ? spread_ratio(&limit, &heir) : spread_ratio(&heir, &limit);
}

bool row_is_met(struct row *row)
{
	double ratio = row_ratio(row);

	return ratio > 0 && (row->is_at_least ? ratio >= row->goal : ratio <= row->goal);
}
