/* SPDX-License-Identifier: ISC */
/* What a right configuration becomes: values, defaults, templates, canonical text, signature. */
#include "conf_fixture.h"

#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static void test_embedded_default(void **state)
{
	struct conf *conf = NULL;
	struct conf_report report = {0};
	(void)state;
	assert_int_equal(conf_load(NULL, NULL, &conf, &report), 0);
	assert_int_equal(report.count, 0);
	assert_string_equal(conf->domain, "default");
	assert_int_equal(conf->node_count, 2);
	assert_string_equal(conf->nodes[0], "a");
	assert_string_equal(conf->nodes[1], "b");
	assert_int_equal(conf->application_count, 1);
	const struct conf_application *kv = &conf->applications[0];
	assert_string_equal(kv->name, "kv");
	assert_int_equal(kv->standby, CONF_HOT);
	assert_int_equal(kv->step_count, 5);
	assert_int_equal(kv->listen_count, 1);
	assert_string_equal(kv->listen[0].name, "resp");
	assert_string_equal(kv->listen[0].address, "127.0.0.1:7379");
	assert_int_equal(kv->role_count, 1);
	const struct conf_child *server = kv->roles[0];
	assert_string_equal(server->id, "server");
	assert_string_equal(server->exec[0], "heir-kv");
	assert_null(server->exec[1]);
	assert_string_equal(server->names[0], "kv");
	assert_int_equal(server->state, 8 << 20);
	assert_int_equal(server->on_death, CONF_ON_DEATH_FAILOVER);
	conf_free(conf);
	expect_good(conf_default_text);
}

static void test_least(void **state)
{
	(void)state;
	struct conf *conf = load_good("nodes: [n]\n");
	assert_string_equal(conf->domain, "default");
	assert_int_equal(conf->limits.names, CONF_LIMIT_NAMES_DEFAULT);
	assert_int_equal(conf->limits.processes, CONF_LIMIT_PROCESSES_DEFAULT);
	assert_int_equal(conf->limits.messages, CONF_LIMIT_MESSAGES_DEFAULT);
	assert_int_equal(conf->limits.message, CONF_LIMIT_MESSAGE_DEFAULT);
	assert_int_equal(conf->limits.trace, CONF_LIMIT_TRACE_DEFAULT);
	assert_int_equal(conf->application_count, 0);
	conf_free(conf);
	conf_free(load_good("nodes: [n]\napplications: {}\nlimits: {}\n"));
	conf_free(NULL);
}

static void test_low_latency(void **state)
{
	const struct conf_low_latency off = {0, CONF_INFINITY, 0, 0}, some = {3 * CONF_US, 20 * CONF_US, 0, 1},
				      on = {sysconf(_SC_NPROCESSORS_ONLN) >= 4 ? CONF_SPIN_ON : 0, 0, 1, 1};
	const struct {
		const char *text;
		const struct conf_low_latency *is;
	} cases[] = {
		{"nodes: [n]", &off},
		{"nodes: [n]\nlow_latency: false", &off},
		{"nodes: [n]\nlow_latency: {}", &off},
		{"nodes: [n]\nlow_latency: true", &on},
		{"nodes: [n]\nlow_latency: {spin: 3us, cpu_dma_latency: 20us, prefault: true}", &some},
	};
	uint64_t signature = 0;
	char *text;
	size_t length;
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf *conf = load_good(cases[i].text), *again;

		assert_memory_equal(&conf->low_latency, cases[i].is, sizeof(off));
		if (i == 0)
			signature = conf_signature(conf);
		assert_int_equal(conf_signature(conf) == signature, cases[i].is == &off);
		assert_int_equal(conf_print(conf, &text, &length), 0);
		again = load_good(text);
		assert_memory_equal(&again->low_latency, cases[i].is, sizeof(off));
		conf_free(again);
		free(text);
		conf_free(conf);
	}
}

