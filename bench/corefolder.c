/* SPDX-License-Identifier: ISC */
/* The kernel writes a core into the folder of the process if its pattern is a bare name. */
#include "bench/corefolder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

bool corefolder_is_possible(void)
{
	char pattern[256] = "";
	struct rlimit rlimit = {0};
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");

	if (file && !fgets(pattern, sizeof(pattern), file))
		pattern[0] = '\0';
	if (file)
		fclose(file);
	getrlimit(RLIMIT_CORE, &rlimit);
	return pattern[0] && pattern[0] != '|' && !strchr(pattern, '/') && rlimit.rlim_max > 0;
}

int corefolder_enter(struct corefolder *folder)
{
	snprintf(folder->path, sizeof(folder->path), "/tmp/heir-bench.XXXXXX");
	if (!getcwd(folder->before, sizeof(folder->before)) || !mkdtemp(folder->path))
		return -errno;
	return chdir(folder->path) < 0 ? -errno : 0;
}

void corefolder_leave(struct corefolder *folder)
{
	DIR *dir = opendir(folder->path);
	struct dirent *entry;

	if (chdir(folder->before) < 0)
		perror(folder->before);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(folder->path);
}
