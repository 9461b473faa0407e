/* SPDX-License-Identifier: ISC */
/* Every diagnostic, each with its place. */
#include "conf_fixture.h"

struct wrong {
	const char *text;
	const char *error;
};

static void expect_each(const struct wrong *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect_error(cases[i].text, cases[i].error);
}

static void test_domain(void **state)
{
	static const struct wrong cases[] = {
		{"domain: x\n", "1:1: the domain has no 'nodes', such as nodes: [a, b]"},
		{"nodes: [a]\ndomain:\n", "2:1: 'domain' must be text; this is empty"},
		{"nodes: [a]\ndomain: [d]\n", "2:9: 'domain' must be text; this is a list"},
		{"nodes: [a]\ndomain: a/b\n",
			"2:9: 'a/b' is no name of a domain: letters, digits, '_', '-' and '.', "
			"the first a letter, digit or '_'"},
		{"nodes: [a]\ndomain: ''\n",
			"2:9: '' is no name of a domain: letters, digits, '_', '-' and '.', the "
			"first a letter, digit or '_'"},
		{"nodes: a\n", "1:8: 'nodes' must be a list; this is text; write it in [ ]"},
		{"nodes: {a: b}\n", "1:8: 'nodes' must be a list; this is a mapping"},
		{"nodes: []\n", "1:8: 'nodes' has 0 nodes; it takes from 1 to 16"},
		{"nodes: [a, b, a]\n", "1:15: node 'a' is there twice"},
		{"nodes: [a, [b]]\n", "1:12: a node must be text; this is a list"},
		{"nodes: [a, -b]\n",
			"1:12: '-b' is no name of a node: letters, digits, '_', '-' and '.', the "
			"first a "
			"letter, digit or '_'"},
		{"nodes: [a@b]\n",
			"1:9: 'a@b' is no name of a node: letters, digits, '_', '-' and '.', the "
			"first a "
			"letter, digit or '_'"},
		{"nodes: [a]\napplications: [x]\n",
			"2:15: 'applications' must be a mapping; this is a list"},
		{"nodes: [a]\napplications:\n",
			"2:1: 'applications' must be a mapping; this is empty"},
		{"nodes: [a]\nlimits: 5\n", "2:9: 'limits' must be a mapping; this is text"},
		{"nodes: [a]\nlimits: {names: 5MiB}\n",
			"2:17: 'names' must be a whole number, such as 3; this is '5MiB'"},
		{"nodes: [a]\nlimits: {message: 4096}\n",
			"2:19: '4096' needs a unit: B, KiB, MiB or GiB"},
		{"nodes: [a]\nlimits: {message: 4k}\n",
			"2:19: 'k' is no unit; use B, KiB, MiB or GiB, or kB, MB or GB"},
		{"nodes: [a]\nlimits: {message: 100.5B}\n",
			"2:19: '100.5B' is not a whole number of bytes"},
		{"nodes: [a]\nlimits: {message: big}\n",
			"2:19: 'message' must be a size, such as 64MiB; this is 'big'"},
		{"nodes: [a]\nlimits: {trace: [1]}\n",
			"2:17: 'trace' must be a whole number, such as 3; this is a list"},
		{"nodes: [a]\nlow_latency: [x]\n",
			"2:14: 'low_latency' must be a mapping; this is a list"},
		{"nodes: [a]\nlow_latency: yes\n",
			"2:14: 'low_latency' cannot be 'yes'; it is one of: false, true"},
		{"nodes: [a]\nlow_latency: {spin: 20}\n",
			"2:21: '20' needs a unit, such as 20s"},
		{"nodes: [a]\nlow_latency: {spin: 1s}\n",
			"2:21: 'spin' is 1s; it must be from 0s to 10ms"},
		{"nodes: [a]\nlow_latency: {lock_memory: 1}\n",
			"2:28: 'lock_memory' cannot be '1'; it is one of: false, true"},
		{"nodes: [a]\nlow_latency: {prefalt: true}\n",
			"2:15: unknown key 'prefalt' of low_latency; did you mean 'prefault'?"},
	};
	(void)state;
	expect_each(cases, ARRAY_LENGTH(cases));
}

