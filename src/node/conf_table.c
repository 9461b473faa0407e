/* SPDX-License-Identifier: ISC */
/* Every key of heir.yaml, with its range and default: what conf_key.c decodes by and conf_print.c
 * prints by. */
#include "conf_impl.h"

static const char *const standby_words[] = {"cold", "hot", NULL};
static const char *const take_back_words[] = {"manual", "auto", NULL};
static const char *const give_up_words[] = {"failover", "terminate", "stop", NULL};
static const char *const restart_words[] = {"permanent", "transient", "temporary", NULL};
static const char *const strategy_words[] = {"one_for_one", "one_for_all", "rest_for_one", NULL};
static const char *const type_words[] = {"worker", "supervisor", NULL};
static const char *const on_death_words[] = {"failover", "restart", NULL};
const char *const conf_switch_words[] = {"false", "true", NULL};
const char *const conf_ready_words[] = {"attach", "exec", "notify", NULL};

#define NUMBER(key, keykind, type, field, least, most, preset, keyflags) \
	{ \
		.name = key, .kind = keykind, .flags = keyflags, .offset = offsetof(type, field), \
		.low = least, .high = most, .initial = preset \
	}
#define COUNT(key, type, field, least, most, preset, keyflags) \
	NUMBER(key, CONF_KEY_COUNT, type, field, least, most, preset, keyflags)
#define DURATION(key, type, field, least, most, preset, keyflags) \
	NUMBER(key, CONF_KEY_DURATION, type, field, least, most, preset, keyflags)
#define SIZE(key, type, field, least, most, preset, keyflags) \
	NUMBER(key, CONF_KEY_SIZE, type, field, least, most, preset, keyflags)
#define WORD(key, type, field, list, preset, keyflags) \
	{ \
		.name = key, .kind = CONF_KEY_WORD, .flags = keyflags, .offset = offsetof(type, field), \
		.words = list, .initial = preset \
	}
#define OTHER(key, decoder, printer, keyflags) \
	{ \
		.name = key, .kind = CONF_KEY_OTHER, .flags = keyflags, .decode = decoder, .print = printer \
	}
#define END \
	{ \
		.name = NULL \
	}

const struct conf_key conf_domain_keys[] = {
	OTHER("domain", conf_decode_domain, conf_print_domain, 0),
	OTHER("nodes", NULL, conf_print_nodes, 0),
	OTHER("limits", conf_decode_limits, conf_print_limits, 0),
	OTHER("low_latency", conf_decode_low_latency, conf_print_low_latency, 0),
	OTHER("applications", NULL, conf_print_applications, 0),
	END,
};

const struct conf_key conf_limits_keys[] = {
	COUNT("names", struct conf_limits, names, CONF_LIMIT_NAMES_MIN, CONF_LIMIT_NAMES_MAX,
		CONF_LIMIT_NAMES_DEFAULT, 0),
	COUNT("processes", struct conf_limits, processes, CONF_LIMIT_PROCESSES_MIN,
		CONF_LIMIT_PROCESSES_MAX, CONF_LIMIT_PROCESSES_DEFAULT, 0),
	COUNT("messages", struct conf_limits, messages, CONF_LIMIT_MESSAGES_MIN,
		CONF_LIMIT_MESSAGES_MAX, CONF_LIMIT_MESSAGES_DEFAULT, 0),
	SIZE("message", struct conf_limits, message, CONF_LIMIT_MESSAGE_MIN, CONF_LIMIT_MESSAGE_MAX,
		CONF_LIMIT_MESSAGE_DEFAULT, 0),
	COUNT("trace", struct conf_limits, trace, CONF_LIMIT_TRACE_MIN, CONF_LIMIT_TRACE_MAX,
		CONF_LIMIT_TRACE_DEFAULT, 0),
	END,
};

const struct conf_key conf_low_latency_keys[] = {
	DURATION("spin", struct conf_low_latency, spin, 0, CONF_SPIN_MAX, 0, 0),
	DURATION("cpu_dma_latency", struct conf_low_latency, cpu_dma_latency, 0,
		CONF_CPU_DMA_LATENCY_MAX, CONF_INFINITY, CONF_KEY_INFINITY),
	WORD("lock_memory", struct conf_low_latency, lock_memory, conf_switch_words, 0, 0),
	WORD("prefault", struct conf_low_latency, prefault, conf_switch_words, 0, 0),
	END,
};