static void test_application_defaults(void **state)
{
	(void)state;
	struct conf *conf =
		load_good("nodes: [a, b, c]\napplications:\n  x: {supervisor: " TREE "}\n");
	const struct conf_application *x = &conf->applications[0];
	assert_int_equal(x->candidate_count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(x->candidates[i].node, i);
		assert_int_equal(x->candidates[i].group, i);
	}
	assert_int_equal(x->standby, CONF_COLD);
	assert_int_equal(x->step_timeout, 2 * CONF_SECOND);
	assert_int_equal(x->yield_timeout, 100 * CONF_MS);
	assert_int_equal(x->claim_grace, 50 * CONF_MS);
	assert_int_equal(x->failover_timeout, 0);
	assert_int_equal(x->failovers_intensity, 10);
	assert_int_equal(x->failovers_period, 60 * CONF_SECOND);
	assert_int_equal(x->max_deliveries, 3);
	assert_int_equal(x->take_back, CONF_TAKE_BACK_MANUAL);
	assert_int_equal(x->on_give_up, CONF_GIVE_UP_FAILOVER);
	assert_int_equal(x->restart_type, CONF_TEMPORARY);
	assert_int_equal(x->dependency_count + x->listen_count + x->env_count, 0);
	assert_int_equal(x->supervisor.strategy, CONF_ONE_FOR_ONE);
	assert_int_equal(x->supervisor.intensity, 1);
	assert_int_equal(x->supervisor.period, 5 * CONF_SECOND);
	static const char *const steps[] = {"start", "switch", "takeover", "go", "stop_old"};
	assert_int_equal(x->step_count, ARRAY_LENGTH(steps));
	for (size_t i = 0; i < ARRAY_LENGTH(steps); i++)
		assert_string_equal(x->steps[i].name, steps[i]);
	const struct conf_child *s = x->roles[0];
	assert_int_equal(s->type, CONF_WORKER);
	assert_int_equal(s->restart, CONF_PERMANENT);
	assert_int_equal(s->shutdown, 5 * CONF_SECOND);
	assert_int_equal(s->ready, CONF_READY_ATTACH);
	assert_int_equal(s->on_death, CONF_ON_DEATH_RESTART);
	assert_int_equal(s->name_count, 0);
	assert_int_equal(s->state, 0);
	assert_int_equal(s->watchdog, 0);
	assert_null(s->log);
	conf_free(conf);
}

static const char full_text[] =
	"domain: shop\n"
	"nodes: [a, b, c]\n"
	"limits: {names: 65536, processes: 300, messages: 2048, message: 8KiB, trace: 512}\n"
	"applications:\n"
	"  kv:\n"
	"    nodes: [c, [a, b]]\n"
	"    standby: hot\n"
	"    start_phases: [start, prepare, switch, takeover, go_2, stop_old]\n"
	"    step_timeout: 3s\n"
	"    yield_timeout: 200ms\n"
	"    claim_grace: 60ms\n"
	"    failover_timeout: infinity\n"
	"    failovers: {intensity: 4, period: 30s}\n"
	"    max_deliveries: 5\n"
	"    take_back: auto\n"
	"    on_give_up: terminate\n"
	"    restart_type: transient\n"
	"    applications: [log]\n"
	"    listen: {resp: '127.0.0.1:7379', six: '[::1]:80', local: 'unix:/run/kv.sock'}\n"
	"    env: {LANG: C, EMPTY: '', _x1: 100%}\n"
	"    supervisor:\n"
	"      strategy: rest_for_one\n"
	"      intensity: 3\n"
	"      period: 6s\n"
	"      children:\n"
	"        - {id: server, type: worker, exec: [heir-kv, --port, 5, ''], names: [kv, 'k v'], "
	"state: 8MiB,\n"
	"           ready: attach, restart: transient, shutdown: brutal_kill, on_death: restart, "
	"log: /var/log/kv,\n"
	"           watchdog: 2s}\n"
	"        - {id: w, exec: [/bin/w], shutdown: infinity, restart: temporary, log: inherit}\n"
	"  log:\n"
	"    takeover: exclusive\n"
	"    on_give_up: stop\n"
	"    restart_type: permanent\n"
	"    supervisor: {children: [{id: l, exec: [l], ready: {fd: 7}}, {id: m, exec: [m], ready: "
	"exec},\n"
	"      {id: n, exec: [n], ready: notify, watchdog: 10ms, on_death: failover}]}\n";

