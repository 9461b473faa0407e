/* SPDX-License-Identifier: ISC */
/* run [--quick] [--json] [--heir FILE] [PEER ...]: heir beside its peers; `heir-bench peers` runs this. */
#include "bench/peers/peers.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAMILY_MS_QUICK (3 * 60 * 1000) /* until a family counts as stuck */
#define FAMILY_MS	(30 * 60 * 1000)

static const struct {
	bool (*run)(const struct peers *p);
	unsigned of;
} families[] = {
	{peers_trip, 1u << PEER_SOCKET | 1u << PEER_PIPE},
	{peers_otp, 1u << PEER_OTP},
	{peers_restart, 1u << PEER_S6 | 1u << PEER_RUNIT | 1u << PEER_SUPERVISORD},
	{peers_reload, 1u << PEER_NGINX | 1u << PEER_HAPROXY},
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static _Noreturn void be_family(const struct peers *p, bool (*run)(const struct peers *p), pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (getppid() != parent)
		_exit(1);
	_exit(run(p) ? 0 : 1);
}

/* 0: it has ended; a signal that came; SIGALRM: the time is over. */
static int await_family(pid_t pid, int signals, int timeout_ms)
{
	struct pollfd fd[2] = {{.events = POLLIN}, {.fd = signals, .events = POLLIN}};
	struct signalfd_siginfo signal;
	int n, number = 0;

	fd[0].fd = (int)syscall(SYS_pidfd_open, pid, 0);
	while ((n = poll(fd, 2, timeout_ms)) < 0 && errno == EINTR)
		continue;
	close(fd[0].fd);
	if (n == 0)
		return SIGALRM;
	if (fd[1].revents && read(signals, &signal, sizeof(signal)) == (ssize_t)sizeof(signal))
		number = (int)signal.ssi_signo;
	return number;
}

static bool run_family(struct peers *p, bool (*run)(const struct peers *p), int signals, int *ret_signal)
{
	const char *folder = getenv("TMPDIR");
	pid_t self = getpid(), pid;
	char domain[64];
	int status = -1;

	snprintf(p->work, sizeof(p->work), "%s/peers.XXXXXX", folder && *folder ? folder : "/tmp");
	if (!mkdtemp(p->work))
		return complain("%s: %s", p->work, strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		be_family(p, run, self);
	if (pid > 0) {
		*ret_signal = await_family(pid, signals, p->is_quick ? FAMILY_MS_QUICK : FAMILY_MS);
		if (*ret_signal)
			kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			continue;
	}
	domain_kill_children(); /* orphans of a family that was killed */
	domain_name(domain, pid);
	domain_segments(domain, true);
	nftw(p->work, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (*ret_signal == SIGALRM)
		complain("it took too long");
	return pid > 0 && status == 0;
}

/* What was built beside this program: in its folder's grandparent, or where it was installed. */
static bool find_heir(const char *home, char path[PATH_MAX])
{
	static const char *const places[] = {"../../heir", "../../../bin/heir"};
	char candidate[PATH_ROOM];
	struct stat st;

	for (size_t i = 0; i < 2; i++) {
		snprintf(candidate, sizeof(candidate), "%s/%s", home, places[i]);
		if (realpath(candidate, path) && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
		    access(path, X_OK) == 0)
			return true;
	}
	return find_program("heir", path);
}

static int usage(FILE *to, int status)
{
	fputs("usage: run [--quick] [--json] [--heir FILE] [PEER ...]\n"
	      "  --quick      few samples, about half a minute\n"
	      "  --json       one JSON object a line\n"
	      "  --heir FILE  the program heir; heir-kv is beside it\n"
	      "  PEER         otp s6 runit supervisord socket pipe nginx haproxy, reload for the last two; all "
	      "of them\n",
	      to);
	return status;
}

static bool choose(struct peers *p, const char *name)
{
	if (!strcmp(name, "reload")) {
		p->chosen |= 1u << PEER_NGINX | 1u << PEER_HAPROXY;
		return true;
	}
	for (unsigned i = 0; i < PEERS; i++) {
		if (!strcmp(name, peer_name((enum peer)i))) {
			p->chosen |= 1u << i;
			return true;
		}
	}
	return complain("no peer is called %s", name);
}

static int run_all(struct peers *p)
{
	sigset_t ends;
	int signals, number = 0, status = 0;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signals = signalfd(-1, &ends, SFD_CLOEXEC);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	out_machine(p);
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]) && !number; i++)
		if ((p->chosen & families[i].of) && !run_family(p, families[i].run, signals, &number))
			status = 1;
	close(signals);
	return number && number != SIGALRM ? 128 + number : status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"quick", no_argument, NULL, 'q'},
						{"json", no_argument, NULL, 'j'},
						{"heir", required_argument, NULL, 'p'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	static struct peers p;
	char heir[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", p.home, sizeof(p.home) - 1);
	const char *given = NULL;
	int option;

	p.home[n > 0 ? n : 0] = '\0';
	*strrchr(p.home, '/') = '\0';
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'q')
			p.is_quick = true;
		else if (option == 'j')
			p.is_json = true;
		else if (option == 'p')
			given = optarg;
		else
			return usage(option == 'h' ? stdout : stderr, option == 'h' ? 0 : 2);
	}
	for (; optind < argc; optind++)
		if (!choose(&p, argv[optind]))
			return usage(stderr, 2);
	if (!p.chosen)
		p.chosen = (1u << PEERS) - 1;
	if (given ? !realpath(given, heir) : !find_heir(p.home, heir)) {
		complain("heir was not found%s%s", given ? ": " : "", given ? given : "");
		return 2;
	}
	p.heir = heir;
	return run_all(&p);
}
