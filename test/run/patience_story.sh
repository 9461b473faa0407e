#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Whoever is to do something next may be stopped just then, with whoever would end it for that: others go on, within
# times that follow from the configuration (base/patience.h), and what is stopped changes nothing when it goes on.
# Invariants 2, 6 and 10.
. "$(dirname "$0")/story.sh"

SHORT='step_timeout: 1s, yield_timeout: 500ms'
CHILD='state: 4KiB, shutdown: 1s' # held for at most 2 s

told() { expect "the leader of $1" "$(call "heir@$1" "$2")" ok; }
result() { moves svc 'map(select(.kind == "takeover"))[0] | "\(.to) \(.result)"'; } # of the last takeover
call_soon() { call --timeout 5s "$@"; }
is_on() { [ "$(app_node svc 2> /dev/null)" = "$1" ]; }

# Both of a node: nothing ends the one for what it does not do.
stop_node() { # NODE WORKER
	stop "$(leader "$1")"
	stop "$2"
}

# Before its begin, with the message at hand: switched away and back meanwhile, it takes nothing for known.
story_an_owner_that_was_given_back_unseen() {
	service 'start_phases: [start, switch, go, stop_old]'
	local old calling
	old=$(owner svc)
	call svc 'add 5' > /dev/null
	at handle.a once stop
	background "$HEIR" call svc@a 'add 1'
	calling=$JOB
	until_true 'the owner is stopped' is_stopped "$old"
	at phase_go.b once fail
	expect_exit 1 heir takeover svc b
	expect 'takeover' "$(result)" 'b switched_back'
	resume "$old"
	finished "$calling" || fail "call: $OUT"
	expect 'its answer' "$OUT" 6
	expect 'what it did' "$(events '(regained|marked) a .*' | cut -d' ' -f1 | xargs)" 'marked regained marked'
	expect 'the counter' "$(call svc get)" 6
}

# The target has set `want`, and is stopped: the owner goes on after the time that the target would have waited.
story_a_target_that_is_stopped_while_it_waits_for_the_commit() {
	service "$SHORT"
	local target
	target=$(whereis svc@b .pid)
	at marked.a block
	background "$HEIR" call svc 'add 7'
	wait_event 'marked a .* 7'
	background "$HEIR" takeover svc b
	wait_event 'start b .*'
	until_true 'the target waits' sleeps_on_two "$target"
	stop_node b "$target"
	allow marked.a
	expect 'a call' "$(call_soon svc 'add 1')" 8
	resume "$(leader b)"
	resume "$target"
	finished "$JOB" || true # late, or in time
	expect_match 'takeover' "$(result)" 'b *'
	expect 'the counter' "$(call_soon svc 'add 1')" 9
	wait_protected svc
}
sleeps_on_two() { [[ $(cat "/proc/$1/syscall" 2> /dev/null) =~ ^449\ 0x[0-9a-f]+\ 0x2\  ]]; }

# The leader has held, the owner is gone, and whoever would go on waits for that leader's answer.
leader_stopped_in_held() { # sets OLD and TAKING
	OLD=$(owner svc)
	call svc 'add 5' > /dev/null
	at prep_stop.a once block
	background "$HEIR" takeover --exclusive svc b
	TAKING=$JOB
	wait_event 'prep_stop a .*'
	stop "$(leader a)"
	allow prep_stop.a
	ends "$OLD"
}

story_a_leader_that_is_stopped_when_it_has_held() {
	NODES='a, b, c' service "$SHORT" "$CHILD"
	local OLD TAKING node
	leader_stopped_in_held
	stop "$(leader b)" # the standbys alone see to it
	stop "$(leader c)"
	expect 'a call' "$(call_soon svc 'add 1')" 6
	! is_on a || fail 'it runs on a'
	finished "$TAKING" && fail "takeover: $OUT"
	expect 'takeover' "$(result)" 'b failed_over'
	for node in a b c; do
		resume "$(leader $node)"
	done
	wait_protected svc
	expect 'the counter' "$(call_soon svc 'add 1')" 7
	expect 'starts on a' "$(event_count 'start a .*')" 1
}

story_a_leader_that_is_stopped_when_it_has_held_a_cold_application() {
	NODES='a, b, c' service "standby: cold, $SHORT" "$CHILD"
	local OLD TAKING
	leader_stopped_in_held
	expect 'a call' "$(call_soon svc 'add 1')" 6
	! is_on a || fail 'it runs on a'
	resume "$(leader a)"
	finished "$TAKING" || true
	expect 'the counter' "$(call_soon svc 'add 1')" 7
}