static void test_every_application_key(void **state)
{
	(void)state;
	struct conf *conf = load_good(full_text);
	assert_string_equal(conf->domain, "shop");
	assert_int_equal(conf->limits.names, 65536);
	assert_int_equal(conf->limits.processes, 300);
	assert_int_equal(conf->limits.messages, 2048);
	assert_int_equal(conf->limits.message, 8192);
	assert_int_equal(conf->limits.trace, 512);
	const struct conf_application *kv = &conf->applications[0];
	static const struct conf_candidate candidates[] = {{2, 0}, {0, 1}, {1, 1}};
	assert_int_equal(kv->candidate_count, 3);
	assert_memory_equal(kv->candidates, candidates, sizeof(candidates));
	assert_int_equal(kv->standby, CONF_HOT);
	assert_int_equal(kv->step_timeout, 3 * CONF_SECOND);
	assert_int_equal(kv->yield_timeout, 200 * CONF_MS);
	assert_int_equal(kv->claim_grace, 60 * CONF_MS);
	assert_true(kv->failover_timeout == CONF_INFINITY);
	assert_int_equal(kv->failovers_intensity, 4);
	assert_int_equal(kv->failovers_period, 30 * CONF_SECOND);
	assert_int_equal(kv->max_deliveries, 5);
	assert_int_equal(kv->take_back, CONF_TAKE_BACK_AUTO);
	assert_int_equal(kv->on_give_up, CONF_GIVE_UP_TERMINATE);
	assert_int_equal(kv->restart_type, CONF_TRANSIENT);
	assert_int_equal(kv->dependency_count, 1);
	assert_int_equal(kv->dependencies[0], 1);
	assert_int_equal(kv->env_count, 3);
	assert_string_equal(kv->env[1].name, "EMPTY");
	assert_string_equal(kv->env[1].value, "");
	assert_string_equal(kv->env[2].value, "100%");
	assert_int_equal(kv->supervisor.strategy, CONF_REST_FOR_ONE);
	assert_int_equal(kv->supervisor.intensity, 3);
	assert_int_equal(kv->supervisor.period, 6 * CONF_SECOND);
	assert_int_equal(conf_find_application(conf, "log"), 1);
	assert_int_equal(conf_find_application(conf, "lo"), -1);
	assert_int_equal(conf_find_node(conf, "c"), 2);
	assert_int_equal(conf_find_node(conf, "d"), -1);
	const struct conf_application *log = &conf->applications[1];
	assert_int_equal(log->on_give_up, CONF_GIVE_UP_STOP);
	assert_int_equal(log->restart_type, CONF_PERMANENT);
	conf_free(conf);
}

static void test_steps(void **state)
{
	static const enum conf_step_kind phases[] = {CONF_STEP_START, CONF_STEP_PHASE,
		CONF_STEP_SWITCH, CONF_STEP_TAKEOVER, CONF_STEP_PHASE, CONF_STEP_STOP_OLD};
	static const enum conf_step_kind exclusive[] = {
		CONF_STEP_STOP_OLD, CONF_STEP_START, CONF_STEP_SWITCH, CONF_STEP_PHASE};
	(void)state;
	struct conf *conf = load_good(full_text);
	assert_int_equal(conf->applications[0].step_count, ARRAY_LENGTH(phases));
	for (size_t i = 0; i < ARRAY_LENGTH(phases); i++)
		assert_int_equal(conf->applications[0].steps[i].kind, phases[i]);
	assert_string_equal(conf->applications[0].steps[4].name, "go_2");
	assert_int_equal(conf->applications[1].step_count, ARRAY_LENGTH(exclusive));
	for (size_t i = 0; i < ARRAY_LENGTH(exclusive); i++)
		assert_int_equal(conf->applications[1].steps[i].kind, exclusive[i]);
	conf_free(conf);
	conf = load_good(APPLICATION("takeover: [start, switch]"));
	assert_int_equal(conf->applications[0].step_count, 2);
	conf_free(conf);
}

