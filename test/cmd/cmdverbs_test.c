/* SPDX-License-Identifier: ISC */
/* What every verb of a client prints and returns, for a person and as JSON. down has a file of its
 * own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_SECONDS 20

#define KV_JSON \
	"{\"name\":\"kv\",\"state\":\"running\",\"node\":\"a\",\"generation\":7," \
	"\"start_type\":\"takeover\",\"protected\":true,\"instances\":[" \
	"{\"node\":\"a\",\"state\":\"running\",\"permitted\":true}," \
	"{\"node\":\"b\",\"state\":\"standby\",\"permitted\":true}],\"children\":[" \
	"{\"id\":\"server\",\"pid\":4720,\"state\":\"running\",\"restarts\":0,\"children\":[]}," \
	"{\"id\":\"log-shipper\",\"pid\":4721,\"state\":\"running\",\"restarts\":3," \
	"\"children\":[]}]}"

#define NODES_JSON \
	"\"nodes\":[{\"name\":\"a\",\"pid\":4711,\"state\":\"running\"}," \
	"{\"name\":\"b\",\"pid\":4712,\"state\":\"running\"}]"

static void status_is_a_tree(void **state)
{
	(void)state;
	EXPECT(3,
		"domain default\n"
		"├─ nodes\n"
		"│  ├─ a  running  pid 4711\n"
		"│  └─ b  running  pid 4712\n"
		"├─ kv   running  on a  generation 7  takeover       protected yes\n"
		"│  ├─ a  running\n"
		"│  │  ├─ server       running  pid 4720  restarts 0\n"
		"│  │  └─ log-shipper  running  pid 4721  restarts 3\n"
		"│  └─ b  standby\n"
		"└─ log  down           generation 0  never started  protected no\n"
		"   ├─ a  absent\n"
		"   └─ b  absent  not permitted\n",
		"", "status");
	assert_int_equal(fake.open_flags, HEIR_OBSERVE);
}

static void status_of_one_application(void **state)
{
	struct run run;

	(void)state;
	run = run_heir(false, "", ARGUMENTS("status", "kv", "-d", "shop"));
	assert_string_equal(run.out, "domain default\n"
				     "`- kv  running  on a  generation 7  takeover  protected yes\n"
				     "   |- a  running\n"
				     "   |  |- server       running  pid 4720  restarts 0\n"
				     "   |  `- log-shipper  running  pid 4721  restarts 3\n"
				     "   `- b  standby\n");
	assert_int_equal(run.status, 0);
	assert_string_equal(fake.domain, "shop");
	run_free(&run);
}

static void status_as_json(void **state)
{
	(void)state;
	EXPECT(0, "{\"domain\":\"default\"," NODES_JSON ",\"applications\":[" KV_JSON "]}\n", "",
		"status", "--json", "kv");
	fake.status.node[1].pid = 0;
	fake.status.node[1].state = "dead";
	EXPECT(3,
		"{\"domain\":\"default\",\"nodes\":["
		"{\"name\":\"a\",\"pid\":4711,\"state\":\"running\"},"
		"{\"name\":\"b\",\"pid\":null,\"state\":\"dead\"}],\"applications\":["
		"{\"name\":\"log\",\"state\":\"down\",\"node\":null,\"generation\":0,"
		"\"start_type\":null,\"protected\":false,\"instances\":["
		"{\"node\":\"a\",\"state\":\"absent\",\"permitted\":true},"
		"{\"node\":\"b\",\"state\":\"absent\",\"permitted\":false}],\"children\":[]}]}\n",
		"", "status", "--json", "log");
}

static void status_is_done_when_all_run(void **state)
{
	struct run run;

	(void)state;
	fake.status.applications = 1;
	run = RUN("status");
	assert_int_equal(run.status, 0);
	run_free(&run);
	fake.status.applications = 0;
	EXPECT(0,
		"domain default\n"
		"└─ nodes\n"
		"   ├─ a  running  pid 4711\n"
		"   └─ b  running  pid 4712\n",
		"", "status");
}

static void status_knows_what_it_does_not_know(void **state)
{
	(void)state;
	EXPECT(4, "", "heir: no application `lgo`; did you mean `log`?\n", "status", "lgo");
	fake.status_error = HEIR_ECORRUPT;
	EXPECT(4, "", "heir: domain `default`: the segment is damaged\n", "status");
	fake_reset();
	fake.open_error = HEIR_ENODOMAIN;
	EXPECT(4, "", "heir: no domain `default` is running (start it with: heir up)\n", "status");
	EXPECT(4, "", "heir: no domain `shop` is running (start it with: heir up -d shop)\n",
		"status", "-dshop");
	fake.open_error = HEIR_EFOREIGN;
	EXPECT(4, "", "heir: domain `default`: another user's\n", "status");
}

#define DONE_JSON \
	"{\"application\":\"kv\",\"kind\":\"takeover\",\"from\":\"a\",\"to\":\"b\"," \
	"\"generation\":9,\"at\":\"2023-11-14T22:13:20.123456Z\",\"result\":\"done\"," \
	"\"total_us\":80.000,\"steps\":[" \
	"{\"name\":\"start\",\"start_us\":0.000,\"duration_us\":40.000}," \
	"{\"name\":\"switch\",\"start_us\":40.000,\"duration_us\":0.310}," \
	"{\"name\":\"takeover\",\"start_us\":40.310,\"duration_us\":19.690}," \
	"{\"name\":\"go\",\"start_us\":60.000,\"duration_us\":20.000}," \
	"{\"name\":\"stop_old\",\"start_us\":80.000,\"duration_us\":2500.000}]}"

#define FAILED_JSON \
	"{\"application\":\"kv\",\"kind\":\"failover\",\"from\":\"b\",\"to\":\"a\"," \
	"\"generation\":8,\"at\":\"2023-11-14T22:13:19.000000Z\",\"result\":\"aborted\"," \
	"\"failed_step\":\"start\",\"error\":\"the deadline passed\",\"total_us\":61.250," \
	"\"steps\":[{\"name\":\"notice\",\"start_us\":0.000,\"duration_us\":50.000}," \
	"{\"name\":\"claim\",\"start_us\":50.000,\"duration_us\":0.250}]}"

#define DONE_TEXT \
	"kv  takeover  a → b  generation 9  done  80.000 µs  2023-11-14 22:13:20.123\n" \
	"  step      start µs   took µs\n" \
	"  start        0.000    40.000  ████████████▌\n" \
	"  switch      40.000     0.310              ▐\n" \
	"  takeover    40.310    19.690              ▐██████\n" \
	"  go          60.000    20.000                    ▐██████\n" \
	"  stop_old    80.000  2500.000                           …\n"

#define FAILED_ASCII \
	"kv  failover  b -> a  generation 8  aborted  61.250 us  2023-11-14 22:13:19.000\n" \
	"  step start: the deadline passed\n" \
	"  step    start us  took us\n" \
	"  notice     0.000   50.000  #######################\n" \
	"  claim     50.000    0.250                        #\n"

static void takeover_prints_its_steps(void **state)
{
	(void)state;
	EXPECT(0, DONE_TEXT, "", "takeover", "kv", "b");
	assert_int_equal(fake.how, HEIR_AS_CONFIGURED);
	assert_int_equal(fake.timeout, INT64_C(10000000000));
	assert_int_equal(fake.open_flags, 0);
	fake_reset();
	EXPECT(0, DONE_JSON "\n", "", "takeover", "kv", "--exclusive", "b", "--json", "--wait",
		"--timeout=1500ms");
	assert_int_equal(fake.how, HEIR_EXCLUSIVE | HEIR_WAIT_TURN);
	assert_int_equal(fake.timeout, INT64_C(1500000000));
	fake_reset();
	fake.move[0].result = HEIR_FORCED;
	fake.move[0].steps = 0;
	EXPECT(0,
		"kv  takeover  a → b  generation 9  forced  80.000 µs  "
		"2023-11-14 22:13:20.123\n",
		"", "takeover", "--overlap", "kv", "b");
	assert_int_equal(fake.how, HEIR_OVERLAP);
}

static void takeover_that_fails_says_where(void **state)
{
	(void)state;
	fake.takeover_error = HEIR_EFAILED;
	EXPECT(1, FAILED_JSON "\n",
		"heir: takeover of `kv` to node `b` aborted, in step `start`: the deadline "
		"passed\n",
		"takeover", "kv", "b", "--json");
	fake_reset();
	fake.move[0].result = HEIR_SWITCHED_BACK;
	fake.move[0].error = HEIR_EFAILED;
	fake.move[0].steps = 0;
	EXPECT(1,
		"kv  takeover  a → b  generation 9  switched_back  80.000 µs  2023-11-14 "
		"22:13:20.123\n"
		"  it failed\n",
		"heir: takeover of `kv` to node `b` switched_back: it failed\n", "takeover", "kv",
		"b");
}

static void takeover_refused_says_why(void **state)
{
	static const struct {
		int error, status;
		const char *text;
	} cases[] = {
		{HEIR_EALREADY, 1, "heir: `kv` is on node `b` already\n"},
		{HEIR_EBUSY, 1,
			"heir: node `b` is taking `kv` over already, at generation 9; "
			"--wait waits for its end\n"},
		{HEIR_ENOTREADY, 1,
			"heir: no instance of `kv` on node `b` is ready to take over\n"},
		{HEIR_ETIMEDOUT, 124,
			"heir: takeover of `kv` to node `b` did not begin within 10s; "
			"nothing was changed\n"},
		{HEIR_EUNKNOWN, 124,
			"heir: takeover of `kv` to node `b` did not end within 10s; see: heir "
			"steps kv\n"},
		{HEIR_EPERM, 4, "heir: takeover of `kv` to node `b`: some error\n"},
		{HEIR_EGENERATION, 1, "heir: takeover of `kv` to node `b`: some error\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_reset();
		fake.takeover_error = cases[i].error;
		EXPECT(cases[i].status, "", cases[i].text, "takeover", "kv", "b");
	}
	fake_reset();
	fake.takeover_error = HEIR_ENOTREADY;
	fake.status.node[1].pid = 0;
	EXPECT(1, "",
		"heir: no instance of `kv` on node `b` is ready to take over: the node is not "
		"running\n",
		"takeover", "kv", "b");
	fake_reset();
	fake.takeover_error = HEIR_EPERM;
	EXPECT(4, "",
		"heir: `log` is not permitted on node `b` (permit it with: heir permit log b "
		"yes)\n",
		"takeover", "log", "b");
	fake_reset();
	EXPECT(2, "", "heir: takeover: --overlap and --exclusive exclude each other\n", "takeover",
		"kv", "b", "--overlap", "--exclusive");
}

static void takeover_names_what_is_unknown(void **state)
{
	(void)state;
	fake.takeover_error = HEIR_ENOENT;
	EXPECT(1, "", "heir: no application `kw`; did you mean `kv`?\n", "takeover", "kw", "b");
	fake_reset();
	fake.takeover_error = HEIR_ENOENT;
	EXPECT(1, "", "heir: no node `bb`; did you mean `b`?\n", "takeover", "kv", "bb");
	fake_reset();
	fake.takeover_error = HEIR_ENOENT;
	fake.status.application[0].instances = 1;
	EXPECT(1, "", "heir: application `kv` is not configured for node `b`\n", "takeover", "kv",
		"b");
	fake_reset();
	fake.open_error = HEIR_ENODOMAIN;
	EXPECT(7, "", "heir: no domain `default` is running (start it with: heir up)\n", "takeover",
		"kv", "b");
}

static void steps_shows_the_last_moves(void **state)
{
	struct run run;

	(void)state;
	EXPECT(0, "[" DONE_JSON "," FAILED_JSON "]\n", "", "steps", "--json");
	fake_reset();
	EXPECT(0, DONE_TEXT, "", "steps", "kv", "-n1");
	fake_reset();
	fake.move[0] = fake.move[1];
	run = run_heir(false, "", ARGUMENTS("steps"));
	assert_string_equal(run.out, FAILED_ASCII "\n" FAILED_ASCII);
	run_free(&run);
	fake_reset();
	EXPECT(0, "no takeovers or failovers yet; --all shows starts as well\n", "", "steps",
		"log");
	EXPECT(0, "no moves yet\n", "", "steps", "log", "--all");
	fake_reset();
	EXPECT(0, "[]\n", "", "steps", "log", "--json");
}

static void steps_leaves_starts_out(void **state)
{
	(void)state;
	fake.move[2] = fake.move[0];
	fake.move[0] = fake.move[1];
	fake.move[0].kind = HEIR_NORMAL;
	fake.move[1].kind = HEIR_LOCAL;
	fake.moves = 3;
	EXPECT(0, "[" DONE_JSON "]\n", "", "steps", "--json");
	EXPECT(0, DONE_TEXT, "", "steps", "-n1");
	fake.move[2].kind = HEIR_NORMAL;
	fake.move[2].steps = 0;
	EXPECT(0, "[]\n", "", "steps", "--json");
	fake.move[0] = fake.move[2];
	EXPECT(0,
		"kv  normal  a → b  generation 9  done  80.000 µs  2023-11-14 22:13:20.123\n",
		"", "steps", "-n1", "--all");
}

static void steps_refuses_nonsense(void **state)
{
	static const char *const counts[] = {
		"0", "-1", "x", "5x", "", "100001", "99999999999999999999"};
	char text[160];

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		snprintf(text, sizeof(text),
			"heir: steps: --count %s: a number from 1 to 100000 is needed\n",
			counts[i]);
		EXPECT(2, "", text, "steps", "-n", counts[i]);
	}
	EXPECT(1, "", "heir: no application `kvv`; did you mean `kv`?\n", "steps", "kvv");
	fake_reset();
	fake.moves_error = HEIR_ECORRUPT;
	EXPECT(1, "", "heir: steps: the segment is damaged\n", "steps");
}

static void names_are_listed_in_order(void **state)
{
	(void)state;
	EXPECT(0,
		"NAME      STATE    NODE   PID  APPLICATION  GENERATION\n"
		"heir@a    live     a     4711                        0\n"
		"kv        live     a     4720  kv                    7\n"
		"kv.admin  waiting              kv                    7\n",
		"", "names");
	fake_reset();
	EXPECT(0,
		"[{\"name\":\"kv.admin\",\"node\":null,\"pid\":null,\"generation\":7,"
		"\"application\":\"kv\",\"state\":\"waiting\"}]\n",
		"", "names", "--json", "kv.");
	fake_reset();
	EXPECT(0, "[]\n", "", "names", "none", "--json");
	fake_reset();
	EXPECT(0, "NAME  STATE  NODE  PID  APPLICATION  GENERATION\n", "", "names", "none");
}

static void names_cannot_steer_a_terminal(void **state)
{
	(void)state;
	fake.name[0].name = "k\033[2J\n";
	fake.names = 1;
	EXPECT(0,
		"NAME          STATE  NODE   PID  APPLICATION  GENERATION\n"
		"k\\x1b[2J\\x0a  live   a     4720  kv                    7\n",
		"", "names");
	fake_reset();
	fake.name[0].name = "k\033\n\xff";
	fake.names = 1;
	EXPECT(0,
		"[{\"name\":\"k\\u001b\\n\\ufffd\",\"node\":\"a\",\"pid\":4720,\"generation\":7,"
		"\"application\":\"kv\",\"state\":\"live\"}]\n",
		"", "names", "--json");
}

static void whereis_answers(void **state)
{
	(void)state;
	EXPECT(0, "kv  live  node a  pid 4720  application kv  generation 7\n", "", "whereis",
		"kv");
	fake_reset();
	EXPECT(0, "heir@a  live  node a  pid 4711\n", "", "whereis", "heir@a");
	fake_reset();
	EXPECT(3, "kv.admin  waiting  application kv  generation 7\n", "", "whereis", "kv.admin");
	fake_reset();
	EXPECT(3,
		"{\"name\":\"kv.admin\",\"node\":null,\"pid\":null,\"generation\":7,"
		"\"application\":\"kv\",\"state\":\"waiting\"}\n",
		"", "whereis", "--json", "kv.admin");
	fake_reset();
	EXPECT(4, "", "heir: no name `kv.admn`; did you mean `kv.admin`?\n", "whereis", "kv.admn");
	fake_reset();
	EXPECT(4, "", "heir: no name `frobnicate`; `heir names` lists them\n", "whereis", "frobnicate");
	fake_reset();
	fake.open_error = HEIR_ENODOMAIN;
	EXPECT(4, "", "heir: no domain `default` is running (start it with: heir up)\n", "whereis",
		"kv");
}

static void send_hands_the_bytes_over(void **state)
{
	struct run run;

	(void)state;
	EXPECT(0, "", "", "send", "kv", "GET a");
	assert_string_equal(fake.sent_to, "kv");
	assert_int_equal(fake.sent_size, 5);
	assert_memory_equal(fake.sent, "GET a", 5);
	fake_reset();
	EXPECT(0, "", "", "send", "kv@a", "--", "-x");
	assert_memory_equal(fake.sent, "-x", 2);
	fake_reset();
	run = run_heir(true, "two\nlines\n", ARGUMENTS("send", "kv", "-"));
	assert_int_equal(run.status, 0);
	assert_int_equal(fake.sent_size, 10);
	assert_memory_equal(fake.sent, "two\nlines\n", 10);
	run_free(&run);
	fake_reset();
	EXPECT(0, "", "", "send", "kv", "-");
	assert_int_equal(fake.sent_size, 0);
}

static void send_says_what_went_wrong(void **state)
{
	static const char long_text[] =
		"0123456789012345678901234567890123456789012345678901234567890123456789";
	struct run run;

	(void)state;
	fake.send_error = HEIR_EAGAIN;
	EXPECT(1, "", "heir: send to `kv`: the mailbox is full\n", "send", "kv", "x");
	fake_reset();
	fake.send_error = HEIR_ENOENT;
	EXPECT(1, "", "heir: no name `kw`; did you mean `kv`?\n", "send", "kw", "x");
	fake_reset();
	fake.send_error = HEIR_ENOENT;
	EXPECT(1, "", "heir: no node `c`; `heir status` lists them\n", "send", "heir@c", "x");
	fake_reset();
	fake.send_error = HEIR_ENOENT;
	EXPECT(1, "", "heir: no name `kw`; did you mean `kv`?\n", "send", "kw@a", "x");
	fake_reset();
	fake.send_error = HEIR_ENOENT;
	EXPECT(1, "", "heir: no process of `kv` on node `b`\n", "send", "kv@b", "x");
	fake_reset();
	EXPECT(1, "", "heir: send to `kv`: the limit is 64 bytes: too big\n", "send", "kv",
		long_text);
	fake_reset();
	run = run_heir(true, long_text, ARGUMENTS("send", "kv", "-"));
	assert_string_equal(run.error, "heir: send to `kv`: the limit is 64 bytes: too big\n");
	assert_int_equal(run.status, 1);
	run_free(&run);
}

static void call_prints_the_reply(void **state)
{
	struct run run;

	(void)state;
	EXPECT(0, "ok\n", "", "call", "kv", "PING");
	assert_int_equal(fake.timeout, INT64_C(5000000000));
	fake_reset();
	fake.reply = "two\nlines\n";
	fake.reply_size = 10;
	EXPECT(0, "two\nlines\n", "", "call", "kv", "PING", "--timeout", "1us");
	assert_int_equal(fake.timeout, 1000);
	fake_reset();
	fake.reply_size = 0;
	EXPECT(0, "\n", "", "call", "kv", "PING");
	fake_reset();
	run = run_heir(true, "GET a", ARGUMENTS("call", "kv", "-"));
	assert_int_equal(run.status, 0);
	assert_int_equal(fake.sent_size, 5);
	run_free(&run);
}

static void call_says_what_went_wrong(void **state)
{
	static const struct {
		int error, status;
		const char *text;
	} cases[] = {
		{HEIR_ETIMEDOUT, 124, "heir: call to `kv`: the deadline passed\n"},
		{HEIR_EUNKNOWN, 124, "heir: call to `kv`: outcome unknown\n"},
		{HEIR_EPOISON, 1, "heir: call to `kv`: set aside\n"},
		{HEIR_EDEAD, 1, "heir: call to `kv`: it died\n"},
		{HEIR_ENOENT, 1, "heir: call to `kv`: no such thing\n"},
		{-EACCES, 4, "heir: call to `kv`: Permission denied\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_reset();
		fake.call_error = cases[i].error;
		EXPECT(cases[i].status, "", cases[i].text, "call", "kv", "x");
	}
}

static void become_protected(void)
{
	if (fake.waits == 3)
		fake.status.application[0].is_protected = 1;
}

static void move_to_b(void)
{
	if (fake.waits == 2)
		strcpy(fake.status.application[0].node, "b");
}

static void wait_returns_when_it_is_so(void **state)
{
	(void)state;
	EXPECT(0, "", "", "wait", "kv");
	assert_int_equal(fake.waits, 0);
	fake_reset();
	fake.status.application[0].is_protected = 0;
	fake.changed = become_protected;
	EXPECT(0, "", "", "wait", "kv", "--protected", "--running", "--timeout", "1h");
	assert_int_equal(fake.waits, 3);
	assert_in_range(fake.timeout, 1, 50000000);
	fake_reset();
	fake.changed = move_to_b;
	EXPECT(0, "", "", "wait", "--node", "b", "kv");
	assert_int_equal(fake.waits, 2);
	fake_reset();
	fake.status.application[1].is_protected = 1;
	EXPECT(0, "", "", "wait", "log", "--protected");
}

static void wait_gives_up(void **state)
{
	(void)state;
	EXPECT(124, "", "heir: after 0s `log` is down, protected: no\n", "wait", "log", "--timeout",
		"0s");
	assert_int_equal(fake.waits, 0);
	fake_reset();
	EXPECT(124, "", "heir: after 1us `kv` is running on node a, protected: yes\n", "wait", "kv",
		"--node", "b", "--timeout", "1us");
	fake_reset();
	EXPECT(1, "", "heir: no application `kvv`; did you mean `kv`?\n", "wait", "kvv");
	fake_reset();
	EXPECT(1, "", "heir: no node `ab`; did you mean `a`?\n", "wait", "kv", "--node", "ab");
	fake_reset();
	fake.open_error = HEIR_ENODOMAIN;
	EXPECT(7, "", "heir: no domain `default` is running (start it with: heir up)\n", "wait",
		"kv");
}

static int prepare(void **state)
{
	(void)state;
	alarm(LIMIT_SECONDS);
	setenv("TZ", "UTC", 1);
	unsetenv("HEIR_DOMAIN");
	fake_reset();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(status_is_a_tree, prepare),
		cmocka_unit_test_setup(status_of_one_application, prepare),
		cmocka_unit_test_setup(status_as_json, prepare),
		cmocka_unit_test_setup(status_is_done_when_all_run, prepare),
		cmocka_unit_test_setup(status_knows_what_it_does_not_know, prepare),
		cmocka_unit_test_setup(takeover_prints_its_steps, prepare),
		cmocka_unit_test_setup(takeover_that_fails_says_where, prepare),
		cmocka_unit_test_setup(takeover_refused_says_why, prepare),
		cmocka_unit_test_setup(takeover_names_what_is_unknown, prepare),
		cmocka_unit_test_setup(steps_shows_the_last_moves, prepare),
		cmocka_unit_test_setup(steps_leaves_starts_out, prepare),
		cmocka_unit_test_setup(steps_refuses_nonsense, prepare),
		cmocka_unit_test_setup(names_are_listed_in_order, prepare),
		cmocka_unit_test_setup(names_cannot_steer_a_terminal, prepare),
		cmocka_unit_test_setup(whereis_answers, prepare),
		cmocka_unit_test_setup(send_hands_the_bytes_over, prepare),
		cmocka_unit_test_setup(send_says_what_went_wrong, prepare),
		cmocka_unit_test_setup(call_prints_the_reply, prepare),
		cmocka_unit_test_setup(call_says_what_went_wrong, prepare),
		cmocka_unit_test_setup(wait_returns_when_it_is_so, prepare),
		cmocka_unit_test_setup(wait_gives_up, prepare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
