/* SPDX-License-Identifier: ISC */
/*
 * Exactly once, under kills. Two banks, each an application with a hot standby, keep accounts in their state;
 * payers move money within and between them by calls and messages, while a seeded storm kills, stops and
 * continues owners, standbys, targets, leaders, `heir up`, payers and those who ask for takeovers, and takes
 * over in between. In the end every account of the banks must be what the payers' ledgers say, each order
 * carried out once or not at all as its caller was told, the sum of all money 0, the service served and
 * protected, and after `heir down` nothing left.
 *
 *   money storm --heir PROGRAM [--seconds N] [--seed N] [--nodes 2|3] [--payers N] [--exclusive]
 *               [--clerks] [--cold] [--keep] [--patience SECONDS] [--break WAY [--must-fail]]
 *
 * An hour: --seconds 3600. A seed repeats the choices, not their moments. WAY breaks the banks, for a test that
 * this would be seen: `unmarked` changes the state without heir_mark, `lost` answers what is delivered again
 * without doing it, `doubled` does it twice; `no_undo` and `no_redo` leave these out of the
 * recovery. It does not show: power loss, a kernel that fails, more than one host.
 */
#include "storm.h"

#include <errno.h>
#include <getopt.h>
#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "troupe.h"

#define LINES	  80
#define ROUND	  50 /* disturbances from one calm to the next */
#define EXIT_WRONG 42

struct storm storm = {.seconds = 20, .nodes = 2, .payers = 4, .patience = 20, .broken = ""};

static char lines[LINES][160];
static unsigned line_count;

void tell(const char *format, ...)
{
	char *line = lines[line_count++ % LINES];
	int n = snprintf(line, sizeof(lines[0]), "%9.3f ms  ", (double)(clock_ns() - storm.began) / 1e6);
	va_list args;

	va_start(args, format);
	vsnprintf(line + n, sizeof(lines[0]) - (size_t)n, format, args);
	va_end(args);
}

static void print_output(const char *const *argv)
{
	int status;

	waitpid(troupe_start(argv, "/dev/stdout", false), &status, 0);
}

static void print_failure(const char *what)
{
	static const char command[] =
		"test -z \"$SOAK_DUMP\" || $SOAK_DUMP; tail -n 40 up.log; timeout 10 \"$SOAK_HEIR\" steps --all -n 12; "
		"timeout 10 \"$SOAK_HEIR\" status --json; tail -n 5 payers.log askers.log";

	printf("FAILED: %s\nseed %llu, after %.1f s\n", what, (unsigned long long)storm.first_seed,
	       (double)(clock_ns() - storm.began) / 1e9);
	print_counts();
	puts("what happened last:");
	for (unsigned i = line_count > LINES ? line_count - LINES : 0; i < line_count; i++)
		puts(lines[i % LINES]);
	fflush(stdout);
	print_output((const char *const[]){"/bin/sh", "-c", command, NULL});
}

#define FAIL_WITH(code)                                                                                            \
	do {                                                                                                       \
		char what[512];                                                                                    \
		va_list args;                                                                                      \
		va_start(args, format);                                                                            \
		vsnprintf(what, sizeof(what), format, args);                                                       \
		va_end(args);                                                                                      \
		if ((code) == EXIT_WRONG && storm.must_fail)                                                       \
			printf("seen: %s\n", what);                                                                \
		else                                                                                               \
			print_failure(what);                                                                       \
		fflush(stdout);                                                                                    \
		_exit(code);                                                                                       \
	} while (0)

void wrong(const char *format, ...)
{
	FAIL_WITH(EXIT_WRONG);
}

void amiss(const char *format, ...)
{
	FAIL_WITH(1);
}

static void run(void)
{
	int64_t end;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	troupe_begin();
	storm.began = clock_ns();
	storm.page = page_map();
	for (unsigned i = 0; i < storm.payers; i++)
		storm.ledger[i] = ledger_map(i);
	cast_begin();
	storm.began = clock_ns();
	end = deadline_after(storm.seconds * NS_PER_SECOND);
	while (!deadline_passed(end)) {
		unsigned us = random_below(&storm.seed, random_below(&storm.seed, 4) ? 4000 : 40000);

		nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
		cast_look();
		disturb();
		if (storm.storms % ROUND == 0)
			cast_calm();
	}
	cast_end();
	audit();
	print_counts();
	if (storm.must_fail)
		puts("FAILED: that it is broken was not seen");
	fflush(stdout);
	_exit(0);
}

static volatile sig_atomic_t told_to_end;

static void end(int signal)
{
	told_to_end = signal;
}