static void test_every_worker_key(void **state)
{
	(void)state;
	struct conf *conf = load_good(full_text);
	const struct conf_application *kv = &conf->applications[0], *log = &conf->applications[1];
	assert_int_equal(kv->role_count, 2);
	const struct conf_child *server = kv->roles[0], *w = kv->roles[1];
	assert_int_equal(server->exec_count, 4);
	assert_string_equal(server->exec[2], "5");
	assert_string_equal(server->exec[3], "");
	assert_null(server->exec[4]);
	assert_int_equal(server->name_count, 2);
	assert_string_equal(server->names[1], "k v");
	assert_int_equal(server->state, 8 << 20);
	assert_int_equal(server->restart, CONF_TRANSIENT);
	assert_int_equal(server->shutdown, CONF_BRUTAL_KILL);
	assert_int_equal(server->on_death, CONF_ON_DEATH_RESTART);
	assert_string_equal(server->log, "/var/log/kv");
	assert_int_equal(server->watchdog, 2 * CONF_SECOND);
	assert_true(w->shutdown == CONF_INFINITY);
	assert_int_equal(w->restart, CONF_TEMPORARY);
	assert_int_equal(w->on_death, CONF_ON_DEATH_FAILOVER);
	assert_int_equal(w->role, 1);
	assert_null(w->log);
	assert_int_equal(log->roles[0]->ready, CONF_READY_FD);
	assert_int_equal(log->roles[0]->ready_fd, 7);
	assert_int_equal(log->roles[1]->ready, CONF_READY_EXEC);
	assert_int_equal(log->roles[2]->ready, CONF_READY_NOTIFY);
	assert_int_equal(log->roles[2]->on_death, CONF_ON_DEATH_FAILOVER);
	conf_free(conf);
}

static void test_addresses(void **state)
{
	(void)state;
	struct conf *conf = load_good(full_text);
	const struct conf_listen *listen = conf->applications[0].listen;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	assert_int_equal(conf->applications[0].listen_count, 3);
	memcpy(&in, &listen[0].socket, sizeof(in));
	assert_int_equal(listen[0].socket_length, sizeof(in));
	assert_int_equal(in.sin_family, AF_INET);
	assert_int_equal(ntohs(in.sin_port), 7379);
	assert_int_equal(ntohl(in.sin_addr.s_addr), INADDR_LOOPBACK);
	memcpy(&in6, &listen[1].socket, sizeof(in6));
	assert_int_equal(in6.sin6_family, AF_INET6);
	assert_int_equal(ntohs(in6.sin6_port), 80);
	assert_memory_equal(&in6.sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback));
	memcpy(&un, &listen[2].socket, sizeof(un));
	assert_int_equal(un.sun_family, AF_UNIX);
	assert_string_equal(un.sun_path, "/run/kv.sock");
	assert_int_equal(listen[2].socket_length, offsetof(struct sockaddr_un, sun_path) + 13);
	conf_free(conf);
	expect_good(APPLICATION(
		"listen: {a: '0.0.0.0:1', b: '[::]:65535', c: 'unix:/a', d: 'unix:/b'}"));
}

