#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# A takeover that fails leaves the service served: invariant 6, and the race rows of section 6 about a failing
# or dying target and about an old owner that dies, in each step.
. "$(dirname "$0")/story.sh"

steps='start_phases: [start, warm, switch, takeover, go, stop_old]'
before='start phase_warm' # the switch
after='phase_takeover phase_go'

# After a takeover that failed: served as before, by the same process, with all that was committed.
expect_served_by() { # PID COUNTER
	expect 'the owner' "$(owner svc)" "$1"
	expect 'the counter' "$(call svc 'add 1')" "$2"
	wait_protected svc
}

story_a_failure_before_the_switch_changes_nothing() {
	service "$steps"
	local old point counter=5
	old=$(owner svc)
	call svc 'add 5' > /dev/null
	for point in $before; do
		at "$point.b" once fail
		expect_exit 1 heir takeover svc b
		expect_match 'the message' "$OUT" "*aborted*\`${point#phase_}\`*"
		counter=$((counter + 1))
		expect_served_by "$old" $counter
		expect 'the record' "$(last_move svc '"\(.kind) \(.result) \(.failed_step)"')" \
			"takeover aborted ${point#phase_}"
	done
	expect 'lost' "$(event_count 'lost a .*')" 0
	expect 'the start of the owner' "$(app svc .start_type)" normal
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
}

story_a_failure_after_the_switch_switches_back() {
	service "$steps"
	local old point counter=5
	old=$(owner svc)
	call svc 'add 5' > /dev/null
	for point in $after; do
		forget_events
		at "$point.b" once fail
		expect_exit 1 heir takeover svc b
		expect_match 'the message' "$OUT" "*switched_back*\`${point#phase_}\`*"
		counter=$((counter + 1))
		expect_served_by "$old" $counter
		wait_event "regained a .* $old .*"
		expect 'the record' "$(last_move svc '"\(.kind) \(.result) \(.failed_step)"')" \
			"takeover switched_back ${point#phase_}"
	done
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
	expect 'the counter' "$(call svc get)" $counter
}

# An error of the callback that heir has a meaning for as well is still the callback's.
story_an_error_of_a_callback_is_not_taken_for_heirs_own() {
	service "$steps"
	local code
	for code in -1017 -1022 -1010 -1009 -1011; do
		at start.b once fail "$code"
		expect_exit 1 heir takeover svc b
		expect_match 'the message' "$OUT" '*aborted*`start`*'
		wait_protected svc
	done
}

story_a_target_killed_before_the_switch() {
	service "$steps"
	local old target point counter=5
	old=$(owner svc)
	call svc 'add 5' > /dev/null
	for point in $before; do
		target=$(whereis svc@b .pid)
		at "$point.b" once die
		expect_exit 1 heir takeover svc b
		ends "$target"
		counter=$((counter + 1))
		expect_served_by "$old" $counter
		expect 'lost' "$(event_count 'lost a .*')" 0
	done
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
}

# Back to the old instance or on to another: served in any case, nothing lost, and nobody left over.
story_a_target_killed_after_the_switch() {
	service "$steps"
	local point counter=5
	call svc 'add 5' > /dev/null
	for point in $after; do
		at "$point" once die
		expect_exit 1 heir takeover svc "$(other_node)"
		counter=$((counter + 1))
		expect 'the counter' "$(call svc 'add 1')" $counter
		wait_protected svc
	done
	expect 'takeover' "$(heir takeover --json svc "$(other_node)" | jq -r .result)" done
	expect 'the counter' "$(call svc get)" $counter
}

# The old owner dies while the target is in each of its steps: it goes on, the type stays takeover.
story_an_old_owner_killed_in_each_step() {
	service "$steps"
	local point counter=0 old node
	for point in $before $after; do
		node=$(other_node)
		old=$(owner svc)
		at "$point.$node" block
		background "$HEIR" takeover --json svc "$node"
		wait_event "$point $node .*"
		kill -KILL "$old"
		ends "$old"
		allow "$point.$node"
		finished "$JOB" || fail "takeover, $point: $OUT"
		expect "the record, $point" "$(jq -r '"\(.kind) \(.result)"' <<< "$OUT")" 'takeover done'
		expect 'start type' "$(app svc .start_type)" takeover
		counter=$((counter + 1))
		expect 'the counter' "$(call svc 'add 1')" $counter
		wait_protected svc
		forget_events
	done
}

# Both die: the third goes on, as a failover.
story_old_owner_and_target_killed() {
	NODES='a, b, c' service "$steps"
	local point counter=5 old node
	call svc 'add 5' > /dev/null
	for point in $before $after; do
		until_true 'all stand by' all_stand_by
		node=$(other_node)
		old=$(owner svc)
		at "$point.$node" block
		background "$HEIR" takeover --json svc "$node"
		wait_event "$point $node .*"
		kill -KILL "$old" "$(events "$point $node .*" | cut -d' ' -f5)"
		allow "$point.$node"
		finished "$JOB" && fail "takeover, $point: $OUT"
		counter=$((counter + 1))
		expect "the counter, $point" "$(call svc 'add 1')" $counter
		forget_events
	done
	until_true 'all stand by' all_stand_by
}
all_stand_by() { [ "$(app svc '[.instances[] | .state] | sort | join(" ")')" = 'running standby standby' ]; }

# A step that does not end: its target is given up at step_timeout.
story_a_hanging_step() {
	service "start_phases: [start, warm, switch, takeover, go, stop_old], step_timeout: 1s"
	local old point counter=5
	call svc 'add 5' > /dev/null
	for point in phase_warm phase_go; do
		at "$point" once hang
		expect_exit 1 heir takeover svc "$(other_node)"
		counter=$((counter + 1))
		expect "the counter, $point" "$(call svc 'add 1')" $counter
		wait_protected svc
	done
}

# The state has a version that the target does not know: nothing changes. One that it can bring up to date:
# taken over.
story_a_state_of_another_version() {
	config <<-END
		applications:
		  svc:
		    standby: hot
		    supervisor:
		      intensity: 50
		      children: [
		        {id: server, exec: [sh, -c, 'exec story_worker --version \$(cat version.\$HEIR_NODE)'], names: [svc], state: 4KiB}]
	END
	echo 1 > version.a
	echo '2' > version.b
	up
	wait_protected svc
	local old
	old=$(owner svc)
	call svc 'add 5' > /dev/null
	expect_exit 1 heir takeover svc b
	expect_match 'the message' "$OUT" '*version*'
	expect 'the owner' "$(owner svc)" "$old"
	wait_protected svc
	echo '2 --upgrades' > version.b
	kill -KILL "$(whereis svc@b .pid)"
	wait_protected svc
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
	expect 'upgraded' "$(event_count 'upgrade b .* 1')" 1
	expect 'the counter' "$(call svc 'add 1')" 6
}

run_stories "$@"
