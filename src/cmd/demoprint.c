/* SPDX-License-Identifier: ISC */
#include "demoprint.h"

#include "cmdjson.h"

#include <inttypes.h>
#include <string.h>

#define CELLS 4
#define LABEL_COLUMNS 44
#define NUMBER_COLUMNS 10

static const char *const kinds[DEMO_KINDS] = {
	[DEMO_NO_MOVE] = "no_move",
	[DEMO_OVERLAP] = "overlap",
	[DEMO_EXCLUSIVE] = "exclusive",
	[DEMO_KILL] = "kill",
};

static const char *const kind_titles[DEMO_KINDS] = {
	[DEMO_NO_MOVE] = "no move",
	[DEMO_OVERLAP] = "takeover, overlap",
	[DEMO_EXCLUSIVE] = "takeover, exclusive",
	[DEMO_KILL] = "failover after kill -9",
};

static void title(struct out *out, const char *text)
{
	out_colour(out, BOLD);
	out_text(out, out->file, text);
	out_colour(out, PLAIN);
	fputc('\n', out->file);
}

static void row(struct out *out, const char *label, const char *a, const char *b, const char *c,
	enum colour colour)
{
	static const int width[CELLS] = {
		LABEL_COLUMNS, NUMBER_COLUMNS, NUMBER_COLUMNS, NUMBER_COLUMNS};
	const struct cell cells[CELLS] = {out_cell(label, colour), out_number(a, colour),
		out_number(b, colour), out_number(c, colour)};

	fputs("  ", out->file);
	out_cells(out, cells, CELLS, width);
}

static void head(struct out *out, const char *label)
{
	char p50[16];

	snprintf(p50, sizeof(p50), "%s p50", out->utf8 ? "µs: " : "us: ");
	row(out, label, p50, "p99", "max", DIM);
}

static void spread_row(struct out *out, const char *label, const struct spread *spread)
{
	char p50[32], p99[32], max[32];

	if (spread->count == 0) {
		row(out, label, "-", "-", "-", PLAIN);
		return;
	}
	snprintf(p50, sizeof(p50), "%.1f", (double)spread->p50 / 1000);
	snprintf(p99, sizeof(p99), "%.1f", (double)spread->p99 / 1000);
	snprintf(max, sizeof(max), "%.1f", (double)spread->max / 1000);
	row(out, label, p50, p99, max, PLAIN);
}

static void samples_row(struct out *out, const char *label, struct samples *samples)
{
	struct spread spread = samples_spread(samples);

	spread_row(out, label, &spread);
}

static void print_steps(struct out *out, struct demo_run *run, enum demo_kind kind)
{
	struct demo_moves *moves = &run->moves[kind];
	bool is_last = kind == DEMO_OVERLAP;
	char label[80];

	snprintf(label, sizeof(label), "%s (%zu)", kind_titles[kind], moves->done);
	head(out, label);
	for (size_t i = 0; i < moves->steps; i++)
		if (!is_last || strcmp(moves->step[i].name, "stop_old") != 0) {
			snprintf(label, sizeof(label), "  %s", moves->step[i].name);
			samples_row(out, label, &moves->step[i].took);
		}
	samples_row(out, "  from the first step to done", &moves->total);
	if (kind == DEMO_KILL)
		samples_row(out, "  from kill -9 to the first reply", &run->first_reply);
	for (size_t i = 0; is_last && i < moves->steps; i++)
		if (!strcmp(moves->step[i].name, "stop_old"))
			samples_row(out, "  stop_old, while the new one serves",
				&moves->step[i].took);
}

static void print_silences(struct out *out, struct demo_run *run)
{
	char label[80];

	head(out, "longest silence of a caller by mail");
	for (int kind = 0; kind < DEMO_KINDS; kind++) {
		snprintf(label, sizeof(label), "  %s", kind_titles[kind]);
		samples_row(out, label, &run->moves[kind].mail_silence);
	}
	head(out, "longest silence of a client over TCP");
	for (int kind = 0; kind < DEMO_KINDS; kind++) {
		snprintf(label, sizeof(label), "  %s", kind_titles[kind]);
		samples_row(out, label, &run->moves[kind].tcp_silence);
	}
}

static void print_latencies(struct out *out, struct demo_run *run)
{
	struct spread mail = histogram_spread(&run->mail_latency);
	struct spread tcp = histogram_spread(&run->tcp_latency);

	head(out, "from request to reply, all the time");
	spread_row(out, "  a call by mail", &mail);
	spread_row(out, "  8 commands at once over TCP", &tcp);
}

static void print_ratio(struct out *out, const char *label, struct samples *samples,
	const struct spread *heir)
{
	struct spread limit = samples_spread(samples);
	double ratio = spread_ratio(heir, &limit);
	char text[32] = "-";

	if (ratio > 0)
		snprintf(text, sizeof(text), "%.2f x", ratio);
	spread_row(out, label, &limit);
	row(out, "      the p50 above to this one", text, "", "", BOLD);
}

