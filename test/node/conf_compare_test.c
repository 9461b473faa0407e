/* SPDX-License-Identifier: ISC */
#include "conf_fixture.h"

#define FILE_HEAD "domain: shop\nnodes: [a, b]\n"
#define SERVER "{id: server, exec: [x], names: [kv], state: 8MiB, watchdog: 2s}"
#define BASE \
	FILE_HEAD "applications:\n  kv:\n    nodes: [a, b]\n    env: {A: x}\n    supervisor: {children: [" SERVER \
		  ", {id: more, type: supervisor, children: [{id: deep, exec: [y], ready: exec}]}]}\n"

/* Each change on a line: "KEY: FROM -> TO", behind it " !" where it cannot be followed. */
static void expect_changes(const char *old_text, const char *new_text, const char *expected)
{
	struct conf *old = load_good(old_text), *new = load_good(new_text);
	struct conf_changes changes = {0};
	char text[4096] = "";
	size_t refused = 0;

	assert_int_equal(conf_compare(old, new, &changes), 0);
	for (size_t i = 0; i < changes.count; i++) {
		const struct conf_change *c = &changes.list[i];
		size_t length = strlen(text);

		(void)snprintf(text + length, sizeof(text) - length, "%s: %s -> %s%s\n", c->key, c->from, c->to,
			c->reloads ? "" : " !");
		refused += !c->reloads;
	}
	assert_string_equal(text, expected);
	assert_int_equal(changes.refused, refused);
	assert_int_equal(changes.count == 0, conf_signature(old) == conf_signature(new));
	conf_changes_finish(&changes);
	assert_int_equal(changes.count, 0);
	conf_free(old);
	conf_free(new);
}

/* BASE with the first FROM in it replaced. */
static void expect_edit(const char *from, const char *to, const char *expected)
{
	char text[4096];
	const char *at = strstr(BASE, from);

	assert_non_null(at);
	(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - BASE), BASE, to, at + strlen(from));
	expect_changes(BASE, text, expected);
}

static void test_nothing(void **state)
{
	(void)state;
	expect_changes(BASE, BASE, "");
	expect_edit("env: {A: x}", "step_timeout: 2000ms\n    env: {A: 'x'}", "");
}

static void test_what_reloads(void **state)
{
	static const char *const cases[][3] = {
		{"env: {A: x}", "env: {A: y}", "env: {\"A\":\"x\"} -> {\"A\":\"y\"}"},
		{"env: {A: x}", "env: {A: x}\n    step_timeout: 5s", "step_timeout: \"2s\" -> \"5s\""},
		{"env: {A: x}", "env: {A: x}\n    yield_timeout: 5s", "yield_timeout: \"100ms\" -> \"5s\""},
		{"env: {A: x}", "env: {A: x}\n    claim_grace: 5s", "claim_grace: \"50ms\" -> \"5s\""},
		{"env: {A: x}", "env: {A: x}\n    failover_timeout: infinity",
			"failover_timeout: \"0s\" -> \"infinity\""},
		{"env: {A: x}", "env: {A: x}\n    failovers: {intensity: 3}", "failovers.intensity: 10 -> 3"},
		{"env: {A: x}", "env: {A: x}\n    failovers: {period: 1s}", "failovers.period: \"1min\" -> \"1s\""},
		{"env: {A: x}", "env: {A: x}\n    max_deliveries: 9", "max_deliveries: 3 -> 9"},
		{"env: {A: x}", "env: {A: x}\n    take_back: auto", "take_back: \"manual\" -> \"auto\""},
		{"env: {A: x}", "env: {A: x}\n    on_give_up: stop", "on_give_up: \"failover\" -> \"stop\""},
		{"env: {A: x}", "env: {A: x}\n    restart_type: permanent",
			"restart_type: \"temporary\" -> \"permanent\""},
		{"kv:\n    nodes: [a, b]", "kv:\n    nodes: [b, a]", "nodes: [\"a\",\"b\"] -> [\"b\",\"a\"]"},
		{"kv:\n    nodes: [a, b]", "kv:\n    nodes: [[a, b]]", "nodes: [\"a\",\"b\"] -> [[\"a\",\"b\"]]"},
		{"{children: [{id: server", "{intensity: 4, children: [{id: server", "supervisor.intensity: 1 -> 4"},
		{"{children: [{id: server", "{period: 4s, children: [{id: server",
			"supervisor.period: \"5s\" -> \"4s\""},
		{"exec: [x]", "exec: [x, y]", "supervisor.children.server.exec: [\"x\"] -> [\"x\",\"y\"]"},
		{"exec: [x]", "exec: [x], restart: transient",
			"supervisor.children.server.restart: \"permanent\" -> \"transient\""},
		{"exec: [x]", "exec: [x], shutdown: brutal_kill",
			"supervisor.children.server.shutdown: \"5s\" -> \"brutal_kill\""},
		{"exec: [x]", "exec: [x], on_death: failover",
			"supervisor.children.server.on_death: \"restart\" -> \"failover\""},
		{"exec: [x]", "exec: [x], log: /l", "supervisor.children.server.log: \"inherit\" -> \"/l\""},
		{", watchdog: 2s", "", "supervisor.children.server.watchdog: \"2s\" -> "},
		{"type: supervisor", "type: supervisor, strategy: one_for_all",
			"supervisor.children.more.strategy: \"one_for_one\" -> \"one_for_all\""},
		{"exec: [y]", "exec: [z]", "supervisor.children.more.children.deep.exec: [\"y\"] -> [\"z\"]"},
	};
	char expected[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		(void)snprintf(expected, sizeof(expected), "applications.kv.%s\n", cases[i][2]);
		expect_edit(cases[i][0], cases[i][1], expected);
	}
}

