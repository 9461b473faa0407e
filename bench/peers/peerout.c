/* SPDX-License-Identifier: ISC */
/* Lines of results: text for people, or one JSON object each. */
#include "bench/peers/peers.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[PEERS + 1] = {"otp",	 "s6",	  "runit", "supervisord", "socket",
					     "pipe", "nginx", "haproxy", "bare"};

const char *peer_name(enum peer peer)
{
	return names[peer];
}

bool complain(const char *format, ...)
{
	va_list arguments;

	fputs("peers: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return false;
}

static void print_quoted(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar((unsigned char)*text < ' ' ? ' ' : *text);
	}
	putchar('"');
}

void out_machine(const struct peers *p)
{
	struct machine machine;
	char line[512];

	machine_read(&machine);
	machine_line(&machine, line, sizeof(line));
	if (p->is_json) {
		fputs("{\"family\":\"machine\",\"line\":", stdout);
		print_quoted(line);
		puts("}");
	} else {
		printf("%s\n\n%-12s %-26s %-56s %7s %11s %11s %11s %11s %9s\n", line, "", "", "", "count",
		       "us: p50", "p99", "p99.9", "max", "ratio");
	}
	fflush(stdout);
}

void out_skip(const struct peers *p, enum peer peer, const char *why)
{
	if (p->is_json) {
		printf("{\"family\":\"peers\",\"peer\":\"%s\",\"skipped\":", names[peer]);
		print_quoted(why);
		puts("}");
	} else {
		printf("%-12s skipped: %s\n", names[peer], why);
	}
	fflush(stdout);
}

void measured_init(struct measured *m, enum peer peer, const char *what, const char *parameters)
{
	*m = (struct measured){
		.peer = peer, .what = what, .parameters = parameters, .failed_ours = -1, .failed_theirs = -1};
	samples_init(&m->ours);
	samples_init(&m->theirs);
}

static double us(int64_t ns)
{
	return (double)ns / 1000;
}

/* The parameters that are words, as a person would say them. */
static void print_detail(const char *parameters)
{
	const char *begin = "";

	fputs(",\"detail\":\"", stdout);
	for (const char *at = parameters; (at = strchr(at, '"')); at = strchr(at, ',') ? strchr(at, ',') : "") {
		const char *value = strstr(at, "\":");
		if (!value || value[2] != '"')
			continue;
		printf("%s%.*s: %.*s", begin, (int)(value - at - 1), at + 1, (int)strcspn(value + 3, "\""),
		       value + 3);
		begin = ", ";
	}
	putchar('"');
}

static void print_json(const char *who, const char *against, const struct measured *m, const struct spread *s,
		       int64_t failed, double ratio)
{
	printf("{\"family\":\"peers\",\"peer\":\"%s\",\"against\":\"%s\",\"what\":\"%s\",\"parameters\":{%s},"
	       "\"unit\":\"us\",\"count\":%zu,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%."
	       "3f",
	       who, against, m->what, m->parameters, s->count, us(s->p50), us(s->p90), us(s->p99), us(s->p999),
	       us(s->max));
	if (failed >= 0)
		printf(",\"failed\":%lld", (long long)failed);
	if (ratio > 0)
		printf(",\"ratio\":%.3f", ratio);
	print_detail(m->parameters);
	puts("}");
}

static void print_text(const char *who, const struct measured *m, const struct spread *s, int64_t failed,
		       double ratio)
{
	char parameters[256];
	size_t used = 0;

	for (const char *c = m->parameters; *c && used + 2 < sizeof(parameters); c++) {
		if (*c == '"')
			continue;
		parameters[used++] = *c == ':' ? ' ' : *c;
		if (*c == ',')
			parameters[used++] = ' ';
	}
	parameters[used] = '\0';
	printf("%-12s %-26s %-56s %7zu %11.1f %11.1f %11.1f %11.1f", who, m->what, parameters, s->count,
	       us(s->p50), us(s->p99), us(s->p999), us(s->max));
	if (ratio > 0)
		printf(" %9.2f", ratio);
	if (failed >= 0)
		printf("%s  failed: %lld", ratio > 0 ? "" : "          ", (long long)failed);
	putchar('\n');
}

void out_measured(const struct peers *p, struct measured *m)
{
	struct spread ours = samples_spread(&m->ours), theirs = samples_spread(&m->theirs);
	double ratio = spread_ratio(&theirs, &ours);

	if (p->is_json) {
		print_json(names[m->peer], "heir", m, &theirs, m->failed_theirs, ratio);
		print_json("heir", names[m->peer], m, &ours, m->failed_ours, 0);
	} else {
		print_text(names[m->peer], m, &theirs, m->failed_theirs, ratio);
		print_text("heir", m, &ours, m->failed_ours, 0);
	}
	fflush(stdout);
	samples_finish(&m->ours);
	samples_finish(&m->theirs);
}