static void test_unknown_keys(void **state)
{
	static const struct wrong cases[] = {
		{"nodes: [a]\ndoman: x\n",
			"2:1: unknown key 'doman' of the domain; did you mean 'domain'?"},
		{"nodes: [a]\nqqq: x\n",
			"2:1: unknown key 'qqq' of the domain; the keys are: domain, nodes, "
			"limits, low_latency, applications"},
		{"nodes: [a]\nstandby: hot\n",
			"2:1: 'standby' is a key of an application, not of the domain"},
		{"nodes: [a]\nlimits: {nmaes: 20}\n",
			"2:10: unknown key 'nmaes' of limits; did you mean 'names'?"},
		{APPLICATION("stepp_timeout: 1s"),
			"4:5: unknown key 'stepp_timeout' of an application; did you mean "
			"'step_timeout'?"},
		{APPLICATION("limits: {}"),
			"4:5: 'limits' is a key of the whole domain, not of an application"},
		{APPLICATION("failovers: {inensity: 1}"),
			"4:17: unknown key 'inensity' of failovers; did you mean 'intensity'?"},
		{WORKER("name: [x]"), "4:5: unknown key 'name' of a worker; did you mean 'names'?"},
		{WORKER("strategy: one_for_one"),
			"4:5: 'strategy' is a key of a supervisor, not of a worker"},
		{WORKER("ready: {df: 5, fd: 5}"),
			"4:13: unknown key 'df' of ready; did you mean 'fd'?"},
		{DOMAIN "  x: {supervisor: {exec: [a], children: [{id: s, exec: [x]}]}}\n",
			"3:20: 'exec' is a key of a child, not of a supervisor"},
		{DOMAIN "  x: {supervisor: {children: [{id: s, exec: [x]},\n"
			"    {id: t, type: supervisor, children: [], names: [x]}]}}\n",
			"4:45: 'names' is a key of a worker, not of a supervisor"},
		{APPLICATION("'': 1"), NULL},
	};
	(void)state;
	expect_each(cases, ARRAY_LENGTH(cases) - 1);
	struct conf_report report = load_wrong(cases[ARRAY_LENGTH(cases) - 1].text);
	assert_non_null(strstr(
		report.text, "unknown key '' of an application; the keys are: instances, nodes, "));
	conf_report_finish(&report);
}

