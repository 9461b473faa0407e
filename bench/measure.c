/* SPDX-License-Identifier: ISC */
#include "bench/measure.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define CELL_BITS 5 /* 32 cells for each power of two */
#define IDLE_STATES_MAX 16
#define CPUIDLE "/sys/devices/system/cpu/"

int64_t measure_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void samples_init(struct samples *samples)
{
	*samples = (struct samples){0};
}

int samples_add(struct samples *samples, int64_t ns)
{
	size_t room = samples->room ? samples->room * 2 : 64;
	int64_t *grown;

	if (samples->count == samples->room) {
		grown = reallocarray(samples->ns, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		samples->ns = grown;
		samples->room = room;
	}
	samples->ns[samples->count++] = ns;
	return 0;
}

int samples_copy(struct samples *to, const struct samples *from)
{
	int error = 0;

	for (size_t i = 0; i < from->count && !error; i++)
		error = samples_add(to, from->ns[i]);
	return error;
}

void samples_finish(struct samples *samples)
{
	free(samples->ns);
	*samples = (struct samples){0};
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Of 1 … count: the least rank that has at least that share at or below it. */
static size_t nearest_rank_of(size_t count, size_t part, size_t whole)
{
	size_t rank = (count * part + whole - 1) / whole;

	return rank ? rank : 1;
}

static size_t nearest_rank(size_t count, size_t percent)
{
	return nearest_rank_of(count, percent, 100);
}

struct spread samples_spread(struct samples *samples)
{
	size_t n = samples->count;

	if (n == 0)
		return (struct spread){0};
	qsort(samples->ns, n, sizeof(samples->ns[0]), compare);
	return (struct spread){
		.count = n,
		.p50 = samples->ns[nearest_rank(n, 50) - 1],
		.p90 = samples->ns[nearest_rank(n, 90) - 1],
		.p99 = samples->ns[nearest_rank(n, 99) - 1],
		.p999 = samples->ns[nearest_rank_of(n, 999, 1000) - 1],
		.max = samples->ns[n - 1],
	};
}

double spread_ratio(const struct spread *measured, const struct spread *limit)
{
	if (measured->count == 0 || limit->count == 0 || limit->p50 <= 0)
		return 0;
	return (double)measured->p50 / (double)limit->p50;
}

static unsigned cell_of(uint64_t value)
{
	unsigned shift = 0;

	if (value >= 1u << CELL_BITS)
		shift = 63 - (unsigned)__builtin_clzll(value) - CELL_BITS;
	return (shift << CELL_BITS) + (unsigned)(value >> shift);
}

int64_t histogram_value(unsigned cell)
{
	unsigned shift = cell >> CELL_BITS;
	uint64_t low = cell;

	if (shift > 0) {
		shift--;
		low = (uint64_t)((cell & ((1u << CELL_BITS) - 1)) + (1u << CELL_BITS));
	}
	return (int64_t)(((low + 1) << shift) - 1);
}

void histogram_add(struct histogram *histogram, int64_t ns)
{
	if (ns < 0)
		ns = 0;
	histogram->cell[cell_of((uint64_t)ns)]++;
	if (ns > histogram->max)
		histogram->max = ns;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
	for (unsigned i = 0; i < HISTOGRAM_CELLS; i++)
		histogram->cell[i] += other->cell[i];
	if (other->max > histogram->max)
		histogram->max = other->max;
}

static int64_t histogram_rank(const struct histogram *histogram, uint64_t rank)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < HISTOGRAM_CELLS; i++) {
		sum += histogram->cell[i];
		if (sum >= rank)
			return histogram_value(i) < histogram->max ? histogram_value(i) : histogram->max;
	}
	return histogram->max;
}

struct spread histogram_spread(const struct histogram *histogram)
{
	struct spread spread = {.max = histogram->max};

	for (unsigned i = 0; i < HISTOGRAM_CELLS; i++)
		spread.count += histogram->cell[i];
	if (spread.count == 0)
		return spread;
	spread.p50 = histogram_rank(histogram, nearest_rank(spread.count, 50));
	spread.p90 = histogram_rank(histogram, nearest_rank(spread.count, 90));
	spread.p99 = histogram_rank(histogram, nearest_rank(spread.count, 99));
	spread.p999 = histogram_rank(histogram, nearest_rank_of(spread.count, 999, 1000));
	return spread;
}