# It has held, and is stopped before the owner is told: that one serves on.
story_a_leader_that_is_stopped_before_it_stops_the_owner() {
	config 'a, b' <<-END
		applications:
		  svc:
		    standby: hot
		    step_timeout: 1s
		    supervisor: {children: [
		      {id: server, exec: [story_worker], names: [svc], $CHILD},
		      {id: extra, exec: [story_worker], shutdown: 1s}]}
	END
	up
	wait_protected svc
	local leader
	leader=$(leader a)
	at prep_stop.a.extra once block
	background "$HEIR" takeover --exclusive svc b
	wait_event 'prep_stop a svc extra .*'
	stop "$leader"
	expect 'held' "$(app svc '"\(.state) \(.node)"')" 'moving a'
	expect 'a call' "$(call_soon svc 'add 1')" 1
	expect 'the owner' "$(app_node svc)" a
	allow prep_stop.a.extra
	resume "$leader"
	finished "$JOB" || true
	expect 'the counter' "$(call_soon svc 'add 1')" 2
}

# Of an exclusive application another child lives on: it is ended before that of the next instance starts.
story_a_leader_that_is_stopped_leaves_a_child_with_the_lock() {
	config 'a, b' <<-END
		applications:
		  svc:
		    standby: hot
		    takeover: exclusive
		    supervisor: {children: [
		      {id: server, exec: [story_worker], names: [svc], $CHILD},
		      {id: extra, exec: [story_worker, --lock, lock]}]}
	END
	up
	wait_protected svc
	local extra
	extra=$(app svc '.children[] | select(.id == "extra") | .pid')
	call svc 'add 5' > /dev/null
	stop "$(leader a)"
	kill -KILL "$(owner svc)"
	expect 'a call' "$(call_soon svc 'add 1')" 6
	expect 'the owner' "$(app_node svc)" b
	ends "$extra"
	expect 'starts on b' "$(event_count 'start b svc extra .*')" 1
	resume "$(leader a)"
	wait_protected svc
}

# The only candidate that is left is stopped itself: it is ended, and another is started in its place.
story_a_standby_that_is_stopped_when_it_is_to_start() {
	service "$SHORT" "$CHILD"
	local standby
	standby=$(whereis svc@b .pid)
	call svc 'add 5' > /dev/null
	stop "$standby"
	stop "$UP" # it would start node a again
	kill -KILL "$(leader a)"
	expect 'a call' "$(call_soon svc 'add 1')" 6
	expect 'the owner' "$(app_node svc)" b
	ends "$standby"
	resume "$UP"
	wait_protected svc
}

# It has claimed, and brings the state up to date before any step of a move: its leader ends it when a step's time is
# over, and the next candidate goes on.
story_a_standby_that_is_stopped_when_it_has_claimed() {
	config 'a, b' <<-END
		applications:
		  svc:
		    standby: hot
		    step_timeout: 1s
		    supervisor: {intensity: 50, children: [
		      {id: server, exec: [sh, -c, 'exec story_worker --version \$(cat version.\$HEIR_NODE)'], names: [svc],
		       state: 4KiB}]}
	END
	echo 1 > version.a
	echo '2 --upgrades' > version.b
	up
	wait_protected svc
	local claimed
	call svc 'add 5' > /dev/null
	claimed=$(whereis svc@b .pid)
	echo '2 --upgrades' > version.a
	at upgrade.b once stop
	kill -KILL "$(owner svc)"
	expect 'a call' "$(call_soon svc 'add 1')" 6
	ends "$claimed"
	expect 'upgrades' "$(event_count 'upgrade . .* 1')" 2
	wait_protected svc
}

# A driver that does not come back from its step, and whose leader does not end it.
driver_stopped_in_start() { # sets TARGET, TAKING and B
	TARGET=$(whereis svc@b .pid) B=$(leader b)
	call svc 'add 5' > /dev/null
	at start.b once block
	background "$HEIR" takeover svc b
	TAKING=$JOB
	wait_event 'start b .*'
	stop "$B"
	stop "$TARGET"
	allow start.b
}

story_another_takeover_while_the_driver_is_stopped() {
	NODES='a, b, c' service "$SHORT"
	local TARGET TAKING B
	driver_stopped_in_start
	expect_exit 1 heir takeover svc c
	expect_match 'the message' "$OUT" '*node `b` is taking `svc` over already*'
	heir takeover --wait --timeout 5s svc c > /dev/null
	expect 'takeover' "$(result)" 'c done'
	expect 'a call' "$(call_soon svc 'add 1')" 6
	resume "$TARGET"
	resume "$B"
	ends "$TARGET"
	finished "$TAKING" && fail "the first: $OUT"
	wait_protected svc
	expect 'the owner' "$(app_node svc)" c
	expect 'the last move' "$(last_move svc '"\(.kind) \(.to) \(.result)"')" 'takeover c done'
	expect 'the counter' "$(call_soon svc 'add 1')" 7
}