static void test_what_does_not(void **state)
{
	static const char *const cases[][3] = {
		{"domain: shop", "domain: other", "domain: \"shop\" -> \"other\" !\n"},
		{"nodes: [a, b]\nappl", "nodes: [a, b, c]\nappl", "nodes: [\"a\",\"b\"] -> [\"a\",\"b\",\"c\"] !\n"},
		{"nodes: [a, b]\nappl", "nodes: [b, a]\nappl", "nodes: [\"a\",\"b\"] -> [\"b\",\"a\"] !\n"},
		{"applications:", "limits: {names: 64, message: 1KiB}\napplications:",
			"limits.names: 16384 -> 64 !\nlimits.message: \"4KiB\" -> \"1KiB\" !\n"},
		{"applications:", "low_latency: {spin: 5us, prefault: true}\napplications:",
			"low_latency.spin: \"0s\" -> \"5us\" !\nlow_latency.prefault: false -> true !\n"},
		{"  kv:", "  new:", "applications: [\"kv\"] -> [\"new\"] !\n"},
		{"kv:\n    nodes: [a, b]", "kv:\n    nodes: [b]",
			"applications.kv.nodes: [\"a\",\"b\"] -> [\"b\"] !\n"},
		{"env: {A: x}", "env: {A: x}\n    takeover: exclusive",
			"applications.kv.takeover: \"overlap\" -> \"exclusive\" !\n"},
		{"env: {A: x}", "env: {A: x}\n    start_phases: [start, switch, warm]",
			"applications.kv.takeover: \"overlap\" -> [\"start\",\"switch\",\"warm\"] !\n"},
		{"env: {A: x}", "env: {A: x}\n    listen: {r: '127.0.0.1:1'}",
			"applications.kv.listen: {} -> {\"r\":\"127.0.0.1:1\"} !\n"},
		{"id: server", "id: serve", "applications.kv.supervisor.children: [\"server\",\"more\"] -> "
					     "[\"serve\",\"more\"] !\n"},
		{"names: [kv]", "names: [kv, kw]",
			"applications.kv.supervisor.children.server.names: [\"kv\"] -> [\"kv\",\"kw\"] !\n"},
		{"state: 8MiB", "state: 9MiB",
			"applications.kv.supervisor.children.server.state: \"8MiB\" -> \"9MiB\" !\n"},
		{"ready: exec", "ready: {fd: 5}",
			"applications.kv.supervisor.children.more.children.deep.ready: \"exec\" -> {\"fd\":5} !\n"},
		{"id: deep, exec: [y], ready: exec", "id: deep, type: supervisor, children: []",
			"applications.kv.supervisor.children.more.children.deep: \"worker\" -> \"supervisor\" !\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		expect_edit(cases[i][0], cases[i][1], cases[i][2]);
}

/* All of them at once, in the order of the keys. */
static void test_several(void **state)
{
	(void)state;
	expect_changes(BASE,
		FILE_HEAD "limits: {trace: 64}\napplications:\n  kv:\n    nodes: [a, b]\n    step_timeout: 1s\n"
			  "    supervisor: {children: [{id: server, exec: [x], names: [kv], "
			  "state: 1MiB, watchdog: 2s}, "
			  "{id: more, type: supervisor, "
			  "children: [{id: deep, exec: [y], ready: exec}]}]}\n",
		"limits.trace: 256 -> 64 !\napplications.kv.step_timeout: \"2s\" -> \"1s\"\n"
		"applications.kv.env: {\"A\":\"x\"} -> {}\n"
		"applications.kv.supervisor.children.server.state: \"8MiB\" -> \"1MiB\" !\n");
}

/* Numbers of applications and children are in the hands of others: their order is part of the shape. */
static void test_orders(void **state)
{
	(void)state;
	expect_changes(DOMAIN "  x: {supervisor: " TREE "}\n  y: {supervisor: " TREE "}\n",
		DOMAIN "  y: {supervisor: " TREE "}\n  x: {supervisor: " TREE "}\n",
		"applications: [\"x\",\"y\"] -> [\"y\",\"x\"] !\n");
	expect_changes(DOMAIN "  x: {supervisor: {children: [{id: s, exec: [x]}, {id: t, exec: [x]}]}}\n",
		DOMAIN "  x: {supervisor: {children: [{id: t, exec: [x]}, {id: s, exec: [x]}]}}\n",
		"applications.x.supervisor.children: [\"s\",\"t\"] -> [\"t\",\"s\"] !\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_what_reloads),
		cmocka_unit_test(test_what_does_not),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_orders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
