/* SPDX-License-Identifier: ISC */
/*
 * A reload of nginx and of haproxy beside a takeover of heir-kv: how many requests fail meanwhile, and
 * how long the slowest takes, under the same load that does not wait. Each has its turns of a load with
 * a quiet time first, and reloads after it; and a turn with connections that are kept, and one with a
 * connection for each request.
 */
#include "bench/peers/peerload.h"
#include "bench/peers/peers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define INTERVAL    (SECOND / 2000)
#define PERIOD	    (600 * MILLISECOND) /* between two reloads, and of the quiet time before the first */
#define RELOADS_MAX 8			/* in one turn */
#define SERVERS	    3

enum which { HEIR_KV, NGINX, HAPROXY };

struct result {
	struct samples quiet, during, slowest;
	int64_t failed_quiet, failed;
};

struct server {
	const char *name;
	enum peer peer;
	bool is_there;
	uint16_t port;
	struct process process;
	int reload_signal;
	const char *request[2]; /* by is_kept */
	enum reply_kind kind;
	struct result result[2]; /* by is_kept */
};

struct reloads {
	const struct peers *p;
	struct demo_domain domain;
	struct server server[SERVERS];
};

#define HTTP_REQUEST "GET / HTTP/1.1\r\nHost: peers\r\n"
#define RESP_REQUEST "*2\r\n$3\r\nGET\r\n$8\r\ngreeting\r\n"

static const char kv_configuration[] = "domain: peers\n"
				       "nodes: [a, b]\n"
				       "applications:\n"
				       "  svc:\n"
				       "    standby: hot\n"
				       "    listen: {resp: \"127.0.0.1:%u\"}\n"
				       "    supervisor:\n"
				       "      children:\n"
				       "        - id: server\n"
				       "          exec: [heir-kv, --name, svc]\n"
				       "          names: [svc]\n"
				       "          state: 8MiB\n";

static const char nginx_configuration[] = "daemon off;\n"
					  "worker_processes auto;\n"
					  "pid %s/nginx.pid;\n"
					  "error_log stderr;\n"
					  "events { worker_connections 1024; }\n"
					  "http {\n"
					  "  access_log off;\n"
					  "  client_body_temp_path body;\n"
					  "  proxy_temp_path proxy;\n"
					  "  fastcgi_temp_path fastcgi;\n"
					  "  uwsgi_temp_path uwsgi;\n"
					  "  scgi_temp_path scgi;\n"
					  "  keepalive_requests 1000000;\n"
					  "  server {\n"
					  "    listen 127.0.0.1:%u;\n"
					  "    location / { default_type text/plain; return 200 hello; }\n"
					  "  }\n"
					  "}\n";

static const char haproxy_configuration[] =
	"global\n"
	"  maxconn 2000\n"
	"defaults\n"
	"  mode http\n"
	"  timeout client 30s\n"
	"  timeout connect 5s\n"
	"  timeout server 30s\n"
	"frontend front\n"
	"  bind 127.0.0.1:%u\n"
	"  http-request return status 200 content-type text/plain string hello\n";

static bool start_kv(struct reloads *r, struct server *s)
{
	char text[sizeof(kv_configuration) + 16], reply[64];
	size_t size = sizeof(reply);
	int rc;

	snprintf(text, sizeof(text), kv_configuration, s->port);
	if (!start_domain(r->p, &r->domain, text))
		return false;
	rc = heir_call(r->domain.h, "svc", "SET greeting hello", 18, reply, &size, TIMEOUT);
	return !rc || complain("heir-kv: %s", heir_strerror(rc));
}

static bool start_nginx(const struct peers *p, struct server *s)
{
	char path[PATH_MAX];

	return find_program("nginx", path) &&
	       write_file(p, "nginx.conf", nginx_configuration, p->work, s->port) &&
	       process_start(&s->process, p, s->name, false, SIGTERM,
			     (char *[]){path, "-e", "stderr", "-p", (char *)p->work, "-c", "nginx.conf", NULL});
}

