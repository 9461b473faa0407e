#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Leaders, nodes and `heir up`: a leader's death takes its node down and its applications fail over; `up`
# holds nothing; an orderly stop hands over first. Section 5; invariants 2, 6 and 8; the race row "orderly
# stop of a node".
. "$(dirname "$0")/story.sh"

is_node() { [ "$(status ".nodes[] | select(.name == \"$1\") | .state")" = "$2" ]; }

story_a_killed_leader_takes_its_node_down_and_is_started_again() {
	service
	local old pid
	call svc 'add 5' > /dev/null
	old=$(leader a) pid=$(owner svc)
	kill -KILL "$old"
	expect 'a call at once' "$(call svc 'add 1')" 6
	wait_on svc b
	expect 'the record' "$(last_move svc '"\(.kind) \(.from) \(.to) \(.result)"')" 'failover a b done'
	ends "$pid"
	wait_protected svc
	expect_not 'the leader' "$(leader a)" "$old"
	is_said 'node a was killed by signal 9' || fail 'heir up says nothing of it'
	heir takeover svc a > /dev/null
	expect 'the counter' "$(call svc get)" 6
}

# The leader of the standby: nobody notices but who asks whether the service is protected.
story_a_killed_leader_of_a_standby() {
	service
	local pid standby
	pid=$(owner svc) standby=$(whereis svc@b .pid)
	kill -KILL "$(leader b)"
	ends "$standby"
	expect 'a call' "$(call svc 'add 1')" 1
	wait_protected svc
	expect 'the owner' "$(owner svc)" "$pid"
}

story_a_leader_killed_while_stopped() {
	service
	local old
	old=$(leader a)
	stop "$old"
	kill -KILL "$old"
	wait_on svc b
	wait_protected svc
	expect 'a call' "$(call svc 'add 1')" 1
}

# What its children have started is found by whoever has the application next, in the middle of an exec too, and
# ended before it is started there.
# Each of its workers starts one, in a session of its own, that is in an exec most of the time: helper.NODE is its pid.
service_with_helpers() {
	config <<-END
		applications:
		  svc: {standby: hot, failovers: {intensity: 100, period: 60s}, supervisor: {intensity: 50, period: 60s, children: [
		    {id: server, exec: [bash, -c, 'setsid sh loop & exec story_worker'], names: [svc], state: 4KiB, shutdown: 30s}]}}
	END
	echo '[ "$1" ] || echo $$ > helper.$HEIR_NODE; exec sh loop again' > loop
	up
}

story_a_killed_leader_leaves_no_helper() {
	local n helper
	service_with_helpers
	for n in a b; do
		wait_protected svc
		wait_on svc $n
		until_true 'its helper has begun' test -s helper.$n
		helper=$(cat helper.$n)
		kill -KILL "$UP" # who would end it as an orphan
		ends "$UP"
		kill -KILL "$(leader $n)"
		ends "$helper"
		expect 'a call' "$(call svc 'add 1' > /dev/null && app_node svc)" "$([ $n = a ] && echo b || echo a)"
		rm helper.$n
		: > up.log
		up
	done
}

# It was to stop the old instance after a takeover, and dies over that, with who would start it again.
# The target owned for a moment, and its leader dies with it; whoever has it next had not looked meanwhile.
story_a_killed_leader_of_a_target_leaves_no_helper() {
	config 'a, b, c' <<-END
		limits: {names: 64, processes: 64, messages: 64}
		applications:
		  svc: {standby: hot, start_phases: [start, switch, go, fin, stop_old], step_timeout: 10s, failovers: {intensity: 20, period: 600s}, supervisor: {intensity: 50, period: 60s, children: [
		    {id: server, exec: [sh, -c, 'exec story_worker --lock $DIR/lock.\$HEIR_NODE --lock-at go --helper'], names: [svc], state: 4KiB}]}}
	END
	up
	wait_protected svc
	kill -KILL "$UP"
	call svc 'add 5' > /dev/null
	local lb lc helper
	lb=$(leader b) lc=$(leader c)
	at phase_fin.b once block
	background "$HEIR" takeover svc b
	wait_event 'phase_fin b.*'
	helper=$(helper_of b)
	stop "$lc"
	kill -KILL "$lb"
	expect 'a call' "$(call --timeout 15s svc 'add 1')" 6
	resume "$lc"
	ends "$helper"
}

story_a_leader_dies_over_stop_old() {
	local old helper
	service_with_helpers
	wait_protected svc
	until_true 'its helper has begun' test -s helper.a
	old=$(owner svc) helper=$(cat helper.a)
	at stop.a block
	heir takeover svc b > /dev/null
	wait_event 'stop a.*'
	kill -KILL "$UP" # who would start it again
	ends "$UP"
	kill -KILL "$(leader a)"
	ends "$old"
	ends "$helper"
	expect 'a call' "$(call svc 'add 1')" 1
}

story_up_is_killed_and_a_new_one_adopts() {
	service
	local picture
	picture=$(status '[.nodes, [.applications[] | {node, generation, children}]]')
	kill -KILL "$UP"
	ends "$UP"
	expect 'a call' "$(call svc 'add 1')" 1
	expect 'nothing has changed' "$(status '[.nodes, [.applications[] | {node, generation, children}]]')" "$picture"
	heir takeover svc b > /dev/null
	wait_protected svc
	: > "$DIR/up.log"
	up
	expect 'the leaders' "$(leader a) $(leader b)" "$(jq -r '.[0] | map(.pid) | join(" ")' <<< "$picture")"
	kill -KILL "$(leader b)"
	wait_on svc a
	wait_protected svc
	expect 'the counter' "$(call svc get)" 1
	heir down > /dev/null
	ends "$UP"
	expect_nothing_left
}

story_up_and_a_leader_are_killed() {
	service
	kill -KILL "$UP"
	kill -KILL "$(leader a)"
	expect 'a call at once' "$(call svc 'add 1')" 1
	wait_on svc b
	: > "$DIR/up.log"
	up
	wait_protected svc
	expect 'the counter' "$(call svc get)" 1
}

# What a second one says is an error, and nothing is touched by it.
story_up_of_a_domain_that_is_up() {
	service
	local picture
	picture=$(status .)
	expect_exit 1 heir up -f heir.yaml
	expect_match 'what it says' "$OUT" "*domain $DOMAIN is up already*process $UP,*heir down -d $DOMAIN*"
	expect_exit 1 heir up
	expect_exit 1 heir up --detach -f heir.yaml
	expect 'nothing has changed' "$(status .)" "$picture"
	expect 'a call' "$(call svc 'add 1')" 1
}

# Of several that find it without one, one goes on.
story_up_is_killed_and_several_come() {
	service
	local k jobs
	for _ in 1 2 3 4 5; do
		kill -KILL "$UP" # and not waited for: who comes next waits until it is gone
		: > up.log
		jobs=''
		for k in 1 2 3 4; do
			start_up
			jobs+=" $UP"
		done
		until_true 'all but one have ended' one_is_left $jobs
		UP=$LEFT
		up_says ' is up: '
		expect 'refused' "$(grep -c 'is up already' up.log)" 3
		expect 'adopted' "$(grep -c ' is up: ' up.log)" 1
	done
	expect 'a call' "$(call svc 'add 1')" 1
	kill -KILL "$(leader b)"
	wait_protected svc
	heir down > /dev/null
	ends "$UP"
	expect_nothing_left
}
one_is_left() { # PID...
	local pid left=()
	for pid; do
		is_gone "$pid" || left+=("$pid")
	done
	LEFT=${left[0]:-}
	[ ${#left[@]} = 1 ]
}

# A program that knows nothing of heir comes first, and so the leader drives. The old instance had served: it
# has it back, and whoever knows heir in it is told, though both changes came faster than it looked.
story_a_led_target_that_fails_gives_it_back() {
	config <<-END
		applications:
		  svc: {step_timeout: 10s, supervisor: {intensity: 50, period: 60s, children: [
		    {id: program, exec: [sleep, "1000"], ready: exec},
		    {id: server, exec: [story_worker], names: [svc]}]}}
	END
	up
	wait_on svc a
	local before old
	before=$(children svc)
	old=$(whereis svc .pid)
	call svc 'add 5' > /dev/null
	at phase_go.b fail
	stop "$old"
	expect_exit 1 heir takeover svc b
	resume "$old"
	expect 'the result' "$(last_move svc .result)" switched_back
	wait_event "regained a svc server $old .*"
	expect 'served by those who did' "$(runs_on svc a && children svc)" "$before"
	expect 'the counter' "$(call svc get)" 5
	allow phase_go.b
	expect 'a takeover' "$(heir takeover --json svc b | jq -r .result)" done
}

# A domain all of whose processes have died: its state is adopted.
story_everything_is_killed_and_the_state_is_adopted() {
	service
	call svc 'add 5' > /dev/null
	at marked stop
	background "$HEIR" send svc 'add 100'
	wait_event 'marked a .* 105'
	# shellcheck disable=SC2046
	kill -KILL $(marked_pids)
	until_true 'all are gone' nobody_left
	expect 'its state' "$(app svc '"\(.state) \(.node) \(.protected)"')" 'down null false'
	expect 'its instances' "$(app svc '[.instances[].state] | unique | join(" ")')" absent
	expect_exit 3 "$HEIR" status svc
	expect_exit 1 "$HEIR" takeover --timeout 300ms svc a
	expect_match 'a takeover' "$OUT" '*the node is not running*'
	allow marked
	: > "$DIR/up.log"
	up
	wait_protected svc
	until_true 'what was accepted is handled, once' counts 105
}
nobody_left() { [ -z "$(marked_pids)" ]; }
counts() { [ "$(call svc get)" = "$1" ]; }

# The node that had it comes back alone, and holds it to start it again; then another one comes as well, and each
# could wait for the other.
story_a_node_that_is_back_first_goes_on() {
	service
	heir takeover svc b > /dev/null
	call svc 'add 5' > /dev/null
	# shellcheck disable=SC2046
	kill -KILL $(marked_pids)
	until_true 'all are gone' nobody_left
	at init.b block
	forget_events
	background "$HEIR" node -d "$DOMAIN" b
	wait_event 'init b.*'
	: > "$DIR/up.log"
	start_up
	until_true 'a stands by' stands_by a
	allow init.b
	heir wait svc --timeout 5s || fail 'it is served by nobody'
	expect 'the counter' "$(call svc get)" 5
}
stands_by() { [ "$(instance svc "$1")" = standby ]; }

# Told to stop, a node hands over by a takeover, with no call lost; and returns.
story_a_node_is_stopped_in_order() {
	service
	local caller how
	background "$STORY_WORKER" caller svc
	caller=$JOB
	expect_exit 0 heir down a
	expect_match 'what it says' "$OUT" 'stopped node a*'
	expect 'the owner' "$(app svc '"\(.state) \(.node) \(.start_type)"')" 'running b takeover'
	expect 'the record' "$(last_move svc '"\(.kind) \(.from) \(.to) \(.result)"')" 'takeover a b done'
	is_node a down || fail 'node a is not down'
	expect 'protected' "$(app svc .protected)" false
	expect_exit 1 heir takeover svc a
	expect_exit 7 heir down a
	background "$HEIR" node -d "$DOMAIN" a
	wait_protected svc
	how=$(heir takeover --json svc a | jq -r .result)
	expect 'takeover back' "$how" done
	kill -TERM "$caller"
	finished "$caller" || fail "caller: $OUT"
	expect_match 'the caller' "$OUT" '*unknown=0 failed=0 odd=0 *'
}

story_a_term_to_a_leader_stops_its_node_in_order() {
	service
	kill -TERM "$(leader a)"
	wait_on svc b
	expect 'the record' "$(last_move svc '"\(.kind) \(.result)"')" 'takeover done'
	until_true 'node a is down' is_node a down
	expect 'the counter' "$(call svc 'add 1')" 1
	kill -TERM "$UP"
	ends "$UP"
	expect_nothing_left
}

# The last node has nobody to hand over to: it stops what it has, and keeps the state for its return.
story_the_last_node_is_stopped() {
	service
	call svc 'add 5' > /dev/null
	expect_exit 0 heir down a
	expect_exit 0 heir down b
	ends "$UP"
	[ -n "$(segments)" ] || fail 'the state was removed'
	: > "$DIR/up.log"
	up
	wait_protected svc
	expect 'the counter' "$(call svc 'add 1')" 6
}

story_the_domain_is_stopped_and_kept() {
	service
	call svc 'add 5' > /dev/null
	expect_exit 0 heir down --keep
	ends "$UP"
	until_true 'all are gone' nobody_left
	expect_match 'the segment' "$(segments)" "*heir.$UID.$DOMAIN*"
	expect_exit 3 heir whereis svc
	: > "$DIR/up.log"
	up
	expect 'the counter' "$(call svc 'add 1')" 6
	expect_exit 0 heir down
	ends "$UP"
	expect_nothing_left
}

story_an_instance_that_hangs_does_not_hold_up_a_stop() {
	service '' 'state: 4KiB, shutdown: 500ms'
	at stop hang
	expect_exit 0 heir down
	ends "$UP"
	expect_nothing_left
}

# Where a hand-over fails, the node stops in the end all the same, and the next one serves.
story_a_hand_over_that_fails() {
	service
	call svc 'add 5' > /dev/null
	at start.b once fail
	expect_exit 0 heir down a
	wait_on svc b
	expect 'the counter' "$(call svc 'add 1')" 6
}

run_stories "$@"