static void print_limits(struct out *out, struct demo_run *run)
{
	struct spread planned = samples_spread(&run->planned.heir);
	struct spread crash = samples_spread(&run->crash.heir);
	char label[96];

	snprintf(label, sizeof(label), "beside the bare limit, no load (%zu in turns)", run->rests);
	head(out, label);
	spread_row(out, "  takeover, overlap: silence of a caller", &planned);
	print_ratio(out, "    bare wakes command, new, caller", &run->planned.limit, &planned);
	spread_row(out, "  kill -9 of the owner to the first reply", &crash);
	print_ratio(out, "    bare kernel notice, then one wake", &run->crash.limit, &crash);
	snprintf(label, sizeof(label), "    the same, victim of %.1f MiB like the owner",
		(double)(run->owner_size.own + run->owner_size.shared) / (1 << 20));
	print_ratio(out, label, &run->crash.alike, &crash);
}

static void verdict(struct out *out, const char *what, uint64_t count)
{
	out_colour(out, count ? BAD : GOOD);
	fprintf(out->file, "%" PRIu64 " %s", count, what);
	out_colour(out, PLAIN);
}

static void print_counts(struct out *out, const struct demo_run *run)
{
	const struct demo_count *sum = &run->sum;

	fprintf(out->file, "%" PRIu64 " calls by mail and %" PRIu64 " commands over TCP: ",
		run->mail_calls, run->tcp_commands);
	verdict(out, "failed, ", sum->failed);
	verdict(out, "lost, ", sum->lost);
	verdict(out, "applied twice\n", sum->twice);
	fprintf(out->file, "%" PRIu64 " acknowledged writes over TCP: ", sum->acknowledged);
	verdict(out, "missing\n", sum->missing);
	fputs("replies over TCP: ", out->file);
	verdict(out, "cut in overlap, ", sum->cut[DEMO_OVERLAP] + sum->cut[DEMO_NO_MOVE]);
	fprintf(out->file, "%" PRIu64 " cut in exclusive, %" PRIu64 " cut by kills\n",
		sum->cut[DEMO_EXCLUSIVE], sum->cut[DEMO_KILL]);
	fprintf(out->file,
		"%" PRIu64 " connections; %" PRIu64 " commands were sent on ones that closed, and "
		"again on the next\n",
		sum->connections, sum->unanswered);
}

static void print_troubles(struct out *out, const struct demo_run *run)
{
	size_t done = run->moves[DEMO_OVERLAP].done + run->moves[DEMO_EXCLUSIVE].done;

	if (run->is_cut_short)
		fprintf(out->file,
			"This machine is too slow for all of it in half a minute: %zu of %zu "
			"takeovers and %zu of %zu kills were done.\n",
			done, run->takeovers, run->moves[DEMO_KILL].done, run->kills);
	out_colour(out, BAD);
	if (*run->interrupted)
		fputs("Interrupted.\n", out->file);
	if (run->not_done)
		fprintf(out->file, "%zu moves did not end as done.\n", run->not_done);
	if (run->trouble[0]) {
		out_text(out, out->file, run->trouble);
		fputc('\n', out->file);
	}
	if (run->sum.note[0]) {
		fputs("the first that was wrong: ", out->file);
		out_text(out, out->file, run->sum.note);
		fputc('\n', out->file);
	}
	out_colour(out, PLAIN);
}

static void print_machine(struct out *out, const struct machine *machine)
{
	out_text(out, out->file, machine->processor);
	fprintf(out->file, ", %d %s, ", machine->cores, machine->cores == 1 ? "core" : "cores");
	out_text(out, out->file, machine->kernel);
	fputc('\n', out->file);
	out_text(out, out->file, machine->virtual);
	fputs(", idle: ", out->file);
	out_text(out, out->file, machine->idle);
	fputs("\n\n", out->file);
}

void demo_print(struct out *out, struct demo_run *run)
{
	size_t taken = run->moves[DEMO_OVERLAP].done + run->moves[DEMO_EXCLUSIVE].done;
	size_t killed = run->moves[DEMO_KILL].done;
	char line[512];

	if (taken + killed == 0) {
		title(out, "heir demo: not one takeover was done");
		print_troubles(out, run);
		return;
	}
	snprintf(line, sizeof(line),
		"heir demo: %zu takeovers and %zu kills of the owner in %.1f s", taken, killed,
		(double)run->took_ns / 1e9);
	title(out, line);
	fprintf(out->file, "under the load of %d callers by mail and %d clients over TCP, on\n",
		DEMO_MAIL_CLIENTS, DEMO_TCP_CLIENTS);
	print_machine(out, &run->machine);
	for (int kind = DEMO_OVERLAP; kind < DEMO_KINDS; kind++)
		print_steps(out, run, (enum demo_kind)kind);
	print_latencies(out, run);
	print_silences(out, run);
	print_limits(out, run);
	fputc('\n', out->file);
	print_counts(out, run);
	print_troubles(out, run);
}

