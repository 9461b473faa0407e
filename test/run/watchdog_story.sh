#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Hangs: a worker that asked for a watchdog and misses it is killed, and its application fails over; one that
# gets no processor is not taken for one that hangs. Section 5.
. "$(dirname "$0")/story.sh"

bitten() { grep -c 'is killed by its watchdog' up.log || true; }
has_other_pid() { # NAME PID
	local pid
	pid=$(whereis "$1" .pid 2>/dev/null) && [ "$pid" != "$2" ] && [ "$pid" != null ]
}

# In a handler: asleep for ever, busy for ever, stopped; and busy between mark and commit.
story_an_owner_that_hangs_fails_over() {
	service '' 'state: 4KiB, watchdog: 200ms'
	local how point count=0
	for how in hang spin stop; do
		for point in handle marked; do
			count=$((count + 1))
			at "$point.a" "$how"
			expect "a call, $how in $point" "$(call svc 'add 1')" "$count"
			expect 'served by' "$(app_node svc)" b
			expect 'the record' "$(last_move svc '"\(.kind) \(.from) \(.to) \(.result)"')" 'failover a b done'
			expect 'killed by the watchdog' "$(bitten)" "$count"
			allow "$point.a"
			wait_protected svc
			heir takeover svc a > /dev/null
			wait_protected svc
		done
	done
}

story_an_owner_that_is_stopped_at_rest_fails_over() {
	service '' 'state: 4KiB, watchdog: 200ms'
	local old
	old=$(owner svc)
	stop "$old"
	wait_on svc b
	ends "$old"
	expect 'killed by the watchdog' "$(bitten)" 1
	expect 'a call' "$(call svc 'add 1')" 1
}

# Nobody is served by it, and it is to be there when it is needed.
story_a_standby_that_hangs_is_started_again() {
	service '' 'state: 4KiB, watchdog: 200ms'
	local standby pid
	pid=$(owner svc) standby=$(whereis svc@b .pid)
	stop "$standby"
	until_true 'another standby' has_other_pid svc@b "$standby"
	ends "$standby"
	wait_protected svc
	expect 'the owner' "$(owner svc)" "$pid"
	expect 'killed by the watchdog' "$(bitten)" 1
}

# Another child than the first one, restarted in place.
story_a_child_that_hangs_is_restarted_in_place() {
	config <<-END
		applications:
		  svc: {supervisor: {intensity: 50, period: 60s, children: [
		    {id: server, exec: [story_worker], names: [svc], state: 4KiB},
		    {id: extra, exec: [story_worker, --name, extra], names: [extra], watchdog: 200ms}]}}
	END
	up
	wait_on svc a
	local pid old
	pid=$(owner svc) old=$(whereis extra .pid)
	stop "$old"
	until_true 'another process' has_other_pid extra "$old"
	wait_event "start a svc extra .* local .*"
	expect 'the owner' "$(owner svc)" "$pid"
}

# What works is left alone, however short its watchdog, in moves too.
story_what_works_is_left_alone() {
	service '' 'state: 4KiB, watchdog: 20ms, shutdown: 10s'
	local caller
	background "$STORY_WORKER" caller svc
	caller=$JOB
	at phase_go.b block
	background "$HEIR" takeover --json svc b
	wait_event 'phase_go b .*'
	wait_for_looks 10
	allow phase_go.b
	finished "$JOB" || fail "takeover: $OUT"
	expect 'a slow takeover' "$(jq -r .result <<< "$OUT")" done
	wait_protected svc
	for _ in 1 2 3; do
		expect 'takeover to a' "$(heir takeover --json svc a | jq -r .result)" done
		wait_protected svc
		expect 'takeover to b' "$(heir takeover --json svc b | jq -r .result)" done
		wait_protected svc
	done
	at stop.b block
	heir takeover svc a > /dev/null
	wait_event 'stop b .*'
	wait_for_looks 10
	allow stop.b
	wait_protected svc
	kill -TERM "$caller"
	finished "$caller" || fail "caller: $OUT"
	expect 'killed by the watchdog' "$(bitten)" 0
	expect 'restarts' "$(app svc '[.children[].restarts] | add')" 0
}
# As long as N commands last, each longer than that watchdog.
wait_for_looks() { for _ in $(seq "$1"); do heir status > /dev/null || true; done; }