void histogram_print(const struct histogram *histogram, double unit, FILE *file)
{
	uint64_t total = histogram_spread(histogram).count, sum = 0;
	double percentile;

	fprintf(file, "%12s %15s %11s %15s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
	for (unsigned i = 0; i < HISTOGRAM_CELLS; i++) {
		int64_t value = histogram_value(i);

		if (!histogram->cell[i])
			continue;
		sum += histogram->cell[i];
		if (sum == total || value > histogram->max)
			value = histogram->max;
		percentile = (double)sum / (double)total;
		fprintf(file, "%12.3f %15.12f %11" PRIu64, (double)value / unit, percentile, sum);
		if (sum < total)
			fprintf(file, " %15.2f\n", 1 / (1 - percentile));
		else
			fprintf(file, " %15s\n", "inf");
	}
	fprintf(file, "#[Max = %.3f, Total count = %" PRIu64 "]\n", (double)histogram->max / unit, total);
}

/* The first line of a file, or "". */
static void first_line(const char *path, char *buffer, size_t size)
{
	FILE *file = fopen(path, "re");

	buffer[0] = '\0';
	if (!file)
		return;
	if (fgets(buffer, (int)size, file))
		buffer[strcspn(buffer, "\n")] = '\0';
	fclose(file);
}

/* What /proc/cpuinfo says behind "key : ", once. */
static void cpuinfo(const char *key, char *buffer, size_t size)
{
	char line[4096];
	FILE *file = fopen("/proc/cpuinfo", "re");
	const char *value;

	buffer[0] = '\0';
	if (!file)
		return;
	while (!buffer[0] && fgets(line, sizeof(line), file)) {
		value = strchr(line, ':');
		if (strncmp(line, key, strlen(key)) != 0 || !value)
			continue;
		value += 1 + strspn(value + 1, " \t");
		snprintf(buffer, size, "%.*s", (int)strcspn(value, "\n"), value);
	}
	fclose(file);
}

static void read_processor(struct machine *machine, const struct utsname *name)
{
	cpuinfo("model name", machine->processor, sizeof(machine->processor));
	if (!machine->processor[0])
		cpuinfo("CPU part", machine->processor, sizeof(machine->processor));
	if (!machine->processor[0])
		snprintf(machine->processor, sizeof(machine->processor), "%s processor",
			name->machine);
}

static int cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* The states of processor 0 that are not switched off, the lightest first. */
static void read_states(char *buffer, size_t size)
{
	char path[128], name[32], off[8];
	size_t used = 0;

	buffer[0] = '\0';
	for (int i = 0; i < IDLE_STATES_MAX && used < size; i++) {
		snprintf(path, sizeof(path), CPUIDLE "cpu0/cpuidle/state%d/name", i);
		first_line(path, name, sizeof(name));
		snprintf(path, sizeof(path), CPUIDLE "cpu0/cpuidle/state%d/disable", i);
		first_line(path, off, sizeof(off));
		if (name[0] && strcmp(off, "1") != 0)
			used += (size_t)snprintf(
				buffer + used, size - used, "%s%s", used ? " " : "", name);
	}
}

static void read_idle(struct machine *machine)
{
	char driver[32], governor[32], states[64], latency[32] = "";
	int32_t limit;
	FILE *file = fopen("/dev/cpu_dma_latency", "re");

	first_line(CPUIDLE "cpuidle/current_driver", driver, sizeof(driver));
	first_line(CPUIDLE "cpuidle/current_governor_ro", governor, sizeof(governor));
	if (!governor[0])
		first_line(CPUIDLE "cpuidle/current_governor", governor, sizeof(governor));
	read_states(states, sizeof(states));
	if (file && fread(&limit, sizeof(limit), 1, file) == 1 && limit < 2000000000)
		snprintf(latency, sizeof(latency), ", at most %d us", limit);
	if (file)
		fclose(file);
	if (!driver[0] || !strcmp(driver, "none"))
		snprintf(machine->idle, sizeof(machine->idle), "no cpuidle driver%s", latency);
	else
		snprintf(machine->idle, sizeof(machine->idle), "%s, governor %s%s%s%s", driver,
			governor[0] ? governor : "unknown", states[0] ? ", states " : "", states,
			latency);
}

static void read_virtual(struct machine *machine)
{
	char vendor[13] = "", type[32];

#if defined(__x86_64__)
	unsigned a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d) && c & 1u << 31) {
		__cpuid(0x40000000, a, b, c, d);
		memcpy(vendor, &b, 4);
		memcpy(vendor + 4, &c, 4);
		memcpy(vendor + 8, &d, 4);
		if (!vendor[0])
			memcpy(vendor, "unknown", 8);
	}
#endif
	first_line("/sys/hypervisor/type", type, sizeof(type));
	if (!strcmp(vendor, "KVMKVMKVM"))
		snprintf(type, sizeof(type), "KVM");
	else if (vendor[0])
		snprintf(type, sizeof(type), "%s", vendor);
	snprintf(machine->virtual, sizeof(machine->virtual), "%s%s",
		type[0] ? "virtual machine on " : "no hypervisor seen", type);
}

void machine_read(struct machine *ret)
{
	struct utsname name;

	uname(&name);
	read_processor(ret, &name);
	ret->cores = cores();
	snprintf(ret->kernel, sizeof(ret->kernel), "%.64s %.60s", name.sysname, name.release);
	read_idle(ret);
	read_virtual(ret);
}

void machine_line(const struct machine *machine, char *buffer, size_t size)
{
	snprintf(buffer, size, "%s, %d %s, %s, %s, idle: %s", machine->processor, machine->cores,
		machine->cores == 1 ? "core" : "cores", machine->kernel, machine->virtual,
		machine->idle);
}
