#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Children that die, and how often they may: restart in place, giving up, failing over, and the next
# candidate. Invariant 6; the race rows "chosen standby fails to start", "top supervisor gives up" and
# "permanent application fails".
. "$(dirname "$0")/story.sh"

told() { expect "the leader of $1" "$(call "heir@$1" "$2")" ok; }
is_instance() { [ "$(instance svc "$1")" = "$2" ]; }

# One application svc; its own lines come from standard input.
application() {
	{
		printf 'applications:\n  svc:\n'
		sed 's/^/    /'
	} | config "${NODES:-}"
}

kill_owner_of_svc() { # whatever comes after it
	local pid
	pid=$(owner svc)
	kill -KILL "$pid"
	ends "$pid"
}

story_a_restart_in_place() {
	service '' 'state: 4KiB, on_death: restart'
	local n pid
	call svc 'add 5' > /dev/null
	for n in 1 2 3; do
		pid=$(owner svc)
		kill -KILL "$pid"
		expect 'a call at once' "$(call svc 'add 1')" $((5 + n))
		expect 'where' "$(app svc '"\(.node) \(.start_type) \(.children[0].restarts)"')" "a local $n"
		expect 'the record' "$(last_move svc '"\(.kind) \(.to) \(.result)"')" 'local a done'
		expect_not 'the pid' "$(owner svc)" "$pid"
	done
	expect 'starts on b' "$(event_count 'start b .*')" 0
	expect 'the phases of a restart' "$(event_count 'phase_go a .*')" 1
}

# More often than intensity allows: the supervisor gives up, the other node takes it.
story_restarts_beyond_intensity_fail_over() {
	application <<-END
		standby: hot
		supervisor: {intensity: 1, period: 60s, children: [
		  {id: server, exec: [story_worker], names: [svc], state: 4KiB, on_death: restart}]}
	END
	up
	wait_protected svc
	call svc 'add 5' > /dev/null
	kill_owner_of_svc
	expect 'restarted on a' "$(call svc 'add 1' > /dev/null && app_node svc)" a
	kill_owner_of_svc
	wait_on svc b
	expect 'the counter' "$(call svc 'add 1')" 7
	is_said 'gives up on node a' || fail 'nothing is said of it'
}

story_giving_up_can_mean_to_stop() {
	application <<-END
		standby: hot
		on_give_up: stop
		supervisor: {intensity: 1, period: 60s, children: [
		  {id: server, exec: [story_worker], names: [svc], state: 4KiB, on_death: restart}]}
	END
	up
	wait_protected svc
	call svc 'add 5' > /dev/null
	kill_owner_of_svc
	expect 'restarted on a' "$(call svc 'add 1' > /dev/null && app_node svc)" a
	kill_owner_of_svc
	wait_state svc failed
	expect_exit 3 heir status svc
	expect_exit 3 heir whereis svc
	told b 'start svc'
	heir wait svc --timeout 20s
	expect 'its state is kept' "$(call svc 'add 1')" 7
}

# A crash that every instance has: they take turns, at most as often as failovers allows; then it stays down,
# state kept.
story_failovers_beyond_intensity_end_in_failed() {
	application <<-END
		standby: hot
		failovers: {intensity: 2, period: 60s}
		supervisor: {intensity: 0, period: 60s, children: [
		  {id: server, exec: [story_worker], names: [svc], state: 4KiB}]}
	END
	up
	wait_protected svc
	call svc 'add 5' > /dev/null
	local n
	for n in 1 2; do
		kill_owner_of_svc
		heir wait svc --timeout 20s
		expect 'the counter' "$(call svc get)" 5
		wait_protected svc
	done
	kill_owner_of_svc
	wait_state svc failed
	expect_exit 3 heir status svc
	background "$HEIR" call --timeout 20s svc get
	told a 'start svc'
	finished "$JOB" || fail "call: $OUT"
	expect 'mail that waited, and the state' "$OUT" 5
	wait_protected svc
}