static void test_values(void **state)
{
	static const struct wrong cases[] = {
		{APPLICATION("step_timeout: 5"), "4:19: '5' needs a unit, such as 5s"},
		{APPLICATION("step_timeout: 1.5"), "4:19: '1.5' needs a unit, such as 1.5s"},
		{APPLICATION("failover_timeout: 0"), "4:23: '0' needs a unit, such as 0s"},
		{APPLICATION("step_timeout: 5m"),
			"4:19: 'm' is no unit; use us, ms, s, min, h or d"},
		{APPLICATION("step_timeout: soon"),
			"4:19: 'step_timeout' must be a duration, such as 5s; this is 'soon'"},
		{APPLICATION("step_timeout: infinity"),
			"4:19: 'step_timeout' must be a duration, such as 5s; this is 'infinity'"},
		{APPLICATION("failover_timeout: never"),
			"4:23: 'failover_timeout' must be a duration, such as 5s, or infinity; "
			"this is 'never'"},
		{APPLICATION("step_timeout: "),
			"4:5: 'step_timeout' must be a duration, such as 5s; this is empty"},
		{APPLICATION("step_timeout: 2h"),
			"4:19: 'step_timeout' is 2h; it must be from 1ms to 1h"},
		{APPLICATION("step_timeout: 99999999999999999999s"),
			"4:19: 'step_timeout' is 99999999999999999999s; it must be from 1ms to 1h"},
		{APPLICATION("claim_grace: 0.1us"), NULL},
		{APPLICATION("claim_grace: 0.0001us"),
			"4:18: '0.0001us' is not a whole number of nanoseconds"},
		{APPLICATION("standby: hott"),
			"4:14: 'standby' cannot be 'hott'; did you mean 'hot'?"},
		{APPLICATION("standby: warmed"),
			"4:14: 'standby' cannot be 'warmed'; it is one of: cold, hot"},
		{APPLICATION("standby: [hot]"),
			"4:14: 'standby' must be one of cold, hot; this is a list"},
		{APPLICATION("standby: "),
			"4:5: 'standby' must be one of cold, hot; this is empty"},
		{APPLICATION("take_back: always"),
			"4:16: 'take_back' cannot be 'always'; it is one of: manual, auto"},
		{APPLICATION("on_give_up: fail_over"),
			"4:17: 'on_give_up' cannot be 'fail_over'; did you mean 'failover'?"},
		{APPLICATION("restart_type: Temporary"),
			"4:19: 'restart_type' cannot be 'Temporary'; did you mean 'temporary'?"},
		{APPLICATION("failovers: 5"), "4:16: 'failovers' must be a mapping; this is text"},
		{APPLICATION("failovers: {period: 60}"), "4:25: '60' needs a unit, such as 60s"},
		{APPLICATION("max_deliveries: -1"),
			"4:21: 'max_deliveries' must be a whole number, such as 3; this is '-1'"},
		{APPLICATION("max_deliveries: 99999999999999999999"),
			"4:21: 'max_deliveries' is 99999999999999999999; it must be from 1 to 100"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		if (cases[i].error)
			expect_error(cases[i].text, cases[i].error);
		else
			expect_good(cases[i].text);
}

static void test_nodes(void **state)
{
	static const struct wrong cases[] = {
		{APPLICATION("nodes: [a, c]"), "4:16: unknown node 'c'; the nodes are: a, b"},
		{"nodes: [alpha, beta]\napplications: {x: {nodes: [alhpa], supervisor: " TREE "}}",
			"2:28: unknown node 'alhpa'; did you mean 'alpha'?"},
		{APPLICATION("nodes: [a, [b, a]]"), "4:20: node 'a' is there twice"},
		{APPLICATION("nodes: a"),
			"4:12: 'nodes' must be a list; this is text; write it in [ ]"},
		{APPLICATION("nodes: []"),
			"4:12: 'nodes' names no node; leave it out for all of them"},
		{APPLICATION("nodes: [a, []]"), "4:16: a group of no nodes"},
		{APPLICATION("nodes: [a, [[b]]]"), "4:17: a node must be text; this is a list"},
		{APPLICATION("nodes: [a, ~]"), "4:16: a node must be text; this is empty"},
		{"nodes: 5\napplications: {x: {nodes: [a, c], supervisor: " TREE "}}",
			"1:8: 'nodes' must be a list; this is text; write it in [ ]"},
	};
	(void)state;
	expect_each(cases, ARRAY_LENGTH(cases));
}

static void test_steps(void **state)
{
	static const struct wrong cases[] = {
		{APPLICATION("takeover: overlapped"),
			"4:15: 'takeover' cannot be 'overlapped'; did you mean 'overlap'?"},
		{APPLICATION("takeover: {a: b}"),
			"4:15: 'takeover' must be one of overlap, exclusive; this is a mapping"},
		{APPLICATION("takeover: [start, go]"), "4:15: step 'switch' is missing"},
		{APPLICATION("takeover: [switch, go]"), "4:15: step 'start' is missing"},
		{APPLICATION("takeover: [start, swithc]"),
			"4:15: step 'switch' is missing; is it 'swithc'?"},
		{APPLICATION("takeover: [start, switch, switch]"),
			"4:31: step 'switch' is there twice"},
		{APPLICATION("takeover: [start, start, switch]"),
			"4:23: step 'start' is there twice"},
		{APPLICATION("takeover: [stop_old, start, switch, stop_old]"),
			"4:41: step 'stop_old' is there twice"},
		{APPLICATION("takeover: [start, go, switch, go]"),
			"4:35: step 'go' is there twice"},
		{APPLICATION("takeover: [switch, start]"),
			"4:15: 'switch' comes before 'start'; only 'stop_old' can"},
		{APPLICATION("takeover: [go, start, switch]"),
			"4:15: 'go' comes before 'start'; only 'stop_old' can"},
		{APPLICATION("takeover: [start, switch, Go]"),
			"4:31: 'Go' is no step: at most 31 lower-case letters, digits and '_', the "
			"first a letter"},
		{APPLICATION("takeover: [start, switch, 2nd]"),
			"4:31: '2nd' is no step: at most 31 lower-case letters, digits and '_', "
			"the first a letter"},
		{APPLICATION("takeover: [start, switch, abcdefghijklmnopqrstuvwxyzabcdef]"),
			"4:31: 'abcdefghijklmnopqrstuvwxyzabcdef' is no step: at most 31 "
			"lower-case letters, digits and "
			"'_', the first a letter"},
		{APPLICATION("takeover: [start, switch, claim]"),
			"4:31: 'claim' is a step of every failover and cannot be a phase"},
		{APPLICATION("takeover: [notice, start, switch]"),
			"4:16: 'notice' is a step of every failover and cannot be a phase"},
		{APPLICATION("takeover: [start, switch, [go]]"),
			"4:31: a step must be text; this is a list"},
		{APPLICATION("start_phases: overlap"),
			"4:19: 'start_phases' must be a list; this is text; write it in [ ]"},
		{APPLICATION("takeover: overlap, start_phases: [start, switch]"),
			"4:38: 'takeover' and 'start_phases' both give the steps; leave one out"},
	};
	(void)state;
	expect_each(cases, ARRAY_LENGTH(cases));
	expect_errors(APPLICATION("takeover: []"),
		"4:15: step 'start' is missing\n4:15: step 'switch' is missing\n", 2);
	expect_good(APPLICATION("takeover: [start, stop_old, switch]"));
	expect_good(APPLICATION("takeover: [start, switch, abcdefghijklmnopqrstuvwxyzabcde]"));
}

static void test_dependencies(void **state)
{
	static const struct wrong cases[] = {
		{APPLICATION("applications: y"),
			"4:19: 'applications' must be a list; this is text; write it in [ ]"},
		{APPLICATION("applications: [[y]]"),
			"4:20: an application must be text; this is a list"},
		{APPLICATION("applications: [y]"), "4:20: unknown application 'y'"},
		{APPLICATION("applications: [x]"), "4:20: cycle in 'applications': x -> x"},
		{DOMAIN "  log: {supervisor: " TREE
			"}\n  x: {applications: [lgo], supervisor: " TREE "}\n",
			"4:22: unknown application 'lgo'; did you mean 'log'?"},
		{DOMAIN "  log: {supervisor: " TREE
			"}\n  x: {applications: [store], supervisor: " TREE "}\n",
			"4:22: unknown application 'store'; the others are: log"},
		{DOMAIN "  x: {applications: [y], supervisor: " TREE "}\n"
			"  y: {applications: [z], supervisor: " TREE "}\n"
			"  z: {applications: [w, y], supervisor: " TREE "}\n"
			"  w: {supervisor: " TREE "}\n",
			"5:25: cycle in 'applications': y -> z -> y"},
		{DOMAIN "  x: {applications: [t], supervisor: " TREE "}\n"
			"  t: {instances: {i: [a]}, applications: [x], supervisor: " TREE "}\n",
			"4:43: cycle in 'applications': x -> t/i -> x"},
		{DOMAIN "  t: {instances: {i: [a], j: [a]}, applications: [s/%i], supervisor: " TREE
			"}\n"
			"  s: {instances: {i: [a]}, supervisor: " TREE "}\n",
			"3:51: unknown application 's/j'; did you mean 's/i'?"},
	};
	(void)state;
	expect_each(cases, ARRAY_LENGTH(cases));
	expect_good(DOMAIN "  x: {applications: [y, z, y], supervisor: " TREE "}\n"
			   "  y: {applications: [z], supervisor: " TREE "}\n  z: {supervisor: " TREE
			   "}\n");
}

static void test_listen(void **state)
{
	static const char form[] = "is no address to listen on; an address is IPV4:PORT, "
				   "[IPV6]:PORT or unix:/PATH, in "
				   "numbers";
	static const char port[] = "is no address to listen on; a port is a number from 1 to 65535";
	static const char *const forms[] = {"localhost:80", "127.0.0.1", "80", ":80", "*:80",
		"127.0.0.256:80", "127.0.0.1.1:80", "[::1]", "::1:80", "[::g]:80", "[127.0.0.1]:80",
		"[]:80", "::1]:80", "]:80", "[:80", "[::1:80", "", "/run/x",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80"};
	static const char *const ports[] = {"127.0.0.1:0", "127.0.0.1:65536",
		"127.0.0.1:", "[::1]:x", "127.0.0.1:-1", "127.0.0.1:99999999999999999999"};
	char error[512];
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
		(void)snprintf(error, sizeof(error), "4:17: '%s' %s", forms[i], form);
		expect_error(with(APPLICATION("listen: {a: '%s'}"), forms[i]), error);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(ports); i++) {
		(void)snprintf(error, sizeof(error), "4:17: '%s' %s", ports[i], port);
		expect_error(with(APPLICATION("listen: {a: '%s'}"), ports[i]), error);
	}
	expect_error(APPLICATION("listen: {a: 'unix:run'}"),
		"4:17: 'unix:run' is no address to listen on; a path after 'unix:' begins with "
		"'/'");
	expect_error(APPLICATION("listen: '127.0.0.1:80'"),
		"4:13: 'listen' must be a mapping; this is text");
	expect_error(
		APPLICATION("listen: {a: [1]}"), "4:17: an address must be text; this is a list");
	expect_error(APPLICATION("listen: {'a:b': '127.0.0.1:80'}"),
		"4:14: 'a:b' is no name of a socket: letters, digits, '_', '-' and '.', the first "
		"a letter, digit or '_'");
	expect_error(APPLICATION("listen: {a: '[::1]:80', b: '[0::1]:80'}"),
		"4:32: address '[0::1]:80' is there twice; the first is on line 4");
	expect_error(DOMAIN "  x: {listen: {a: 'unix:/a'}, supervisor: " TREE "}\n"
			    "  y: {listen: {a: 'unix:/a'}, supervisor: " TREE "}\n",
		"4:19: address 'unix:/a' is there twice; the first is on line 3");
}

static void test_env(void **state)
{
	static const struct wrong cases[] = {
		{APPLICATION("env: [A]"), "4:10: 'env' must be a mapping; this is a list"},
		{APPLICATION("env: {A: }"),
			"4:11: a variable must be text; this is empty; put quotes around an empty "
			"text, or around null"},
		{APPLICATION("env: {A: {}}"), "4:14: a variable must be text; this is a mapping"},
		{APPLICATION("env: {1A: b}"),
			"4:11: '1A' is no name of a variable: letters, digits and '_', the first "
			"not a digit"},
		{APPLICATION("env: {0: b}"),
			"4:11: '0' is no name of a variable: letters, digits and '_', the first "
			"not "
			"a digit"},
		{APPLICATION("env: {9A: b}"),
			"4:11: '9A' is no name of a variable: letters, digits and '_', the first "
			"not "
			"a digit"},
		{APPLICATION("env: {A=B: b}"),
			"4:11: 'A=B' is no name of a variable: letters, digits and '_', the first "
			"not a digit"},
		{APPLICATION("env: {HEIR_NODE: b}"),
			"4:11: variable 'HEIR_NODE' is set by heir itself"},
		{APPLICATION("env: {NOTIFY_SOCKET: b}"),
			"4:11: variable 'NOTIFY_SOCKET' is set by heir itself"},
		{APPLICATION("env: {LISTEN_FDS: b}"),
			"4:11: variable 'LISTEN_FDS' is set by heir itself"},
		{APPLICATION("env: {WATCHDOG_USEC: b}"),
			"4:11: variable 'WATCHDOG_USEC' is set by heir itself"},
	};
	(void)state;
	expect_each(cases, ARRAY_LENGTH(cases));
	expect_good(APPLICATION("env: {LISTEN_PORT: 80, _: x}"));
}

static void test_trees(void **state)
{
	static const struct wrong cases[] = {
		{DOMAIN "  x: {}\n", "3:3: the application has no 'supervisor'"},
		{DOMAIN "  x:\n", "3:3: an application must be a mapping; this is empty"},
		{DOMAIN "  x: []\n", "3:6: an application must be a mapping; this is a list"},
		{DOMAIN "  x: {supervisor: [a]}\n",
			"3:19: 'supervisor' must be a mapping; this is a list"},
		{DOMAIN "  x: {supervisor: {}}\n", "3:19: the supervisor has no 'children'"},
		{DOMAIN "  x: {supervisor: {children: []}}\n",
			"3:19: the application has no worker"},
		{DOMAIN "  x: {supervisor: {children: }}\n",
			"3:20: 'children' must be a list; this is empty"},
		{DOMAIN "  x: {supervisor: {children: [x]}}\n",
			"3:31: a child must be a mapping; this is text"},
		{DOMAIN "  x: {supervisor: {children: [{id: t, type: supervisor, children: "
			"[]}]}}\n",
			"3:19: the application has no worker"},
		{DOMAIN "  x: {supervisor: {children: [{exec: [x]}]}}\n",
			"3:31: the child has no 'id'"},
		{DOMAIN "  x: {supervisor: {children: [{id: s}]}}\n",
			"3:31: the worker has no 'exec'"},
		{DOMAIN "  x: {supervisor: {children: [{id: s, exec: [x]}, {id: t, type: "
			"supervisor}]}}\n",
			"3:51: the supervisor has no 'children'"},
		{DOMAIN "  x: {supervisor: {children: [{id: s, exec: [x]}, {id: t, children: "
			"[]}]}}\n",
			"3:51: a child with 'children' needs type: supervisor"},
		{DOMAIN "  x: {supervisor: {children: [{id: s, exec: [x]},\n    {id: s, exec: "
			"[x]}]}}\n",
			"4:10: child id 's' is there twice in one application; the first is on "
			"line 3"},
		{DOMAIN "  x: {supervisor: {children: [{id: s, exec: [x]},\n"
			"    {id: t, type: supervisor, children: [{id: s, exec: [x]}]}]}}\n",
			"4:47: child id 's' is there twice in one application; the first is on "
			"line 3"},
		{DOMAIN "  x: {supervisor: {strategy: simple_one_for_one, children: [{id: s, exec: "
			"[x]}]}}\n",
			"3:30: 'strategy' cannot be 'simple_one_for_one'; it is one of: "
			"one_for_one, one_for_all, "
			"rest_for_one"},
		{DOMAIN "  x: {supervisor: {period: 5, children: [{id: s, exec: [x]}]}}\n",
			"3:28: '5' needs a unit, such as 5s"},
	};
	(void)state;
	expect_each(cases, ARRAY_LENGTH(cases));
	expect_good(DOMAIN "  x: {supervisor: " TREE "}\n  y: {supervisor: " TREE "}\n");
}

static void test_workers(void **state)
{
	static const struct wrong cases[] = {
		{WORKER("type: suporvisor"),
			"4:11: 'type' cannot be 'suporvisor'; did you mean 'supervisor'?"},
		{WORKER("restart: always"),
			"4:14: 'restart' cannot be 'always'; it is one of: permanent, transient, "
			"temporary"},
		{WORKER("shutdown: 5"), "4:15: '5' needs a unit, such as 5s"},
		{WORKER("shutdown: 0s"), "4:15: 'shutdown' is 0s; it must be from 1ms to 1h"},
		{WORKER("shutdown: kill"),
			"4:15: 'shutdown' must be a duration, such as 5s, or brutal_kill, or "
			"infinity; this is 'kill'"},
		{WORKER("names: kv"),
			"4:12: 'names' must be a list; this is text; write it in [ ]"},
		{WORKER("names: [kv@a]"),
			"4:13: name 'kv@a' has an '@', which is reserved for NAME@NODE"},
		{WORKER("names: ['']"), "4:13: a name of 0 bytes; it takes from 1 to 255"},
		{WORKER("names: [null]"),
			"4:13: a name must be text; this is empty; put quotes around an empty "
			"text, or around null"},
		{WORKER("names: [{a: b}]"), "4:13: a name must be text; this is a mapping"},
		{WORKER("names: [n, n]"), "4:16: name 'n' is there twice; the first is on line 4"},
		{WORKER("state: 8"), "4:12: '8' needs a unit: B, KiB, MiB or GiB"},
		{WORKER("state: 0B"), "4:12: 'state' is 0B; it must be from 1B to 1024GiB"},
		{WORKER("ready: attached"),
			"4:12: 'ready' cannot be 'attached'; did you mean 'attach'?"},
		{WORKER("ready: [fd]"),
			"4:12: 'ready' must be one of attach, exec, notify; this is a list"},
		{WORKER("ready: {}"), "4:12: 'ready' has no 'fd'"},
		{WORKER("ready: {fd: 2}"), "4:17: 'fd' is 2; it must be from 3 to 255"},
		{WORKER("ready: {fd: 256}"), "4:17: 'fd' is 256; it must be from 3 to 255"},
		{WORKER("ready: exec, state: 1KiB"), "4:12: 'state' needs ready: attach"},
		{WORKER("watchdog: 1s, ready: exec"),
			"4:15: 'watchdog' needs ready: attach or notify"},
		{WORKER("watchdog: 1s, ready: {fd: 3}"),
			"4:15: 'watchdog' needs ready: attach or notify"},
		{WORKER("watchdog: 1ms"), "4:15: 'watchdog' is 1ms; it must be from 10ms to 1h"},
		{WORKER("on_death: ignore"),
			"4:15: 'on_death' cannot be 'ignore'; it is one of: failover, restart"},
		{WORKER("log: kv.log"),
			"4:10: 'log' must be inherit or a path that begins with '/'; this is "
			"'kv.log'"},
		{WORKER("log: "),
			"4:5: 'log' must be text; this is empty; put quotes around an empty text, "
			"or around "
			"null"},
		{DOMAIN "  x: {supervisor: {children: [{id: [s], exec: [x]}]}}\n",
			"3:36: 'id' must be text; this is a list"},
		{DOMAIN "  x: {supervisor: {children: [{id: a b, exec: [x]}]}}\n",
			"3:36: 'a b' is no id: letters, digits, '_', '-' and '.', the first a "
			"letter, digit or '_'"},
		{DOMAIN "  x: {supervisor: {children: [{id: s, exec: x -v}]}}\n",
			"3:45: 'exec' must be a list; this is text; write it in [ ]"},
		{DOMAIN "  x: {supervisor: {children: [{id: s, exec: []}]}}\n",
			"3:45: 'exec' has 0 words; it takes from 1, the program, to 256"},
		{DOMAIN "  x: {supervisor: {children: [{id: s, exec: ['', a]}]}}\n",
			"3:46: the program of 'exec' is an empty text"},
		{DOMAIN "  x: {supervisor: {children: [{id: s, exec: [x, [y]]}]}}\n",
			"3:49: a word of 'exec' must be text; this is a list"},
	};
	(void)state;
	expect_each(cases, ARRAY_LENGTH(cases));
}

static void test_across(void **state)
{
	static const struct wrong cases[] = {
		{DOMAIN "  x: {standby: hot, supervisor: {children: [{id: s, exec: [x]},\n"
			"    {id: t, exec: [x], ready: exec}]}}\n",
			"4:31: a hot standby needs ready: attach of each worker"},
		{DOMAIN "  x: {supervisor: {children: [{id: s, exec: [x], state: 1B},\n"
			"    {id: t, exec: [x], state: 1B}]}}\n",
			"4:31: two states in one application; the first is on line 3"},
		{DOMAIN "  x: {supervisor: {children: [{id: s, exec: [x], names: [n]}]}}\n"
			"  y: {supervisor: {children: [{id: s, exec: [x], names: [m, n]}]}}\n",
			"4:61: name 'n' is there twice; the first is on line 3"},
		{DOMAIN "  x: {listen: {l: 'unix:/l', m: 'unix:/m'}, supervisor: {children: [\n"
			"    {id: s, exec: [x], ready: {fd: 4}}]}}\n",
			"4:31: descriptors 3 to 4 are those of 'listen'; use one from 5"},
		{DOMAIN "  x y: {supervisor: " TREE "}\n",
			"3:3: 'x y' is no name of an application: letters, digits, '_', '-' and "
			"'.', the first a letter, "
			"digit or '_'"},
		{DOMAIN "  x/: {supervisor: " TREE "}\n",
			"3:3: '' is no name of an instance: letters, digits, '_', '-' and '.', the "
			"first a letter, digit "
			"or '_'"},
		{"nodes: [a, b]\nlimits: {names: 16}\napplications: {x: {supervisor: {children: "
		 "[{id: s, exec: [x],\n"
		 " names: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]}]}}}\n",
			"2:17: limits: names is 16, but 17 are in this file"},
		{"nodes: [a, b, c, d, e, f, g]\nlimits: {processes: 8}\napplications: {x: "
		 "{supervisor: " TREE "}}\n",
			"2:21: limits: processes is 8, but leaders and workers are 9"},
		{"nodes: [a, b, c, d, e]\nlimits: {processes: 9}\napplications: {x: {standby: hot, "
		 "supervisor: " TREE "}}\n",
			"2:21: limits: processes is 9, but leaders and workers are 10"},
	};
	(void)state;
	expect_each(cases, ARRAY_LENGTH(cases));
	expect_good("nodes: [a, b]\nlimits: {names: 16}\napplications: {x: {supervisor: {children: "
		    "[{id: s, "
		    "exec: [x],\n names: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]}]}}}\n");
	expect_good(DOMAIN "  x: {listen: {l: 'unix:/l', m: 'unix:/m'}, supervisor: {children: [\n"
			   "    {id: s, exec: [x], ready: {fd: 5}}]}}\n");
	expect_good("nodes: [a, b, c, d, e]\nlimits: {processes: 8}\napplications: {x: "
		    "{supervisor: " TREE "}}\n");
}

static void test_templates(void **state)
{
	static const struct wrong cases[] = {
		{APPLICATION("instances: []"),
			"4:16: 'instances' must be a mapping; this is a list"},
		{APPLICATION("instances: {}"), "4:16: 'instances' names no instance"},
		{APPLICATION("instances: {i: a}"),
			"4:20: 'nodes' must be a list; this is text; write it in [ ]"},
		{APPLICATION("instances: {i: [c]}"), "4:21: unknown node 'c'; the nodes are: a, b"},
		{APPLICATION("instances: {i/j: [a]}"),
			"4:17: 'i/j' is no name of an instance: letters, digits, '_', '-' and '.', "
			"the first a letter, "
			"digit or '_'"},
		{APPLICATION("instances: {i: [a]}, nodes: [a]"),
			"4:33: 'nodes' beside 'instances', where each instance has its own list"},
		{APPLICATION("instances: {i: [a], j: [a]}, env: {A: '%x'}"),
			"4:43: '%x' in a template: write %i for the instance, %% for a percent "
			"sign"},
		{APPLICATION("instances: {i: [a], j: [a]}, env: {A: '5%'}"),
			"4:43: '%' in a template: write %i for the instance, %% for a percent "
			"sign"},
		{APPLICATION("instances: {i: [a], j: [a]}, listen: {l: 'unix:/l'}"),
			"4:46: address 'unix:/l' is given to x/i and to x/j; %i in it stands for "
			"the instance"},
		{DOMAIN "  x: {instances: {i: [a], j: [a]}, supervisor: {children: [{id: s, exec: "
			"[x], names: [n]}]}}\n",
			"3:87: name 'n' is given to x/i and to x/j; %i in it stands for the "
			"instance"},
		{DOMAIN "  x: {instances: {i: [a], j: [a]}}\n",
			"3:6: the application has no 'supervisor'"},
		{DOMAIN "  x/i: {supervisor: " TREE
			"}\n  x: {instances: {i: [a]}, supervisor: " TREE "}\n",
			"4:19: application 'x/i' is there twice"},
		{DOMAIN "  a/b: {instances: {i: [a]}, supervisor: " TREE "}\n",
			"3:3: 'a/b' is no name of a template: letters, digits, '_', '-' and '.', "
			"the first a letter, "
			"digit or '_'"},
	};
	(void)state;
	expect_each(cases, ARRAY_LENGTH(cases));
}

static void test_all_at_once(void **state)
{
	(void)state;
	expect_errors("applications:\n"
		      "  kv:\n"
		      "    step_timeout: 5\n"
		      "    standy: hot\n"
		      "    applications: [kv]\n"
		      "    supervisor:\n"
		      "      children:\n"
		      "        - {id: s, exec: [x], names: [a@b]}\n"
		      "        - {id: s, exec: [x], state: 8}\n"
		      "nodes: [a, b, b]\n"
		      "domian: x\n",
		"3:19: '5' needs a unit, such as 5s\n"
		"4:5: unknown key 'standy' of an application; did you mean 'standby'?\n"
		"5:20: cycle in 'applications': kv -> kv\n"
		"8:38: name 'a@b' has an '@', which is reserved for NAME@NODE\n"
		"9:16: child id 's' is there twice in one application; the first is on line 8\n"
		"9:37: '8' needs a unit: B, KiB, MiB or GiB\n"
		"10:15: node 'b' is there twice\n"
		"11:1: unknown key 'domian' of the domain; did you mean 'domain'?\n",
		8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domain),
		cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_dependencies),
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_env),
		cmocka_unit_test(test_trees),
		cmocka_unit_test(test_workers),
		cmocka_unit_test(test_across),
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_all_at_once),
	};
	return cmocka_run_group_tests_name("conf_error", tests, NULL, NULL);
}
