#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# The exclusive takeover: the new instance starts when the kernel has confirmed the end of the old one, never
# before; and if it fails then, another candidate, the former node included, serves. Section 2; invariant 6.
#
# What confirms the end: the pidfd of every child, and, as a leader is the subreaper of its node, of
# everything that they forked. What a child hands to a process outside of its own descendants is not covered.
. "$(dirname "$0")/story.sh"

# A worker that takes a lock in start, at once or not at all, and holds it until it is dead.
locking() { service "takeover: ${1:-exclusive}, yield_timeout: 1s" "state: 4KiB, shutdown: ${2:-5s}" "--lock, lock${3:+, $3}"; }

never_locked_twice() { expect 'locks that were refused' "$(event_count 'lock_refused .*')" 0; }

# The start at NODE came after the last thing that the other one did.
expect_order() { # EARLIER LATER
	local first second
	first=$(event_time "$1")
	second=$(event_time "$2")
	[ -n "$first" ] || fail "no event '$1'"
	[ -n "$second" ] || fail "no event '$2'"
	[ "$first" -lt "$second" ] || fail "'$2' came before '$1'"
}

story_a_lock_is_never_held_twice() {
	locking
	local n
	for n in b a b a b a; do
		wait_protected svc
		expect "takeover to $n" "$(heir takeover --json svc "$n" | jq -r .result)" done
		expect "add at $n" "$(call svc 'add 1' > /dev/null && app_node svc)" "$n"
		expect_order "served [^$n] .* in order" "start $n .* takeover.*"
		never_locked_twice
	done
	expect 'locks' "$(event_count 'locked .*')" 7
	expect 'the counter' "$(call svc get)" 6
	expect 'steps' "$(last_move svc '.steps | map(.name) | join(" ")')" 'stop_old start switch go'
}

# Asked for at the command, where the configuration says overlap.
story_exclusive_for_once() {
	locking overlap
	expect 'takeover' "$(heir takeover --exclusive --json svc b | jq -r '.steps[0].name')" stop_old
	expect_order 'served a .* in order' 'start b .* takeover.*'
	never_locked_twice
	wait_protected svc
	expect_exit 1 heir takeover svc a
	expect 'refused, as the old one still has it' "$(event_count 'lock_refused a .*')" 1
	expect 'served by' "$(app_node svc)" b
}

# It does not stop by itself: killed at its shutdown time, and only then the new one starts.
story_an_instance_that_does_not_stop_is_killed_first() {
	locking exclusive 300ms
	local old
	old=$(owner svc)
	at stop.a hang
	background "$HEIR" takeover --json svc b
	finished "$JOB" || fail "takeover: $OUT"
	expect 'takeover' "$(jq -r .result <<< "$OUT")" done
	is_gone "$old" || fail 'the old instance lives'
	expect_order 'stop a .*' 'start b .* takeover.*'
	never_locked_twice
}

# A helper that the old one forked has the lock as well, in a session of its own: it is ended too, before the
# new one starts.
story_a_forked_helper_is_gone_before_the_start() {
	locking exclusive 5s --helper
	wait_event 'helper a .*'
	local helper
	helper=$(events 'helper a .*' | cut -d' ' -f5)
	is_gone "$helper" && fail 'the helper has ended by itself'
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
	is_gone "$helper" || fail 'the helper lives'
	never_locked_twice
	expect 'locked by' "$(events 'locked .*' | tail -n 1 | cut -d' ' -f2)" b
}

# The old one is stopped and the new one fails: the former node serves again, with all that was committed.
story_a_target_that_fails_leaves_it_to_the_former_node() {
	locking
	local point
	expect 'add' "$(call svc 'add 5')" 5
	for point in start phase_go; do
		at "$point.b" fail
		expect_exit 1 heir takeover svc b
		wait_on svc a
		allow "$point.b"
		expect "add after a failed $point" "$(call svc 'add 1' > /dev/null && app_node svc)" a
		wait_protected svc
		never_locked_twice
	done
	expect 'the counter' "$(call svc get)" 7
}

story_a_target_that_dies_leaves_it_to_the_former_node() {
	locking
	local point
	call svc 'add 5' > /dev/null
	for point in start phase_go; do
		at "$point.b" die
		expect_exit 1 heir takeover svc b
		wait_on svc a
		allow "$point.b"
		call svc 'add 1' > /dev/null
		wait_protected svc
		never_locked_twice
	done
	expect 'the counter' "$(call svc get)" 7
}
runs_somewhere() { is_state svc running; }