story_a_crash_loop_ends() {
	service 'failovers: {intensity: 3, period: 60s}'
	call svc 'add 5' > /dev/null
	at phase_go die
	kill_owner_of_svc
	wait_state svc failed
	allow phase_go
	told a 'start svc'
	heir wait svc --timeout 20s
	expect 'its state is kept' "$(call svc get)" 5
}

story_the_next_candidate_where_the_first_fails_to_start() {
	NODES='a, b, c' service
	local how point
	call svc 'add 5' > /dev/null
	for how in fail die 'exit 3'; do
		for point in start phase_go; do
			until_true 'all stand by' all_stand_by
			local node
			node=$(app_node svc)
			at "$point.$(next_of "$node")" "$how"
			kill_owner_of_svc
			heir wait svc --timeout 20s
			expect 'the counter' "$(call svc get)" 5
			expect_not "who serves after $point $how" "$(app_node svc)" "$(next_of "$node")"
			allow "$point.$(next_of "$node")"
		done
	done
}
all_stand_by() { [ "$(app svc '[.instances[] | .state] | sort | join(" ")')" = 'running standby standby' ]; }
next_of() { # the best of the others
	[ "$1" = a ] && echo b || echo a
}

# A worker that dies in each of its callbacks when it is first started, once on each node: served in the end.
story_deaths_in_each_callback_at_the_first_start() {
	local point
	for point in main init start phase_go; do
		[ ! -s "$DIR/up.log" ] || { heir down > /dev/null; ends "$UP"; : > "$DIR/up.log"; }
		at "$point.a" once die
		at "$point.b" once die
		service
		expect "the counter, $point" "$(call svc 'add 1')" 1
	done
}

story_a_program_that_exits_at_once() {
	application <<-END
		standby: hot
		supervisor: {intensity: 2, period: 60s, children: [
		  {id: server, exec: [story_worker], names: [svc], state: 4KiB}]}
	END
	at main 'exit 9'
	start_up
	wait_state svc failed
	is_said 'died too often' || fail 'nothing is said of it'
	expect_exit 3 heir whereis svc
	allow main
	told a 'start svc'
	heir wait svc --timeout 20s
	expect 'a call' "$(call svc 'add 1')" 1
}

story_a_program_that_is_never_ready() {
	application <<-END
		standby: hot
		step_timeout: 300ms
		supervisor: {intensity: 1, period: 60s, children: [
		  {id: server, exec: [story_worker], names: [svc], state: 4KiB}]}
	END
	at main.a hang
	up
	wait_on svc b
	until_true 'a gives up' is_said 'gives up on node a'
	is_said 'was not ready in time' || fail 'nothing is said of it'
	expect 'a call' "$(call svc 'add 1')" 1
	expect 'protected' "$(app svc .protected)" false
	allow main.a
	told a 'start svc'
	wait_protected svc
}

story_a_program_that_vanishes() {
	cp "$STORY_WORKER" program
	application <<-END
		standby: hot
		supervisor: {intensity: 2, period: 60s, children: [
		  {id: server, exec: ["$DIR/program"], names: [svc], state: 4KiB}]}
	END
	up
	wait_protected svc
	mv program gone
	kill_owner_of_svc
	wait_on svc b
	expect 'a call' "$(call svc 'add 1')" 1
	until_true 'a gives up' is_said 'gives up on node a'
	is_said 'cannot start.*program.*No such file' || fail 'nothing is said of it'
	expect 'protected' "$(app svc .protected)" false
	mv gone program
	told a 'start svc'
	wait_protected svc
}