const struct conf_key conf_application_keys[] = {
	OTHER("instances", NULL, NULL, 0),
	OTHER("nodes", conf_decode_candidates, conf_print_candidates, 0),
	WORD("standby", struct conf_application, standby, standby_words, CONF_COLD, 0),
	OTHER("takeover", conf_decode_takeover, conf_print_takeover, 0),
	OTHER("start_phases", conf_decode_start_phases, NULL, 0),
	DURATION("step_timeout", struct conf_application, step_timeout, CONF_STEP_TIMEOUT_MIN,
		CONF_STEP_TIMEOUT_MAX, CONF_STEP_TIMEOUT_DEFAULT, CONF_KEY_RELOADS),
	DURATION("yield_timeout", struct conf_application, yield_timeout, 0, CONF_YIELD_TIMEOUT_MAX,
		CONF_YIELD_TIMEOUT_DEFAULT, CONF_KEY_RELOADS),
	DURATION("claim_grace", struct conf_application, claim_grace, 0, CONF_CLAIM_GRACE_MAX,
		CONF_CLAIM_GRACE_DEFAULT, CONF_KEY_RELOADS),
	DURATION("failover_timeout", struct conf_application, failover_timeout, 0,
		CONF_FAILOVER_TIMEOUT_MAX, CONF_FAILOVER_TIMEOUT_DEFAULT, CONF_KEY_INFINITY | CONF_KEY_RELOADS),
	OTHER("failovers", conf_decode_failovers, conf_print_failovers, CONF_KEY_RELOADS),
	COUNT("max_deliveries", struct conf_application, max_deliveries, CONF_MAX_DELIVERIES_MIN,
		CONF_MAX_DELIVERIES_MAX, CONF_MAX_DELIVERIES_DEFAULT, CONF_KEY_RELOADS),
	WORD("take_back", struct conf_application, take_back, take_back_words,
		CONF_TAKE_BACK_MANUAL, CONF_KEY_RELOADS),
	WORD("on_give_up", struct conf_application, on_give_up, give_up_words,
		CONF_GIVE_UP_FAILOVER, CONF_KEY_RELOADS),
	WORD("restart_type", struct conf_application, restart_type, restart_words, CONF_TEMPORARY, CONF_KEY_RELOADS),
	OTHER("applications", conf_decode_dependencies, conf_print_dependencies, CONF_KEY_RELOADS),
	OTHER("listen", conf_decode_listen, conf_print_listen, 0),
	OTHER("env", conf_decode_env, conf_print_env, CONF_KEY_RELOADS),
	OTHER("supervisor", conf_decode_supervisor, conf_print_supervisor, 0),
	END,
};

const struct conf_key conf_failovers_keys[] = {
	COUNT("intensity", struct conf_application, failovers_intensity, 0, CONF_INTENSITY_MAX,
		CONF_FAILOVERS_INTENSITY_DEFAULT, CONF_KEY_RELOADS),
	DURATION("period", struct conf_application, failovers_period, CONF_PERIOD_MIN,
		CONF_PERIOD_MAX, CONF_FAILOVERS_PERIOD_DEFAULT, CONF_KEY_RELOADS),
	END,
};

#define SUPERVISOR_KEYS(type, prefix) \
	WORD("strategy", type, prefix strategy, strategy_words, CONF_ONE_FOR_ONE, CONF_KEY_RELOADS), \
		COUNT("intensity", type, prefix intensity, 0, CONF_INTENSITY_MAX, \
			CONF_INTENSITY_DEFAULT, CONF_KEY_RELOADS), \
		DURATION("period", type, prefix period, CONF_PERIOD_MIN, CONF_PERIOD_MAX, \
			CONF_PERIOD_DEFAULT, CONF_KEY_RELOADS)

#define CHILD_KEYS(preset) \
	OTHER("id", conf_decode_id, conf_print_id, 0), \
		WORD("type", struct conf_child, type, type_words, CONF_WORKER, 0), \
		WORD("restart", struct conf_child, restart, restart_words, CONF_PERMANENT, CONF_KEY_RELOADS), \
		DURATION("shutdown", struct conf_child, shutdown, CONF_SHUTDOWN_MIN, \
			CONF_SHUTDOWN_MAX, preset, CONF_KEY_INFINITY | CONF_KEY_BRUTAL | CONF_KEY_RELOADS)

const struct conf_key conf_supervisor_keys[] = {
	SUPERVISOR_KEYS(struct conf_supervisor, ),
	OTHER("children", conf_decode_children, conf_print_children, 0),
	END,
};

const struct conf_key conf_nested_keys[] = {
	CHILD_KEYS(CONF_INFINITY),
	SUPERVISOR_KEYS(struct conf_child, supervisor.),
	OTHER("children", conf_decode_nested_children, conf_print_nested_children, 0),
	END,
};

const struct conf_key conf_worker_keys[] = {
	CHILD_KEYS(CONF_SHUTDOWN_DEFAULT),
	OTHER("exec", conf_decode_exec, conf_print_exec, CONF_KEY_RELOADS),
	OTHER("names", conf_decode_names, conf_print_names, 0),
	SIZE("state", struct conf_child, state, CONF_STATE_MIN, CONF_STATE_MAX, 0,
		CONF_KEY_OPTIONAL),
	OTHER("ready", conf_decode_ready, conf_print_ready, 0),
	{.name = "on_death",
		.kind = CONF_KEY_WORD,
		.flags = CONF_KEY_UNSET | CONF_KEY_RELOADS,
		.offset = offsetof(struct conf_child, on_death),
		.words = on_death_words},
	OTHER("log", conf_decode_log, conf_print_log, CONF_KEY_RELOADS),
	DURATION("watchdog", struct conf_child, watchdog, CONF_WATCHDOG_MIN, CONF_WATCHDOG_MAX, 0,
		CONF_KEY_OPTIONAL | CONF_KEY_RELOADS),
	END,
};

const struct conf_key conf_ready_keys[] = {
	COUNT("fd", struct conf_child, ready_fd, CONF_READY_FD_MIN, CONF_READY_FD_MAX, 0, 0),
	END,
};
