/* SPDX-License-Identifier: ISC */
#include "conf_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_file(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return errno == EACCES ? -EACCES : -ENOENT;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : -EACCES;
}

static int copy_path(
	const char *directory, size_t directory_length, const char *file, char *path, size_t size)
{
	size_t length = strlen(file), slash = directory_length > 0 ? 1 : 0;
	if (length >= size || directory_length + slash >= size - length)
		return -ENAMETOOLONG;
	memcpy(path, directory, directory_length);
	if (slash)
		path[directory_length] = '/';
	memcpy(path + directory_length + slash, file, length + 1);
	return 0;
}

int conf_find_exec(const char *file, const char *search, char *path, size_t size)
{
	char candidate[PATH_MAX];
	int found = -ENOENT, r;
	if (strchr(file, '/')) {
		r = check_file(file);
		return r == 0 ? copy_path("", 0, file, path, size) : r;
	}
	if (!search)
		search = getenv("PATH");
	if (!search || !*search)
		search = "/bin:/usr/bin";
	for (const char *begin = search;; begin++) {
		size_t length = strcspn(begin, ":");
		r = length == 0 ? copy_path(".", 1, file, candidate, sizeof(candidate))
				: copy_path(begin, length, file, candidate, sizeof(candidate));
		if (r == 0)
			r = check_file(candidate);
		if (r == 0)
			return copy_path("", 0, candidate, path, size);
		if (r == -EACCES)
			found = r;
		begin += length;
		if (!*begin)
			return found;
	}
}

/* Instances of one template have one place in the file. */
static bool is_known(const struct conf *conf, uint32_t applications, const struct conf_child *child)
{
	for (uint32_t i = 0; i < applications; i++)
		for (uint32_t j = 0; j < conf->applications[i].role_count; j++) {
			const struct conf_child *other = conf->applications[i].roles[j];
			if (other->mark == child->mark && !strcmp(other->exec[0], child->exec[0]))
				return true;
		}
	return false;
}

static void report_exec(const struct conf *conf, const struct conf_child *child, int error,
	struct conf_report *report)
{
	char message[512];
	(void)snprintf(message, sizeof(message), "program '%.256s' of child '%s' %s",
		child->exec[0], child->id,
		error == -ENOENT ? "was not found" : "is not an executable file");
	conf_report_at(report, &conf->store->source, child->mark, message);
}

int conf_check_exec(const struct conf *conf, const char *search, struct conf_report *report)
{
	unsigned errors = report->count;
	for (uint32_t i = 0; i < conf->application_count; i++) {
		const struct conf_application *application = &conf->applications[i];
		for (uint32_t j = 0; j < application->role_count; j++) {
			const struct conf_child *child = application->roles[j];
			char path[PATH_MAX];
			int r = conf_find_exec(child->exec[0], search, path, sizeof(path));
			if (r != 0 && !is_known(conf, i, child))
				report_exec(conf, child, r, report);
		}
	}
	return report->count == errors ? 0 : -EINVAL;
}