static bool start_haproxy(const struct peers *p, struct server *s)
{
	char path[PATH_MAX];

	return find_program("haproxy", path) && write_file(p, "haproxy.cfg", haproxy_configuration, s->port) &&
	       process_start(&s->process, p, s->name, false, SIGTERM,
			     (char *[]){path, "-W", "-f", "haproxy.cfg", NULL});
}

static bool start_server(struct reloads *r, enum which which)
{
	struct server *s = &r->server[which];

	s->port = domain_free_port();
	if (!(which == HEIR_KV ? start_kv(r, s)
	      : which == NGINX ? start_nginx(r->p, s)
			       : start_haproxy(r->p, s)))
		return false;
	if (await_port(s->port))
		return true;
	process_show_log(r->p, s->name);
	return complain("%s does not listen", s->name);
}

/* To the node that does not have it; it is ready, since nothing has happened for a while. */
static bool take_over(heir_t *h)
{
	struct heir_app_status status;
	struct heir_move move;
	int rc = heir_app_status(h, "svc", &status);

	if (!rc)
		rc = heir_takeover(h, "svc", strcmp(status.node, "a") ? "a" : "b", HEIR_OVERLAP, TIMEOUT,
				   &move);
	if (!rc && move.result != HEIR_DONE)
		rc = HEIR_EFAILED;
	return !rc || complain("takeover: %s", heir_strerror(rc));
}

/* A process of its own, so that the load does not wait for what it does. */
static _Noreturn void reload(const struct reloads *r, const struct server *s, int64_t begin, unsigned times,
			     pid_t parent)
{
	heir_t *h = NULL;
	bool is_well = true;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (!s->process.pid)
		is_well = heir_open(r->domain.name, 0, &h) == 0;
	for (unsigned i = 1; i <= times && is_well; i++) {
		sleep_until(begin + i * PERIOD);
		is_well = h ? take_over(h) : kill(s->process.pid, s->reload_signal) == 0;
	}
	heir_close(h);
	_exit(is_well ? 0 : 1);
}

struct turn {
	struct result *result;
	int64_t begin;
	int64_t slowest[RELOADS_MAX + 1]; /* [0]: in the quiet time */
	unsigned reloads;
	bool has_memory;
};

static void request_done(void *arg, int64_t due, int64_t now, bool has_failed)
{
	struct turn *t = arg;
	int64_t at = (now - t->begin) / PERIOD;
	unsigned i = at > t->reloads ? t->reloads : (unsigned)at;

	if (has_failed) {
		++*(i ? &t->result->failed : &t->result->failed_quiet);
		return;
	}
	if (now - due > t->slowest[i])
		t->slowest[i] = now - due;
	if (samples_add(i ? &t->result->during : &t->result->quiet, now - due))
		t->has_memory = false;
}

/* A load with reloads in it. Nothing is kept of the one that warms up. */
static bool run_turn(struct reloads *r, struct server *s, bool is_kept, unsigned reloads, bool is_warm_up)
{
	struct result none = {0};
	struct turn turn = {.result = is_warm_up ? &none : &s->result[is_kept],
			    .begin = measure_now() + 20 * MILLISECOND,
			    .reloads = reloads,
			    .has_memory = true};
	struct load load = {.port = s->port,
			    .request = s->request[is_kept],
			    .kind = s->kind,
			    .is_kept = is_kept,
			    .interval = INTERVAL,
			    .begin = turn.begin,
			    .duration = (reloads + 1) * PERIOD,
			    .done = request_done,
			    .arg = &turn};
	pid_t self = getpid(), pid = fork();
	int status = -1;
	bool is_well;

	if (pid == 0)
		reload(r, s, turn.begin, reloads, self);
	if (pid < 0)
		return complain("fork: %s", strerror(errno));
	is_well = load_run(&load);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	for (unsigned i = 1; i <= reloads; i++)
		is_well = !samples_add(&turn.result->slowest, turn.slowest[i]) && is_well;
	samples_finish(&none.quiet);
	samples_finish(&none.during);
	samples_finish(&none.slowest);
	return (is_well && turn.has_memory && status == 0) || complain("%s: a reload failed", s->name);
}