static void test_nested_supervisors(void **state)
{
	(void)state;
	struct conf *conf = load_good(DOMAIN
		"  x:\n"
		"    standby: hot\n"
		"    supervisor:\n"
		"      children:\n"
		"        - {id: first, exec: [x]}\n"
		"        - id: inner\n"
		"          type: supervisor\n"
		"          strategy: one_for_all\n"
		"          intensity: 0\n"
		"          period: 1min\n"
		"          shutdown: 9s\n"
		"          restart: transient\n"
		"          children:\n"
		"            - {id: second, exec: [x], names: [n]}\n"
		"            - {id: deep, type: supervisor, children: [{id: third, exec: [x]}]}\n"
		"        - {id: empty, type: supervisor, children: []}\n"
		"        - {id: fourth, exec: [x]}\n");
	const struct conf_application *x = &conf->applications[0];
	static const char *const roles[] = {"first", "second", "third", "fourth"};
	assert_int_equal(x->role_count, ARRAY_LENGTH(roles));
	for (uint32_t i = 0; i < ARRAY_LENGTH(roles); i++) {
		assert_string_equal(x->roles[i]->id, roles[i]);
		assert_int_equal(x->roles[i]->role, i);
		assert_int_equal(x->roles[i]->on_death, CONF_ON_DEATH_FAILOVER);
	}
	assert_int_equal(x->supervisor.child_count, 4);
	const struct conf_child *inner = &x->supervisor.children[1];
	assert_int_equal(inner->type, CONF_SUPERVISOR);
	assert_int_equal(inner->restart, CONF_TRANSIENT);
	assert_int_equal(inner->shutdown, 9 * CONF_SECOND);
	assert_int_equal(inner->supervisor.strategy, CONF_ONE_FOR_ALL);
	assert_int_equal(inner->supervisor.intensity, 0);
	assert_int_equal(inner->supervisor.period, CONF_MINUTE);
	assert_int_equal(inner->supervisor.child_count, 2);
	const struct conf_child *deep = &inner->supervisor.children[1];
	assert_string_equal(deep->id, "deep");
	assert_true(deep->shutdown == CONF_INFINITY);
	assert_int_equal(deep->supervisor.strategy, CONF_ONE_FOR_ONE);
	assert_int_equal(x->supervisor.children[2].supervisor.child_count, 0);
	conf_free(conf);
}

static void test_templates(void **state)
{
	(void)state;
	struct conf *conf = load_good("nodes: [a, b]\n"
				      "applications:\n"
				      "  front: {applications: [shard], supervisor: " TREE "}\n"
				      "  store/west: {supervisor: " TREE "}\n"
				      "  store: {instances: {east: [a]}, supervisor: " TREE "}\n"
				      "  shard:\n"
				      "    instances: {east: [a, b], west: [[b, a]]}\n"
				      "    applications: [store/%i]\n"
				      "    listen: {l: 'unix:/run/%i'}\n"
				      "    env: {WHO: '%i-%i', SHARE: '50%%'}\n"
				      "    supervisor: {children: [{id: s, exec: [x, --name, "
				      "'shard-%i'], names: ['shard-%i'],\n"
				      "      log: /var/log/%i}]}\n");
	assert_int_equal(conf->application_count, 5);
	const struct conf_application *east = &conf->applications[3],
				      *west = &conf->applications[4];
	assert_string_equal(east->name, "shard/east");
	assert_string_equal(west->name, "shard/west");
	assert_int_equal(east->candidates[0].node, 0);
	assert_int_equal(east->candidates[1].group, 1);
	assert_int_equal(west->candidates[0].node, 1);
	assert_int_equal(west->candidates[1].group, 0);
	assert_string_equal(west->env[0].value, "west-west");
	assert_string_equal(west->env[1].value, "50%");
	assert_string_equal(east->listen[0].address, "unix:/run/east");
	assert_string_equal(east->roles[0]->exec[2], "shard-east");
	assert_string_equal(west->roles[0]->names[0], "shard-west");
	assert_string_equal(west->roles[0]->log, "/var/log/west");
	assert_int_equal(east->dependency_count, 1);
	assert_string_equal(conf->applications[east->dependencies[0]].name, "store/east");
	assert_string_equal(conf->applications[west->dependencies[0]].name, "store/west");
	assert_int_equal(conf->applications[0].dependency_count, 2);
	assert_int_equal(conf->applications[0].dependencies[0], 3);
	assert_int_equal(conf->applications[0].dependencies[1], 4);
	conf_free(conf);
}

