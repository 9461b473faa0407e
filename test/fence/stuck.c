/* SPDX-License-Identifier: ISC */
#include "fence/stuck.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/atom.h"
#include "base/clock.h"

#define FREEZER	 "/sys/fs/cgroup/freezer"
#define PATIENCE (10 * NS_PER_SECOND)

static char group[128], mount_point[64];
static pid_t server;
static atom32 *heard; /* shared: the server has got a request that it will not answer */

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static bool write_to(const char *file, const char *text)
{
	char path[192];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return done;
}

static bool is_frozen(void)
{
	char path[192], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/freezer.state", group);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return strncmp(text, "FROZEN", 6) == 0;
}

const char *freezer_begin(void)
{
	snprintf(group, sizeof(group), FREEZER "/heir-test-%d", (int)getpid());
	if (mkdir(group, 0700) == 0)
		return NULL;
	group[0] = 0;
	return "no freezer cgroup (v1) can be made here";
}

const char *freezer_freeze(pid_t pid)
{
	int64_t end = deadline_after(PATIENCE);
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	if (!write_to("cgroup.procs", text) || !write_to("freezer.state", "FROZEN"))
		return "the freezer cgroup cannot be written";
	while (!is_frozen()) {
		if (deadline_passed(end))
			return "the cgroup does not freeze";
		nap();
	}
	return NULL;
}

void freezer_thaw(void)
{
	if (group[0])
		(void)write_to("freezer.state", "THAWED");
}

void freezer_end(void)
{
	int64_t end = deadline_after(PATIENCE);

	if (!group[0])
		return;
	freezer_thaw();
	while (rmdir(group) < 0 && errno == EBUSY && !deadline_passed(end)) /* until its process is gone */
		nap();
	group[0] = 0;
}

/* Answers the first request, INIT, and no other. */
static void serve(int fuse)
{
	static union {
		struct fuse_in_header header;
		char bytes[65536];
	} in;
	struct {
		struct fuse_out_header header;
		struct fuse_init_out init;
	} out = {.init = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_readahead = 4096, .max_write = 4096}};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(fuse, in.bytes, sizeof(in.bytes)) < (ssize_t)sizeof(in.header) || in.header.opcode != FUSE_INIT)
		_exit(1);
	out.header.len = sizeof(out);
	out.header.unique = in.header.unique;
	if (write(fuse, &out, sizeof(out)) != (ssize_t)sizeof(out))
		_exit(1);
	while (read(fuse, in.bytes, sizeof(in.bytes)) > 0)
		if (in.header.opcode == FUSE_LOOKUP)
			atom_store_seq(heard, 1);
	_exit(0);
}

const char *mute_begin(void)
{
	char options[128];
	int fuse;

	heard = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (heard == MAP_FAILED)
		return "no memory";
	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse < 0)
		return "/dev/fuse cannot be opened here";
	strcpy(mount_point, "/tmp/heir-mute.XXXXXX");
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fuse, (unsigned)geteuid(),
		 (unsigned)getegid());
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !mkdtemp(mount_point)) {
		close(fuse);
		mount_point[0] = 0;
		return "no mount namespace can be made here";
	}
	if (mount("heir-mute", mount_point, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
		close(fuse);
		mute_end();
		return "FUSE cannot be mounted here";
	}
	server = fork();
	if (server == 0)
		serve(fuse);
	close(fuse);
	return NULL;
}

void mute_enter(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/file", mount_point);
	(void)open(path, O_RDONLY | O_CLOEXEC);
}

bool mute_holds(pid_t pid)
{
	char path[64], text[512], *end;
	ssize_t n;
	int fd;

	if (!atom_load_seq(heard))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	end = strrchr(text, ')');
	/* Asleep, in this call: only a signal shows whether it can be interrupted. */
	return end && (end[2] == 'S' || end[2] == 'D');
}

void mute_end(void)
{
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	server = 0;
	if (!mount_point[0])
		return;
	(void)umount2(mount_point, MNT_DETACH);
	(void)rmdir(mount_point);
	mount_point[0] = 0;
}
