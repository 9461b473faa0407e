#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Who asks, and who is not concerned: the race rows "the command that asked is killed", "old instance hangs in
# stop_old", "two takeovers at once", "a takeover or failover of one application" and "a bystander"; invariant
# 10.
. "$(dirname "$0")/story.sh"

story_the_command_that_asked_is_killed() {
	service
	at phase_go.b block
	background "$HEIR" takeover svc b
	wait_event 'phase_go b .*'
	kill -KILL "$JOB"
	ends "$JOB"
	allow phase_go.b
	wait_on svc b
	expect 'the record' "$(last_move svc '"\(.kind) \(.result)"')" 'takeover done'
	expect 'the counter' "$(call svc 'add 1')" 1
	wait_protected svc
}

story_the_command_that_asked_gives_up() {
	service
	at start.b block
	expect_exit 124 heir takeover --timeout 300ms svc b
	expect_match 'the message' "$OUT" '*did not end within 300ms*'
	allow start.b
	wait_on svc b
	expect 'the record' "$(last_move svc '"\(.kind) \(.result)"')" 'takeover done'
}

story_the_second_of_two_is_told_who_was_first() {
	NODES='a, b, c' service
	at start.b block
	background "$HEIR" takeover --json svc b
	local first=$JOB
	wait_event 'start b .*'
	expect_exit 1 heir takeover svc c
	expect_match 'the message' "$OUT" '*node `b` is taking `svc` over already*--wait*'
	background "$HEIR" takeover --wait --json svc c
	local second=$JOB
	allow start.b
	finished "$first" || fail "first: $OUT"
	expect 'first' "$(jq -r '"\(.from) \(.to) \(.result)"' <<< "$OUT")" 'a b done'
	finished "$second" || fail "second: $OUT"
	expect 'second' "$(jq -r '"\(.from) \(.to) \(.result)"' <<< "$OUT")" 'b c done'
	expect 'the owner' "$(app_node svc)" c
	expect 'the counter' "$(call svc 'add 1')" 1
}

# Many at once: each ends in a way that it says, and the service runs.
story_a_crowd_of_takeovers() {
	NODES='a, b, c' service
	local n jobs=() caller allowed='already|ready|died before'
	background "$STORY_WORKER" caller svc
	caller=$JOB
	for n in b c a b c a b c a; do
		background "$HEIR" takeover --wait svc $n
		jobs+=("$JOB")
	done
	for n in "${jobs[@]}"; do
		finished "$n" || [[ $OUT =~ $allowed ]] || fail "a takeover: $OUT"
	done
	wait_state svc running
	kill -TERM "$caller"
	finished "$caller" || fail "caller: $OUT"
	expect_match 'the caller' "$OUT" '*unknown=0 failed=0 odd=0 *'
	expect 'the counter' "$(call svc get)" "$(sed 's/.* last=\([0-9]*\) .*/\1/' <<< "$OUT")"
}

# It is stopped by force at its shutdown time, and the new one serves all the while.
story_an_old_instance_that_ignores_its_stop() {
	local point old
	service '' 'state: 4KiB, shutdown: 1s'
	for point in prep_stop stop; do
		old=$(owner svc)
		at "$point" once hang
		expect 'takeover' "$(heir takeover --json svc "$(other_node)" | jq -r .result)" done
		wait_event "$point .* $old"
		call svc 'add 1' > /dev/null
		is_gone "$old" && fail "the old instance ended before its shutdown time, in $point"
		ends "$old"
		wait_protected svc
	done
	expect 'the counter' "$(call svc get)" 2
	is_said 'did not stop within its time' || fail 'nothing is said of it'
}

story_a_worker_that_ends_by_itself_when_it_is_replaced() {
	service '' 'state: 4KiB'
	at lost.a 'exit 7'
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
	wait_event 'lost a .* b'
	allow lost.a
	wait_protected svc
	expect 'the counter' "$(call svc 'add 1')" 1
}

# Two applications of two children each, on three nodes.
two_applications() {
	config 'a, b, c' <<-END
		applications:
		  one: {standby: hot, failovers: {intensity: 100, period: 60s}, supervisor: {children: [
		    {id: server, exec: [story_worker, --name, one], names: [one], state: 4KiB}, {id: helper, exec: [story_worker]}]}}
		  two: {standby: hot, nodes: [a, c], supervisor: {children: [
		    {id: server, exec: [story_worker, --name, two], names: [two], state: 4KiB}, {id: helper, exec: [story_worker]}]}}
		  cold: {nodes: [b, a], supervisor: {children: [
		    {id: sleeper, exec: [sleep, 1000], ready: exec}]}}
	END
	up
	wait_protected one
	wait_protected two
}

# Node, generation and processes of an application.
picture() { app "$1" '"\(.node) \(.generation) \([.children[].pid] | join(" "))"'; }

story_other_applications_are_not_touched() {
	two_applications
	local two cold
	expect 'cold runs on' "$(app_node cold)" b
	two=$(picture two) cold=$(picture cold)
	expect 'takeover' "$(heir takeover --json one b | jq -r .result)" done
	wait_protected one
	kill -KILL "$(owner one)"
	wait_on one a
	wait_protected one
	expect 'takeover' "$(heir takeover --json --exclusive one c | jq -r .result)" done
	wait_protected one
	expect 'two' "$(picture two)" "$two"
	expect 'cold' "$(picture cold)" "$cold"
	heir takeover cold a > /dev/null
	expect 'two, after a move of cold' "$(picture two)" "$two"
	expect 'one runs' "$(call one 'add 1')" 1
}

# The second child of an instance moves with the first, and is told to start in its turn.
story_all_children_move() {
	two_applications
	forget_events
	expect 'takeover' "$(heir takeover --json one b | jq -r .result)" done
	expect 'starts' "$(events 'start b one .*' | cut -d' ' -f4,6,7 | paste -sd,)" 'server takeover a,helper takeover a'
	expect 'phases' "$(events 'phase_go b one .*' | cut -d' ' -f4 | paste -sd,)" 'server,helper'
	wait_event 'served a one helper .* in order'
	wait_event 'served a one server .* in order'
	wait_protected one
	local before
	before=$(owner one)
	kill -KILL "$(app one '.children[1].pid')"
	until_true 'the whole instance is replaced' has_other_owner one "$before"
	wait_protected one
	expect 'one runs' "$(call one 'add 1')" 1
}

run_stories "$@"