static void test_aliases(void **state)
{
	(void)state;
	struct conf *conf = load_good(DOMAIN "  x: {env: &e {A: 1}, supervisor: &s " TREE "}\n"
					     "  y: {env: *e, supervisor: *s}\n");
	assert_string_equal(conf->applications[1].env[0].value, "1");
	assert_string_equal(conf->applications[1].roles[0]->exec[0], "x");
	conf_free(conf);
}

static void expect_round_trip(const char *text)
{
	char *first, *second;
	size_t first_length, second_length;
	struct conf *conf = load_good(text);
	assert_int_equal(conf_print(conf, &first, &first_length), 0);
	assert_int_equal(strlen(first), first_length);
	assert_null(strchr(first, '\n'));
	struct conf *again = load_good(first);
	assert_int_equal(conf_print(again, &second, &second_length), 0);
	assert_string_equal(first, second);
	assert_true(conf_signature(conf) == conf_signature(again));
	assert_true(conf_signature(conf) != 0);
	free(first);
	free(second);
	conf_free(conf);
	conf_free(again);
}

static void test_print(void **state)
{
	char *text;
	size_t length;
	(void)state;
	struct conf *conf = load_good(
		"nodes: [a, b]\napplications:\n"
		"  x: {nodes: [[a, b]], takeover: [start, switch], supervisor: {children:\n"
		"    [{id: s, exec: [x, \"\\\"\\\\\\n\\t\\e\\x85\\u2028é\"], watchdog: 1.5s, "
		"shutdown: brutal_kill}]}}\n");
	assert_int_equal(conf_print(conf, &text, &length), 0);
	assert_string_equal(text,
		"{\"domain\":\"default\",\"nodes\":[\"a\",\"b\"],\"limits\":{\"names\":16384,"
		"\"processes\":256,"
		"\"messages\":1024,\"message\":\"4KiB\",\"trace\":256},\"low_latency\":{"
		"\"spin\":\"0s\",\"cpu_dma_latency\":\"infinity\",\"lock_memory\":false,\"prefault\":false},"
		"\"applications\":{\"x\":{"
		"\"nodes\":[[\"a\","
		"\"b\"]],\"standby\":\"cold\",\"takeover\":[\"start\",\"switch\"],\"step_timeout\":"
		"\"2s\","
		"\"yield_timeout\":\"100ms\",\"claim_grace\":\"50ms\",\"failover_timeout\":\"0s\","
		"\"failovers\":{"
		"\"intensity\":10,\"period\":\"1min\"},\"max_deliveries\":3,\"take_back\":"
		"\"manual\","
		"\"on_give_up\":\"failover\",\"restart_type\":\"temporary\",\"applications\":[],"
		"\"listen\":{},"
		"\"env\":{},\"supervisor\":{\"strategy\":\"one_for_one\",\"intensity\":1,"
		"\"period\":\"5s\","
		"\"children\":[{\"id\":\"s\",\"type\":\"worker\",\"restart\":\"permanent\","
		"\"shutdown\":\"brutal_kill\",\"exec\":[\"x\","
		"\"\\\"\\\\\\n\\t\\u001b\\u0085\\u2028é\"],"
		"\"names\":[],\"ready\":\"attach\",\"on_death\":\"restart\",\"log\":\"inherit\","
		"\"watchdog\":\"1500ms\"}]}}}}");
	free(text);
	conf_free(conf);
}