static void json_spread(struct json *json, const char *key, const struct spread *spread)
{
	const struct {
		const char *key;
		int64_t ns;
	} values[] = {{"p50_us", spread->p50}, {"p90_us", spread->p90}, {"p99_us", spread->p99},
		{"max_us", spread->max}};

	json_object(json, key);
	json_integer(json, "count", (int64_t)spread->count);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (spread->count > 0)
			json_us(json, values[i].key, values[i].ns);
		else
			json_text(json, values[i].key, NULL);
	json_end(json);
}

static void json_samples(struct json *json, const char *key, struct samples *samples)
{
	struct spread spread = samples_spread(samples);

	json_spread(json, key, &spread);
}

static void json_machine(struct json *json, const struct machine *machine)
{
	json_object(json, "machine");
	json_string(json, "processor", machine->processor);
	json_integer(json, "cores", machine->cores);
	json_string(json, "kernel", machine->kernel);
	json_string(json, "virtual", machine->virtual);
	json_string(json, "idle", machine->idle);
	json_end(json);
}

static void json_moves(struct json *json, struct demo_run *run)
{
	json_array(json, "moves");
	for (int kind = 0; kind < DEMO_KINDS; kind++) {
		struct demo_moves *moves = &run->moves[kind];

		json_object(json, NULL);
		json_string(json, "kind", kinds[kind]);
		json_integer(json, "asked", (int64_t)moves->asked);
		json_integer(json, "done", (int64_t)moves->done);
		json_samples(json, "total", &moves->total);
		json_array(json, "steps");
		for (size_t i = 0; i < moves->steps; i++) {
			json_object(json, NULL);
			json_string(json, "name", moves->step[i].name);
			json_samples(json, "took", &moves->step[i].took);
			json_end(json);
		}
		json_end(json);
		json_samples(json, "mail_silence", &moves->mail_silence);
		json_samples(json, "tcp_silence", &moves->tcp_silence);
		json_end(json);
	}
	json_end(json);
	json_samples(json, "kill_to_first_reply", &run->first_reply);
}

static void json_pair(struct json *json, const char *what, struct demo_pair *pair)
{
	struct spread heir = samples_spread(&pair->heir), limit = samples_spread(&pair->limit);

	json_object(json, NULL);
	json_string(json, "what", what);
	json_spread(json, "heir", &heir);
	json_spread(json, "limit", &limit);
	/* Three decimals, as of microseconds. */
	json_us(json, "ratio", (int64_t)(spread_ratio(&heir, &limit) * 1000 + 0.5));
	if (pair->alike.count > 0) {
		struct spread alike = samples_spread(&pair->alike);

		json_spread(json, "limit_same_size", &alike);
		json_us(json, "ratio_same_size",
			(int64_t)(spread_ratio(&heir, &alike) * 1000 + 0.5));
	}
	json_end(json);
}

static void json_counts(struct json *json, const struct demo_run *run)
{
	const struct demo_count *sum = &run->sum;
	struct spread mail = histogram_spread(&run->mail_latency);
	struct spread tcp = histogram_spread(&run->tcp_latency);

	json_object(json, "mail");
	json_integer(json, "calls", (int64_t)run->mail_calls);
	json_integer(json, "failed", (int64_t)run->mail_failed);
	json_spread(json, "latency", &mail);
	json_end(json);
	json_object(json, "tcp");
	json_integer(json, "commands", (int64_t)run->tcp_commands);
	json_integer(json, "failed", (int64_t)run->tcp_failed);
	json_integer(json, "connections", (int64_t)sum->connections);
	json_integer(json, "unanswered", (int64_t)sum->unanswered);
	json_spread(json, "latency", &tcp);
	json_end(json);
	json_integer(json, "failed", (int64_t)sum->failed);
	json_integer(json, "lost", (int64_t)sum->lost);
	json_integer(json, "twice", (int64_t)sum->twice);
	json_integer(json, "acknowledged_writes", (int64_t)sum->acknowledged);
	json_integer(json, "missing_writes", (int64_t)sum->missing);
	json_object(json, "cut_replies");
	for (int kind = 0; kind < DEMO_KINDS; kind++)
		json_integer(json, kinds[kind], (int64_t)sum->cut[kind]);
	json_end(json);
}

void demo_json(struct out *out, struct demo_run *run)
{
	struct json json;

	json_init(&json, out->file);
	json_object(&json, NULL);
	json_bool(&json, "good", run_is_good(run));
	json_bool(&json, "complete", !run->is_cut_short && !*run->interrupted);
	json_text(&json, "trouble", run->trouble);
	json_text(&json, "first_wrong", run->sum.note);
	json_integer(&json, "took_ms", run->took_ns / 1000000);
	json_integer(&json, "takeovers", (int64_t)run->takeovers);
	json_integer(&json, "kills", (int64_t)run->kills);
	json_integer(&json, "not_done", (int64_t)run->not_done);
	json_machine(&json, &run->machine);
	json_moves(&json, run);
	json_array(&json, "limits");
	json_pair(&json, "planned", &run->planned);
	json_pair(&json, "kill", &run->crash);
	json_end(&json);
	json_counts(&json, run);
	json_end(&json);
}