story_a_crash_while_the_driver_is_stopped() {
	NODES='a, b, c' service "$SHORT"
	local TARGET TAKING B
	driver_stopped_in_start
	kill -KILL "$(owner svc)"
	expect 'a call' "$(call_soon svc 'add 1')" 6
	expect 'the owner' "$(app_node svc)" c
	resume "$TARGET"
	resume "$B"
	ends "$TARGET"
	wait_protected svc
	expect 'the owner still' "$(app_node svc)" c
	expect 'the counter' "$(call_soon svc 'add 1')" 7
}

# The old instance is gone by then: nobody serves until the driver is late. It has the lock: it is ended first.
story_the_driver_of_an_exclusive_takeover_is_stopped() {
	NODES='a, b, c' service "takeover: exclusive, $SHORT" "$CHILD" '--lock, lock'
	local TARGET TAKING B
	driver_stopped_in_start
	expect 'a call' "$(call_soon svc 'add 1')" 6
	expect_not 'the owner' "$(app_node svc)" b
	resume "$B"
	ends "$TARGET"
	wait_protected svc
	expect 'the counter' "$(call_soon svc 'add 1')" 7
}

story_a_cold_application_whose_driver_is_stopped() {
	NODES='a, b, c' service "standby: cold, $SHORT" "$CHILD"
	local pid
	call svc 'add 5' > /dev/null
	at start.b once block
	background "$HEIR" takeover svc b
	wait_event 'start b .*'
	pid=$(events 'start b .*' | tail -n 1 | cut -d' ' -f5)
	stop_node b "$pid"
	allow start.b
	stop "$(leader a)" # it would start it again in place
	kill -KILL "$(owner svc)"
	expect 'a call' "$(call_soon svc 'add 1')" 6
	expect 'the owner' "$(app_node svc)" c
}

# All at once, and the target alone goes on: in time it switches, from an owner that is stopped at rest.
all_stopped_in_start() { # sets TARGET, TAKING, OLD
	TARGET=$(whereis svc@b .pid) OLD=$(owner svc)
	call svc 'add 5' > /dev/null
	at start.b once block
	background "$HEIR" takeover --timeout 15s svc b
	TAKING=$JOB
	wait_event 'start b .*'
	local pid
	for pid in "$OLD" "$(leader a)" "$(leader b)" "$TARGET"; do
		stop "$pid"
	done
	allow start.b
}

story_the_target_alone_goes_on() {
	service
	local TARGET TAKING OLD
	all_stopped_in_start
	resume "$TARGET"
	finished "$TAKING" || fail "takeover: $OUT"
	expect 'takeover' "$(result)" 'b done'
	expect 'a call' "$(call_soon svc 'add 1')" 6
	resume "$(leader a)"
	resume "$(leader b)"
	resume "$OLD"
	wait_protected svc
	expect 'the counter' "$(call_soon svc 'add 1')" 7
}

# Too late: nothing has changed, and the old owner goes on as it was.
story_the_target_alone_goes_on_too_late() {
	service "$SHORT"
	local TARGET TAKING OLD A
	A=$(leader a)
	all_stopped_in_start
	background "$HEIR" call --timeout 20s svc 'add 1'
	until_true 'the time of the step is over' is_older_than "$(event_time 'start b .*')" 1200
	resume "$TARGET"
	finished "$TAKING" && fail "takeover: $OUT"
	expect 'takeover' "$(result)" 'b aborted'
	resume "$OLD"
	resume "$A"
	finished "$JOB" || fail "call: $OUT"
	expect 'its answer' "$OUT" 6
	expect 'the owner' "$(owner svc)" "$OLD"
	resume "$(leader b)"
	wait_protected svc
}
is_older_than() { # TIME MS
	local up
	read -r up _ < /proc/uptime
	[ "$((${up/./} * 10))" -gt "$(($1 / 1000000 + $2))" ]
}

# The better candidate's leader is stopped when the application is to be started.
story_a_start_while_the_leader_of_the_better_node_is_stopped() {
	service "$SHORT" "$CHILD"
	local a
	a=$(leader a)
	told a 'stop svc'
	wait_state svc down
	until_true 'both have stopped' both_are absent absent
	stop "$a"
	told b 'start svc'
	expect 'a call' "$(call_soon svc 'add 1')" 1
	expect 'the owner' "$(app_node svc)" b
	resume "$a"
	wait_protected svc
	expect 'the owner still' "$(app_node svc)" b
}
both_are() { [ "$(app svc '[.instances[] | .state] | join(" ")')" = "$*" ]; }

run_stories "$@"