/* Whatever a character is, it comes back. */
static void test_characters(void **state)
{
	static const unsigned points[] = {0x01, 0x08, 0x0b, 0x1f, 0x20, 0x22, 0x25, 0x27, 0x5c,
		0x7e, 0x7f, 0x80, 0x85, 0x9f, 0xa0, 0x7ff, 0x800, 0x2027, 0x2028, 0x2029, 0x202a,
		0xd7ff, 0xe000, 0xfefe, 0xfeff, 0xff00, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x10ffff};
	char text[512];
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(points); i++) {
		(void)snprintf(
			text, sizeof(text), APPLICATION("env: {V: \"a\\U%08xb\"}"), points[i]);
		expect_round_trip(text);
		struct conf *conf = load_good(text);
		size_t bytes = points[i] < 0x80 ? 1
			: points[i] < 0x800     ? 2
			: points[i] < 0x10000   ? 3
						: 4;
		assert_int_equal(strlen(conf->applications[0].env[0].value), bytes + 2);
		conf_free(conf);
	}
}

static void test_round_trips(void **state)
{
	(void)state;
	expect_round_trip(conf_default_text);
	expect_round_trip(full_text);
	expect_round_trip("nodes: [a]\n");
	expect_round_trip(
		"nodes: [a, b, c, d]\napplications:\n"
		"  x: {nodes: [[a, b], c, [d]], supervisor: " TREE "}\n"
		"  t: {instances: {i: [a, [b, c], d], j: [[a], [b, d]]}, supervisor: {children:\n"
		"    [{id: z, type: supervisor, shutdown: 1ms, children: [{id: s, exec: [x, "
		"'%%i%i']}]}]}}\n");
}

static uint64_t signature_of(const char *text)
{
	struct conf *conf = load_good(text);
	uint64_t signature = conf_signature(conf);
	conf_free(conf);
	return signature;
}

static void test_signature(void **state)
{
	static const char *const others[] = {
		"domain: other\nnodes: [a, b]\napplications:\n  x: {supervisor: " TREE "}\n",
		"nodes: [b, a]\napplications:\n  x: {supervisor: " TREE "}\n",
		"nodes: [a, b, c]\napplications:\n  x: {supervisor: " TREE "}\n",
		DOMAIN "  y: {supervisor: " TREE "}\n",
		APPLICATION("nodes: [[a, b]]"),
		APPLICATION("standby: hot"),
		APPLICATION("takeover: exclusive"),
		APPLICATION("step_timeout: 3s"),
		APPLICATION("failovers: {period: 61s}"),
		APPLICATION("env: {A: 1}"),
		APPLICATION("listen: {a: 'unix:/a'}"),
		WORKER("restart: transient"),
		WORKER("names: [s]"),
		WORKER("state: 1B"),
		WORKER("watchdog: 1s"),
		WORKER("shutdown: infinity"),
		WORKER("on_death: failover"),
		WORKER("log: /a"),
	};
	(void)state;
	uint64_t plain = signature_of(DOMAIN "  x: {supervisor: " TREE "}\n");
	assert_true(plain ==
		signature_of(
			"# same\napplications: {x: {step_timeout: 2000ms, env: {}, supervisor:\n"
			"  {intensity: 1, children: [{exec: [x], id: s}]}}}\nlimits: {message: "
			"4096B}\nnodes: [a, b]\n"));
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
		if (signature_of(others[i]) == plain)
			fail_msg("the same signature for\n%s", others[i]);
	/* What is in the segments of running domains. */
	assert_true(signature_of(conf_default_text) == UINT64_C(0x84a2c49ca57bd10a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_embedded_default),
		cmocka_unit_test(test_least),
		cmocka_unit_test(test_low_latency),
		cmocka_unit_test(test_application_defaults),
		cmocka_unit_test(test_every_application_key),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_every_worker_key),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_nested_supervisors),
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_signature),
	};
	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
