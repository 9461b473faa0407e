/* SPDX-License-Identifier: ISC */
/*
 * The verb demo. Two processes: the runner does everything; the guard waits for it, passes SIGINT
 * and SIGTERM on, stops it when it takes too long, and ends whatever it has left behind, however it
 * came to its end.
 */
#include "demo.h"

#include "cmd.h"
#include "demoprint.h"
#include "demorun.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MOST 1000000
#define WATCHDOG_S 60 /* if there are no more moves than by default */
#define GRACE_S 20    /* to end in order */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static void guarded_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGHUP);
	sigaddset(ret, SIGCHLD);
}

/* The program itself, so that the demo shows the heir that was started. */
static bool own_program(char *buffer, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", buffer, size - 1);

	if (n <= 0 || (size_t)n >= size - 1)
		return false;
	buffer[n] = '\0';
	return true;
}

static int run(struct cmd *cmd, size_t takeovers, size_t kills)
{
	static struct demo_run run;
	char heir[PATH_MAX];
	int status;

	run.takeovers = takeovers;
	run.kills = kills;
	run.interrupted = &interrupted;
	run.domain = (struct demo_domain){.up_fd = -1, .log = -1, .configuration = -1};
	if (!own_program(heir, sizeof(heir))) {
		cmd_say(cmd->out, "demo: /proc/self/exe: %s", strerror(errno));
		return EXIT_FAILED;
	}
	run_demo(&run, heir);
	if (cmd_given(cmd, OPTION_JSON))
		demo_json(cmd->out, &run);
	else
		demo_print(cmd->out, &run);
	status = run_is_good(&run) ? EXIT_DONE : EXIT_FAILED;
	if (!out_finish(cmd->out))
		status = EXIT_FAILED;
	if (run.trouble[0] || run.not_done)
		domain_show_log(&run.domain, STDERR_FILENO);
	run_finish(&run);
	return status;
}

static _Noreturn void runner(struct cmd *cmd, size_t takeovers, size_t kills, pid_t guard)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t guarded;

	setpgid(0, 0); /* the terminal's SIGINT is for the guard alone */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != guard)
		_exit(EXIT_FAILED);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	guarded_signals(&guarded);
	sigprocmask(SIG_UNBLOCK, &guarded, NULL);
	exit(run(cmd, takeovers, kills));
}

struct guard {
	pid_t runner;
	int signal; /* that came, to be passed on */
	bool is_overdue;
	int status; /* of the runner */
};

/* True once the runner has ended. */
static bool wait_for_runner(struct guard *guard, const sigset_t *guarded, int seconds)
{
	struct timespec now, left;
	time_t deadline;
	int number;

	clock_gettime(CLOCK_MONOTONIC, &now);
	deadline = now.tv_sec + seconds;
	for (;;) {
		if (waitpid(guard->runner, &guard->status, WNOHANG) != 0)
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec >= deadline)
			return false;
		left = (struct timespec){.tv_sec = deadline - now.tv_sec};
		number = sigtimedwait(guarded, NULL, &left);
		if (number > 0 && number != SIGCHLD) {
			guard->signal = number;
			kill(guard->runner, SIGTERM);
			return false;
		}
	}
}

static int guard_runner(struct cmd *cmd, struct guard *guard, const sigset_t *guarded, int seconds)
{
	char domain[64];

	if (!wait_for_runner(guard, guarded, seconds)) {
		guard->is_overdue = guard->signal == 0;
		kill(guard->runner, SIGTERM);
		if (!wait_for_runner(guard, guarded, GRACE_S)) { /* or a second signal */
			kill(guard->runner, SIGKILL);
			waitpid(guard->runner, &guard->status, 0);
		}
	}
	domain_kill_children();
	snprintf(domain, sizeof(domain), DEMO_DOMAIN, guard->runner);
	domain_segments(domain, true);
	if (guard->is_overdue)
		cmd_say(cmd->out, "demo: stopped after %d s", seconds);
	if (WIFSIGNALED(guard->status))
		cmd_say(cmd->out, "demo: ended by signal %d", WTERMSIG(guard->status));
	return WIFEXITED(guard->status) && !guard->is_overdue ? WEXITSTATUS(guard->status)
							      : EXIT_FAILED;
}

static int guarded_run(struct cmd *cmd, size_t takeovers, size_t kills)
{
	size_t usual = DEMO_TAKEOVERS + DEMO_KILLS, all = takeovers + kills;
	int seconds = (int)(WATCHDOG_S * (all > usual ? all : usual) / usual), status;
	struct guard guard = {0};
	pid_t self = getpid();
	sigset_t guarded, before;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	guarded_signals(&guarded);
	sigprocmask(SIG_BLOCK, &guarded, &before);
	fflush(NULL);
	guard.runner = fork();
	if (guard.runner == 0)
		runner(cmd, takeovers, kills, self);
	if (guard.runner < 0) {
		cmd_say(cmd->out, "demo: cannot fork: %s", strerror(errno));
		return EXIT_FAILED;
	}
	status = guard_runner(cmd, &guard, &guarded, seconds);
	if (guard.signal) {
		signal(guard.signal, SIG_DFL);
		raise(guard.signal);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

int demo_main(int argc, char **argv)
{
	struct out out;
	struct cmd cmd = {.command = cmd_find("demo"), .out = &out};
	long takeovers, kills;
	int status;

	out_init(&out);
	status = cmd_parse(&cmd, argc, argv);
	if (status >= 0)
		return status;
	takeovers = cmd_count(&cmd, OPTION_TAKEOVERS, DEMO_TAKEOVERS, COUNT_MOST);
	kills = takeovers ? cmd_count(&cmd, OPTION_KILLS, DEMO_KILLS, COUNT_MOST) : 0;
	if (takeovers == 0 || kills == 0)
		return EXIT_USAGE;
	return guarded_run(&cmd, (size_t)takeovers, (size_t)kills);
}