story_a_third_candidate_goes_on() {
	NODES='a, b, c' locking
	local end=$((SECONDS + PATIENCE))
	until_true 'c stands by' c_stands_by
	at start.b fail
	expect_exit 1 heir takeover svc b
	until_true 'svc runs' runs_somewhere
	expect_not 'served by' "$(app_node svc)" b
	expect 'the counter' "$(call svc 'add 1')" 1
	never_locked_twice
}
c_stands_by() { [ "$(instance svc c)" = standby ]; }

# A crash is noticed before the kernel has let go of the lock: whoever finds it held fails to start, and the
# next one tries.
story_a_killed_owner_leaves_its_lock_to_the_next() {
	locking
	local n
	call svc 'add 5' > /dev/null
	for n in 1 2 3; do
		kill_owner svc
		heir wait svc --timeout 20s
		wait_protected svc
	done
	expect 'the counter' "$(call svc 'add 1')" 6
}

story_a_failover_starts_after_the_confirmation_too() {
	locking
	local n
	for n in b a b; do
		kill_owner svc
		wait_on svc $n
		wait_protected svc
		never_locked_twice
	done
}

# The same where a program that knows nothing of heir comes first, and the leader drives: what was stopped is
# started again, and not taken to serve still.
# Held by its leader, to be started again there: a takeover to that node has nobody to take it from, and would have its
# own instance stopped.
story_to_the_node_of_a_dead_owner() {
	service 'takeover: exclusive' 'state: 4KiB, on_death: restart' '--lock, lock'
	local leader
	leader=$(leader a)
	call svc 'add 5' > /dev/null
	forget_events
	at init.a block
	kill -KILL "$(owner svc)"
	wait_event 'init a.*'
	stop "$leader"
	allow init.a
	until_true 'its successor has attached' is_live svc@a
	expect_exit 1 heir takeover --timeout 10s svc a
	expect_match 'why' "$OUT" '*node `a` is taking `svc` over already*'
	resume "$leader"
	wait_protected svc
	expect 'the counter' "$(call svc get)" 5
	never_locked_twice
	expect 'stops' "$(event_count 'stop a .*')" 0
}
is_live() { [ "$(whereis "$1" .state)" = live ]; } # NAME

# What an instance that failed or died had forked is ended by its leader, and holds nothing any more. Invariant 6
then_b() { # fail | die
	service 'start_phases: [stop_old, start, switch, go, fin]' 'state: 4KiB' '--lock, lock, --helper'
	local helper
	at phase_go.b once block
	at phase_fin.b once "$1"
	background "$HEIR" takeover svc b
	wait_event 'phase_go b.*'
	helper=$(helper_of b)
	allow phase_go.b
	expect 'a call' "$(call --timeout 15s svc 'add 1')" 1
	ends "$helper"
}
story_a_target_that_fails_leaves_no_helper() { then_b fail; }
story_a_target_that_dies_leaves_no_helper() { then_b die; }
story_a_restart_in_place_waits_for_the_helper() {
	NODES=a service 'standby: cold, takeover: exclusive' 'state: 4KiB' '--lock, lock, --helper'
	local helper
	helper=$(helper_of a)
	kill_owner svc
	ends "$helper"
	expect 'a call' "$(call --timeout 15s svc 'add 1')" 1
	never_locked_twice
}

story_a_led_target_that_fails_leaves_it_to_the_former_node() {
	config <<-END
		applications:
		  svc: {takeover: exclusive, step_timeout: 10s, supervisor: {intensity: 50, period: 60s, children: [
		    {id: program, exec: [sleep, "1000"], ready: exec},
		    {id: server, exec: [story_worker, --lock, lock], names: [svc]}]}}
	END
	up
	wait_on svc a
	local point
	for point in start phase_go; do
		forget_events
		at "$point.b" fail
		expect_exit 1 heir takeover svc b
		wait_on svc a
		expect 'the result' "$(moves svc '[.[] | select(.kind == "takeover")] | .[0].result')" failed_over
		expect 'served by' "$(call svc 'add 1' > /dev/null && app_node svc)" a
		expect_order "$point b .*" 'start a .*'
		allow "$point.b"
		never_locked_twice
	done
}

run_stories "$@"