# The leader is stopped for longer than the watchdog, and goes on: nobody was silent.
story_a_leader_that_is_stopped_does_not_bite() {
	service '' 'state: 4KiB, watchdog: 50ms'
	local pid a
	pid=$(owner svc) a=$(leader a)
	for _ in 1 2 3; do
		stop "$a"
		wait_for_looks 20
		resume "$a"
		wait_for_looks 5
	done
	expect 'the owner' "$(owner svc)" "$pid"
	expect 'killed by the watchdog' "$(bitten)" 0
}

# On one processor with many that are busy, and behind all of them.
story_starvation_is_not_a_hang() {
	config <<-END
		applications:
		  svc: {supervisor: {intensity: 50, period: 60s, children: [
		    {id: server, exec: [taskset, -c, "$CPU", chrt, -i, "0", story_worker], names: [svc],
		     state: 4KiB, watchdog: 10ms}]}}
	END
	up
	wait_on svc a
	local pid busy=()
	pid=$(owner svc)
	chrt -f 1 true 2> /dev/null || skip 'no real-time priority: nothing starves others for certain'
	background taskset -c "$CPU" chrt -f 1 bash -c 'while :; do :; done'
	busy=("$JOB")
	until_true 'it is late' is_said 'is waited for'
	expect 'a call' "$(call svc 'add 1')" 1
	kill -KILL "${busy[@]}"
	expect 'the owner' "$(owner svc)" "$pid"
	expect 'killed by the watchdog' "$(bitten)" 0
	at handle spin
	background "$HEIR" send svc 'add 1'
	until_true 'it hangs, and is killed for it' has_other_owner svc "$pid"
	allow handle
	expect 'killed by the watchdog' "$(bitten)" 1
}
CPU=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')

# A program that says so itself, as services do that systemd starts.
story_a_program_that_notifies() {
	config <<-END
		applications:
		  svc: {supervisor: {intensity: 50, period: 60s, children: [
		    {id: program, ready: notify, watchdog: 1s, exec: [bash, -c, "$(program)"]}]}}
	END
	touch alive
	up
	wait_on svc a
	local pid
	pid=$(owner svc)
	until_true 'it is alive for much longer than a second' has_beaten 40
	expect 'its pid' "$(owner svc)" "$pid"
	expect 'its environment' "$(tail -n 1 env)" "1000000 $pid"
	rm alive
	until_true 'it is silent, and started again' has_other_owner svc "$pid"
	expect 'killed by the watchdog' "$(bitten)" 1
	ends "$pid"
}
program() {
	printf '%s' 'echo $WATCHDOG_USEC $WATCHDOG_PID >> env; story_worker notify; ' \
		'while [ -e alive ]; do story_worker notify WATCHDOG=1; echo >> beats; sleep 0.05; done; ' 'exec sleep 1000'
}
has_beaten() { [ "$(wc -l < beats)" -ge "$1" ]; }

# It says that it has failed: at once.
story_a_program_that_gives_up() {
	config <<-END
		applications:
		  svc: {supervisor: {intensity: 50, period: 60s, children: [{id: program, ready: notify, watchdog: 1h, exec:
		    [bash, -c, 'story_worker notify; read -r go < go; story_worker notify WATCHDOG=trigger; exec sleep 1000']}]}}
	END
	mkfifo go
	up
	wait_on svc a
	local pid
	pid=$(owner svc)
	echo > go
	until_true 'it is started again' has_other_owner svc "$pid"
	is_said 'says that it has failed' || fail 'nothing is said of it'
}

run_stories "$@"