/* The run is a child, so that its processes and files are removed however it ends. */
static int run_and_clean(const char *dir)
{
	struct sigaction action = {.sa_handler = end};
	char pattern[256];
	int status = 0, rc;
	pid_t child;
	glob_t found;

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	troupe_begin();
	fflush(stdout);
	child = fork();
	if (child == 0)
		run();
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		if (told_to_end)
			kill(child, SIGKILL);
	troupe_end();
	snprintf(pattern, sizeof(pattern), "/dev/shm/heir.%u.%s*", (unsigned)getuid(), storm.domain);
	if (glob(pattern, 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			unlink(found.gl_pathv[i]);
	if (storm.keep)
		printf("kept: %s\n", dir);
	else
		print_output((const char *const[]){"/bin/rm", "-rf", "--", dir, NULL});
	if (WIFSIGNALED(status))
		printf("FAILED: the run died of signal %d; seed %llu\n", WTERMSIG(status),
		       (unsigned long long)storm.first_seed);
	rc = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	return storm.must_fail ? rc != EXIT_WRONG : rc != 0;
}

static int usage(void)
{
	fputs("usage: money storm --heir PROGRAM [--seconds N] [--seed N] [--nodes 2|3] [--payers N] [--exclusive]\n"
	      "       [--clerks] [--cold] [--keep] [--patience SECONDS] [--break WAY [--must-fail]]\n",
	      stderr);
	return 2;
}

static int read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"heir", required_argument, NULL, 'h'},	 {"seconds", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'r'},	 {"nodes", required_argument, NULL, 'n'},
		{"payers", required_argument, NULL, 'p'}, {"exclusive", no_argument, NULL, 'x'},
		{"clerks", no_argument, NULL, 'c'},	 {"cold", no_argument, NULL, 'C'},
		{"keep", no_argument, NULL, 'k'},	 {"break", required_argument, NULL, 'b'},
		{"must-fail", no_argument, NULL, 'm'},	 {"patience", required_argument, NULL, 't'},
		{NULL, 0, NULL, 0},
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned long long number = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (letter) {
		case 'h':
			if (!realpath(optarg, storm.heir))
				return -1;
			break;
		case 's':
			storm.seconds = (unsigned)number;
			break;
		case 'r':
			storm.first_seed = number;
			break;
		case 'n':
			storm.nodes = (unsigned)number;
			break;
		case 'p':
			storm.payers = (unsigned)number;
			break;
		case 't':
			storm.patience = (unsigned)number;
			break;
		case 'b':
			storm.broken = optarg;
			break;
		case 'x':
			storm.exclusive = true;
			break;
		case 'c':
			storm.clerks = true;
			break;
		case 'C':
			storm.cold = true;
			break;
		case 'k':
			storm.keep = true;
			break;
		case 'm':
			storm.must_fail = true;
			break;
		default:
			return -1;
		}
	}
	return optind == argc && storm.heir[0] && (storm.nodes == 2 || storm.nodes == 3) && storm.payers >= 1 &&
			       storm.payers <= PAYERS && storm.seconds >= 1
		       ? 0
		       : -1;
}

int storm_main(int argc, char **argv)
{
	const char *base = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
	char dir[200];

	if (read_options(argc, argv))
		return usage();
	if (!storm.first_seed)
		storm.first_seed = (uint64_t)clock_real_ns();
	storm.seed = storm.first_seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	snprintf(storm.domain, sizeof(storm.domain), "soak%d", (int)getpid());
	snprintf(dir, sizeof(dir), "%.150s/heir-soak.XXXXXX", base);
	if (!realpath("/proc/self/exe", storm.self) || !mkdtemp(dir) || chdir(dir)) {
		fprintf(stderr, "money: %s: %s\n", dir, strerror(errno));
		return 1;
	}
	setenv("SOAK_DIR", dir, 1);
	setenv("SOAK_HEIR", storm.heir, 1);
	setenv("SOAK_BREAK", storm.broken, 1);
	setenv("HEIR_DOMAIN", storm.domain, 1);
	if (storm.exclusive)
		setenv("SOAK_EXCLUSIVE", "1", 1);
	else
		unsetenv("SOAK_EXCLUSIVE");
	if (storm.clerks)
		setenv("SOAK_CLERKS", "1", 1);
	else
		unsetenv("SOAK_CLERKS");
	unsetenv("HEIR_NODE");
	unsetenv("NOTIFY_SOCKET");
	printf("seed %llu\n", (unsigned long long)storm.first_seed);
	return run_and_clean(dir);
}

int main(int argc, char **argv)
{
	const char *dir = getenv("SOAK_DIR");

	if (argc > 1 && strcmp(argv[1], "storm") == 0)
		return storm_main(argc - 1, argv + 1);
	if (!dir || chdir(dir))
		return usage();
	if (argc == 3 && strcmp(argv[1], "bank") == 0)
		return bank_main(argv[2]);
	if (argc == 2 && strcmp(argv[1], "clerk") == 0)
		return clerk_main();
	if (argc == 4 && strcmp(argv[1], "payer") == 0)
		return payer_main((unsigned)atoi(argv[2]) % PAYERS, strtoull(argv[3], NULL, 10) | 1);
	return usage();
}
