/* SPDX-License-Identifier: ISC */
/* fsck: what is wrong with a domain's segment, or why it is refused. Changes nothing. */
#include "cmd/cmdclient.h"
#include "cmd/cmdjson.h"

#include <inttypes.h>
#include <string.h>

struct report {
	struct out *out;
	struct json *json; /* NULL: lines */
};

static const char *severity(const struct heir_finding *finding)
{
	return finding->kind == HEIR_DAMAGE ? "damage" : "leftover";
}

static bool is_of_all(const struct heir_finding *finding)
{
	return !strcmp(finding->part, "names");
}

static void json_finding(struct json *json, const struct heir_finding *finding)
{
	json_object(json, NULL);
	json_string(json, "severity", severity(finding));
	json_string(json, "part", finding->part);
	if (is_of_all(finding))
		json_text(json, "index", NULL);
	else
		json_integer(json, "index", finding->index);
	json_integer(json, "count", (int64_t)finding->count);
	json_string(json, "what", finding->what);
	json_end(json);
}

static int print(const struct heir_finding *finding, void *arg)
{
	struct report *report = arg;
	FILE *file = report->out->file;

	if (report->json) {
		json_finding(report->json, finding);
		return ferror(file) ? 1 : 0;
	}
	out_colour(report->out, finding->kind == HEIR_DAMAGE ? BAD : WARN);
	fprintf(file, "%-8s", severity(finding));
	out_colour(report->out, PLAIN);
	if (is_of_all(finding))
		fprintf(file, "  %" PRIu64 " %s\n", finding->count, finding->what);
	else
		fprintf(file, "  %s %u: %s\n", finding->part, finding->index, finding->what);
	return ferror(file) ? 1 : 0;
}

static void print_sum(struct out *out, const char *domain, const struct heir_check *check)
{
	fprintf(out->file, "%s: ", domain);
	if (check->damage)
		fprintf(out->file, "damaged: %" PRIu64 " finding%s", check->damage,
			check->damage == 1 ? "" : "s");
	else
		fputs("clean", out->file);
	if (check->leftovers)
		fprintf(out->file, ", %" PRIu64 " leftover%s of the dead", check->leftovers,
			check->leftovers == 1 ? "" : "s");
	if (check->unjudged)
		fprintf(out->file, ", %" PRIu64 " not judged", check->unjudged);
	if (check->processes)
		fprintf(out->file, "; %u process%s alive\n", check->processes,
			check->processes == 1 ? "" : "es");
	else
		fputs("; nobody is alive\n", out->file);
	if (check->is_cut)
		fprintf(out->file, "%s: ended after %d findings; there may be more\n", domain,
			HEIR_FINDINGS_MAX);
}

static int check_segment(struct cmd *cmd, heir_t *h)
{
	struct report report = {.out = cmd->out};
	struct heir_check check;
	struct json json;
	int error;

	if (cmd_given(cmd, OPTION_JSON)) {
		report.json = &json;
		json_init(&json, cmd->out->file);
		json_object(&json, NULL);
		json_string(&json, "domain", client_domain(cmd));
		json_array(&json, "findings");
	}
	error = heir_check(h, print, &report, &check);
	if (error)
		return error < 0 ? client_fail(cmd, error, "domain `%s`", client_domain(cmd))
				 : EXIT_FAILED;
	if (report.json) {
		json_end(&json);
		json_integer(&json, "damage", (int64_t)check.damage);
		json_integer(&json, "leftovers", (int64_t)check.leftovers);
		json_integer(&json, "unjudged", (int64_t)check.unjudged);
		json_integer(&json, "processes", check.processes);
		json_bool(&json, "cut", check.is_cut);
		json_end(&json);
	} else {
		print_sum(cmd->out, client_domain(cmd), &check);
	}
	return check.damage ? EXIT_FAILED : EXIT_DONE;
}

/* What the gate has against it, in more words than an error has. */
static int refused(struct cmd *cmd)
{
	char why[256];
	int error = heir_refusal(client_domain(cmd), why, sizeof(why));

	if (error == HEIR_OK || error == HEIR_EINVAL || error == HEIR_ENODOMAIN)
		return EXIT_DONE;
	cmd_say(cmd->out, "domain `%s`: refused: %s", client_domain(cmd), why);
	return client_status(cmd, error);
}

int cmd_fsck(struct cmd *cmd)
{
	int status = refused(cmd);
	heir_t *h;

	if (status == EXIT_DONE)
		status = client_open(cmd, HEIR_OBSERVE, &h);
	if (status != EXIT_DONE)
		return status;
	status = check_segment(cmd, h);
	heir_close(h);
	return status;
}
