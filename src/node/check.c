/* SPDX-License-Identifier: ISC */
/* heir check: everything that is wrong with a configuration, and nothing started. */
#include "node/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/args.h"
#include "node/node.h"
#include "node/search.h"

#define EXIT_CONFIGURATION 6

void check_print_string(const char *text, size_t size)
{
	putchar('"');
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c == '\n')
			fputs("\\n", stdout);
		else if (c < ' ')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void print_json(const char *name, const struct conf *conf, const struct conf_report *report)
{
	char *text = NULL;
	size_t length = 0;

	fputs("{\"file\":", stdout);
	check_print_string(name, strlen(name));
	printf(",\"ok\":%s,\"errors\":%u,\"report\":",
	       report->count == 0 && conf ? "true" : "false", report->count);
	check_print_string(report->text ? report->text : "", report->length);
	if (conf && conf_print(conf, &text, &length) == 0)
		printf(",\"configuration\":%.*s", (int)length, text);
	fputs("}\n", stdout);
	free(text);
}

static void print_text(const char *name, const struct conf *conf, const struct conf_report *report)
{
	if (report->length > 0)
		(void)fwrite(report->text, 1, report->length, stderr);
	if (report->count > 0)
		fprintf(stderr, "heir: %s: %u error%s\n", name, report->count,
		        report->count == 1 ? "" : "s");
	else if (conf)
		printf("%s: ok: domain %s, %u node%s, %u application%s\n", name, conf->domain,
		       (unsigned)conf->node_count, conf->node_count == 1 ? "" : "s",
		       (unsigned)conf->application_count, conf->application_count == 1 ? "" : "s");
}

int check_load(const char *file, struct conf **ret, struct conf_report *report)
{
	struct conf *conf = NULL;
	char *search = search_path();
	int rc = search ? conf_load(file, NULL, &conf, report) : -ENOMEM;

	if (rc == 0)
		rc = conf_check_exec(conf, search, report);
	free(search);
	if (rc)
		conf_free(conf);
	else
		*ret = conf;
	return rc;
}

void check_print(const char *file, bool json, const struct conf *conf, const struct conf_report *report, int rc)
{
	const char *name = file ? file : "the embedded configuration";

	if (rc && report->count == 0)
		fprintf(stderr, "heir: %s: %s\n", name, strerror(-rc));
	else if (json)
		print_json(name, conf, report);
	else
		print_text(name, conf, report);
}

int check_main(int argc, char **argv)
{
	struct conf_report report = {0};
	struct conf *conf = NULL;
	struct args args;
	int rc = args_parse(argc, argv, "SJ", true, &args);

	if (rc)
		return rc;
	if (args.operand && args.standard) {
		fprintf(stderr, "heir: check: a file or --default, not both\n");
		return 2;
	}
	if (!args.operand && !args.standard && access("heir.yaml", R_OK) == 0)
		args.operand = "heir.yaml";
	rc = check_load(args.operand, &conf, &report);
	check_print(args.operand, args.json, conf, &report, rc);
	conf_free(conf);
	conf_report_finish(&report);
	return rc ? EXIT_CONFIGURATION : 0;
}