static void out_server(struct reloads *r, struct server *s, bool is_kept)
{
	struct result *ours = &r->server[HEIR_KV].result[is_kept], *theirs = &s->result[is_kept];
	struct measured m;
	char parameters[96];

	snprintf(parameters, sizeof(parameters), "\"connections\":\"%s\",\"rate\":%lld",
		 is_kept ? "kept" : "one a request", (long long)(SECOND / INTERVAL));
	measured_init(&m, s->peer, "no reload: requests", parameters);
	m.failed_ours = ours->failed_quiet;
	m.failed_theirs = theirs->failed_quiet;
	if (!samples_copy(&m.ours, &ours->quiet) && !samples_copy(&m.theirs, &theirs->quiet))
		out_measured(r->p, &m);
	measured_init(&m, s->peer, "reload: requests", parameters);
	m.failed_ours = ours->failed;
	m.failed_theirs = theirs->failed;
	if (!samples_copy(&m.ours, &ours->during) && !samples_copy(&m.theirs, &theirs->during))
		out_measured(r->p, &m);
	measured_init(&m, s->peer, "reload: slowest request", parameters);
	if (!samples_copy(&m.ours, &ours->slowest) && !samples_copy(&m.theirs, &theirs->slowest))
		out_measured(r->p, &m);
}

static bool run_turns(struct reloads *r, unsigned turns, unsigned reloads)
{
	bool is_well = true;

	for (int i = 0; i < SERVERS && is_well; i++)
		if (r->server[i].is_there)
			is_well = start_server(r, i);
	for (unsigned turn = 0; turn <= turns; turn++) /* the first one warms up */
		for (int is_kept = 0; is_kept < 2; is_kept++)
			for (int i = 0; i < SERVERS && is_well; i++)
				if (r->server[i].is_there)
					is_well =
						run_turn(r, &r->server[i], is_kept, turn ? reloads : 0, !turn);
	return is_well;
}

bool peers_reload(const struct peers *p)
{
	struct reloads r = {.p = p,
			    .server = {{.name = "heir-kv",
					.is_there = true,
					.request = {RESP_REQUEST, RESP_REQUEST},
					.kind = REPLY_RESP},
				       {.name = "nginx", .peer = PEER_NGINX, .reload_signal = SIGHUP},
				       {.name = "haproxy", .peer = PEER_HAPROXY, .reload_signal = SIGUSR2}}};
	char path[PATH_MAX];
	bool is_well;

	for (int i = NGINX; i < SERVERS; i++) {
		struct server *s = &r.server[i];
		s->request[false] = HTTP_REQUEST "Connection: close\r\n\r\n";
		s->request[true] = HTTP_REQUEST "\r\n";
		s->is_there = is_chosen(p, s->peer) && have_program(p, s->peer, s->name, path);
	}
	if (!r.server[NGINX].is_there && !r.server[HAPROXY].is_there)
		return true;
	is_well = run_turns(&r, p->is_quick ? 1 : 6, p->is_quick ? 2 : RELOADS_MAX);
	for (int i = NGINX; i < SERVERS; i++) {
		process_stop(&r.server[i].process);
		for (int is_kept = 0; is_kept < 2 && is_well && r.server[i].is_there; is_kept++)
			out_server(&r, &r.server[i], is_kept);
	}
	for (int i = 0; i < SERVERS; i++)
		for (int is_kept = 0; is_kept < 2; is_kept++) {
			samples_finish(&r.server[i].result[is_kept].quiet);
			samples_finish(&r.server[i].result[is_kept].during);
			samples_finish(&r.server[i].result[is_kept].slowest);
		}
	return stop_domain(&r.domain, is_well);
}