story_a_permanent_application_takes_its_node_down() {
	application <<-END
		nodes: [a]
		restart_type: permanent
		failovers: {intensity: 1, period: 60s}
		supervisor: {intensity: 1, period: 60s, children: [
		  {id: server, exec: [story_worker], names: [svc], state: 4KiB}]}
	END
	up
	local n
	for n in 1 2 3; do
		kill_owner svc
		heir wait svc --timeout 20s
	done
	kill_owner_of_svc
	until_true 'node a is down' is_node a down
	expect 'node b' "$(status '.nodes[1].state')" up
}
is_node() { [ "$(status ".nodes[] | select(.name == \"$1\") | .state")" = "$2" ]; }

story_cold_standbys_move() {
	service 'standby: cold'
	expect 'b' "$(instance svc b)" absent
	call svc 'add 5' > /dev/null
	local move
	move=$(heir takeover --json svc b)
	expect 'takeover' "$(jq -r '"\(.from) \(.to) \(.result)"' <<< "$move")" 'a b done'
	expect 'start' "$(event_count 'start b .* takeover a .*')" 1
	expect 'the counter' "$(call svc 'add 1')" 6
	until_true 'a has stopped' is_instance a absent
	expect 'protected' "$(app svc .protected)" false
	kill -KILL "$(leader b)"
	wait_on svc a
	expect 'start' "$(event_count 'start a .* failover b .*')" 1
	expect 'the counter' "$(call svc 'add 1')" 7
	kill_owner_of_svc
	expect 'restarted in place' "$(call svc 'add 1' > /dev/null && app_node svc)" a
}

# Programs that know nothing of heir.
variable_of() { tr '\0' '\n' < "/proc/$1/environ" | sed -n "s/^$2=//p"; }

story_programs_that_know_nothing_of_heir() {
	application <<-END
		takeover: overlap
		supervisor: {children: [
		  {id: first, exec: [sleep, "1000"], ready: exec},
		  {id: second, exec: [sh, -c, 'echo >&5; exec 5>&-; exec sleep 1000'], ready: {fd: 5}, shutdown: 1s}]}
	END
	up
	local pid generation
	pid=$(owner svc)
	expect 'type' "$(variable_of "$pid" HEIR_START_TYPE)" normal
	expect 'node' "$(variable_of "$pid" HEIR_NODE)" a
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
	ends "$pid"
	pid=$(owner svc)
	expect 'type' "$(variable_of "$pid" HEIR_START_TYPE) $(variable_of "$pid" HEIR_FROM_NODE)" 'takeover a'
	generation=$(variable_of "$pid" HEIR_GENERATION)
	kill -KILL "$(leader b)"
	wait_on svc a
	ends "$pid"
	pid=$(owner svc)
	expect 'type' "$(variable_of "$pid" HEIR_START_TYPE) $(variable_of "$pid" HEIR_FROM_NODE)" 'failover b'
	[ "$(variable_of "$pid" HEIR_GENERATION)" -gt "$generation" ] || fail 'the generation did not rise'
	expect 'takeover' "$(heir takeover --exclusive --json svc b | jq -r .result)" done
	is_gone "$pid" || fail 'the old one lives'
	pid=$(owner svc)
	kill -KILL "$pid"
	ends "$pid"
	heir wait svc --timeout 20s
	expect 'where' "$(app_node svc)" b
	expect 'type' "$(variable_of "$(owner svc)" HEIR_START_TYPE)" local
}

story_a_program_that_ignores_term() {
	application <<-END
		supervisor: {children: [
		  {id: deaf, exec: [bash, -c, 'trap "" TERM; echo >&3; while :; do sleep 1000; done'],
		  ready: {fd: 3}, shutdown: 300ms}]}
	END
	up
	local pid
	pid=$(owner svc)
	heir takeover svc b > /dev/null
	ends "$pid"
	is_said 'did not stop within its time' || fail 'nothing is said of it'
	heir down > /dev/null
	expect_nothing_left
}

# It says that it is ready as services do that systemd starts.
story_a_program_that_notifies() {
	application <<-END
		supervisor: {children: [
		  {id: notifier, exec: [bash, -c, 'read -r go < go; story_worker notify; exec sleep 1000'],
		  ready: notify}]}
	END
	mkfifo go
	start_up
	until_true 'it has been started' has_child
	expect_not 'state' "$(app svc .state)" running
	echo > go
	up_says ' is up: '
}
has_child() { [ "$(owner svc 2>/dev/null || echo null)" != null ]; }

run_stories "$@"
