#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# What the configuration and the operator decide: priorities, permissions, take_back, failover_timeout,
# dependencies. The race rows "a node with higher priority comes back" and "a node dies within the failover
# timeout and comes back".
. "$(dirname "$0")/story.sh"

told() { expect "the leader of $1" "$(call "heir@$1" "$2")" ok; }
is_instance() { [ "$(instance svc "$1")" = "$2" ]; }
kill_leader() { # NODE; returns when it has another one
	local old
	old=$(leader "$1")
	kill -KILL "$old"
	until_true "node $1 has another leader" has_other_leader "$1" "$old"
}
has_other_leader() {
	local pid
	pid=$(leader "$1") && [ "$pid" != null ] && [ "$pid" != "$2" ]
}

uptime_ms() { # as the times of events, to 10 ms
	local up
	read -r up _ < /proc/uptime
	echo "${up/./}0"
}

story_take_back_manual() {
	service
	kill_leader a
	wait_on svc b
	wait_protected svc
	expect 'the owner' "$(app_node svc)" b
	expect 'the counter' "$(call svc 'add 1')" 1
	expect 'the owner still' "$(app_node svc)" b
}

story_take_back_auto() {
	service 'take_back: auto'
	call svc 'add 5' > /dev/null
	kill_leader a
	wait_on svc a
	expect 'the record' "$(last_move svc '"\(.kind) \(.from) \(.to) \(.result)"')" 'takeover b a done'
	expect 'the one before' "$(moves svc '.[1] | "\(.kind) \(.from) \(.to)"')" 'failover a b'
	expect 'the counter' "$(call svc 'add 1')" 6
	wait_protected svc
	heir takeover svc b > /dev/null # asked for by somebody: stays
	wait_protected svc
	expect 'the owner' "$(app_node svc)" b
}

# Its node comes back before the timeout has passed: started there again, and nobody fails over.
story_a_node_that_is_back_within_the_failover_timeout() {
	service 'failover_timeout: 60s'
	call svc 'add 5' > /dev/null
	kill_leader a
	wait_on svc a
	expect 'failovers' "$(moves svc '[.[] | select(.to == "b")] | length')" 0
	expect 'the counter' "$(call svc 'add 1')" 6
}

story_failing_over_after_the_failover_timeout() {
	service 'failover_timeout: 400ms'
	call svc 'add 5' > /dev/null
	kill -KILL "$UP" # so that nobody starts the node again
	ends "$UP"
	local began old
	old=$(owner svc)
	began=$(uptime_ms)
	kill -KILL "$(leader a)"
	ends "$old" # which it does a moment later, and may answer until then
	background "$HEIR" call --timeout 20s svc 'add 1'
	finished "$JOB" || fail "call: $OUT"
	expect 'the counter' "$OUT" 6
	expect 'the owner' "$(app_node svc)" b
	[ $(($(event_time 'start b .* failover .*') / 1000000 - began)) -ge 380 ] || fail 'it did not wait'
}

story_priorities_and_permissions() {
	NODES='a, b, c' service 'nodes: [c, b, a]'
	expect 'starts on the first of its nodes' "$(app_node svc)" c
	told b 'permit svc b no'
	kill_owner svc
	expect 'fails over to the next that may' "$(app_node svc)" a
	expect_exit 4 heir takeover svc b
	told b 'permit svc b yes'
	until_true 'b stands by' is_instance b standby
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
}

# No permission for the node that has it: it is handed over.
story_a_permission_that_is_withdrawn() {
	service
	call svc 'add 5' > /dev/null
	told a 'permit svc a no'
	wait_on svc b
	expect 'the record' "$(last_move svc '"\(.kind) \(.result)"')" 'takeover done'
	until_true 'a has stopped' is_instance a absent
	expect 'protected' "$(app svc .protected)" false
	told a 'permit svc a yes'
	wait_protected svc
	expect 'the counter' "$(call svc 'add 1')" 6
}

story_an_application_that_is_stopped_and_started() {
	service
	call svc 'add 5' > /dev/null
	told a 'stop svc'
	wait_state svc down
	expect_exit 3 heir whereis svc
	background "$HEIR" call --timeout 20s svc 'add 1'
	expect_exit 1 heir takeover svc b
	expect 'state' "$(app svc .state)" down
	told b 'start svc'
	finished "$JOB" || fail "call: $OUT"
	expect 'mail that waited' "$OUT" 6
	wait_protected svc
}

story_what_must_run_first() {
	config <<-END
		applications:
		  svc: {applications: [log], standby: hot, supervisor: {children: [
		    {id: server, exec: [story_worker], names: [svc], state: 4KiB}]}}
		  log: {nodes: [b, a], supervisor: {children: [
		    {id: log, exec: [story_worker, --name, log], names: [log]}]}}
	END
	at start.b.log block
	start_up
	wait_event 'start b log .*'
	expect 'svc waits' "$(event_count 'start . svc .*')" 0
	allow start.b.log
	up_says ' is up: '
	wait_event 'start a svc .* normal .*'
	[ "$(event_time 'phase_go b log .*')" -lt "$(event_time 'start a svc .*')" ] || fail 'svc started first'
}

# Two domains share nothing.
story_another_domain_beside_it() {
	service
	local other="$DOMAIN-other"
	sed "s/^domain: .*/domain: $other/" heir.yaml > other.yaml
	background env -u HEIR_DOMAIN "$HEIR" up -f other.yaml
	until_true 'the other one runs' grep -qs ' is up' "$DIR/job.$JOB"
	expect 'add there' "$(call -d "$other" svc 'add 7')" 7
	expect 'add here' "$(call svc 'add 1')" 1
	heir down -d "$other" > /dev/null
	finished "$JOB" || fail "the other up: $OUT"
	expect 'here still' "$(call svc 'add 1')" 2
	expect 'segments' "$(segments | wc -l)" 2
}

# One template, two instances, mated pairs.
story_a_mated_pair() {
	config <<-END
		applications:
		  shard:
		    instances: {east: [a, b], west: [b, a]}
		    standby: hot
		    supervisor: {children: [
		      {id: s, exec: [story_worker, --name, "shard-%i"], names: ["shard-%i"], state: 4KiB}]}
	END
	up
	wait_protected shard/east
	wait_protected shard/west
	expect 'where' "$(app_node shard/east) $(app_node shard/west)" 'a b'
	call shard-east 'add 1' > /dev/null
	call shard-west 'add 2' > /dev/null
	kill_leader a
	wait_on shard/east b
	expect 'the counters' "$(call shard-east get) $(call shard-west get)" '1 2'
}

run_stories "$@"
