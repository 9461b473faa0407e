/* SPDX-License-Identifier: ISC */
/*
 * Hostile configuration files. Whatever the bytes: conf_load() returns, reports what it refuses, leaves nothing
 * allocated; what it accepts prints, and what was printed loads again as an equal configuration. A first byte that
 * is odd has the rest read from a file (so with zero bytes), an even one has it as text.
 *
 * Does not prove: that libfyaml, which is not instrumented here, reads within its bounds, save where it crashes.
 */
#include "conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

static int load_file(const uint8_t *data, size_t size, struct conf **ret, struct conf_report *report)
{
	char path[64];
	int fd = memfd_create("conf", MFD_CLOEXEC), rc;

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size, "a file");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = conf_load(path, NULL, ret, report);
	close(fd);
	return rc;
}

static int load_text(const uint8_t *data, size_t size, struct conf **ret, struct conf_report *report)
{
	char *text = malloc(size + 1); /* exact: a sanitizer sees what is read beyond */
	int rc;

	must(text != NULL, "memory");
	memcpy(text, data, size);
	text[size] = 0;
	rc = conf_load(NULL, text, ret, report);
	free(text);
	return rc;
}

static void check_same(const struct conf *conf)
{
	struct conf_report report = {0};
	struct conf *again = NULL;
	char *text = NULL;
	size_t length = 0;

	must(conf_print(conf, &text, &length) == 0 && strlen(text) == length, "it prints");
	must(conf_load(NULL, text, &again, &report) == 0 && !report.text, "what was printed loads");
	must(conf_signature(again) == conf_signature(conf) && conf_signature(conf) != 0, "it is the same");
	conf_free(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_report report = {0};
	struct conf *conf = NULL;
	int rc;

	if (size < 1)
		return 0;
	rc = data[0] & 1 ? load_file(data + 1, size - 1, &conf, &report)
			 : load_text(data + 1, size - 1, &conf, &report);
	must((rc == 0) == (conf != NULL), "a configuration, or an error");
	must(rc == 0 || (report.text && report.count > 0), "an error is reported");
	must(!report.text || strlen(report.text) == report.length, "the report ends where it says");
	if (conf) {
		check_same(conf);
		must((conf_check_exec(conf, "/bin:/usr/bin", &report) == 0) == (report.count == 0), "programs");
	}
	conf_free(conf);
	conf_report_finish(&report);
	return 0;
}
