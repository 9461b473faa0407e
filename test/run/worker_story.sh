#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Workers that die, hang or are stopped where it hurts, and clients that connect meanwhile. Invariants 2, 4, 5
# and 6.
. "$(dirname "$0")/story.sh"

story_an_old_owner_that_dies_while_it_stops() {
	service
	local point counter=0
	for point in lost prep_stop stop; do
		at "$point" once die
		expect "takeover, $point" "$(heir takeover --json svc "$(other_node)" | jq -r .result)" done
		counter=$((counter + 1))
		expect 'the counter' "$(call svc 'add 1')" $counter
		wait_event "$point .*"
		wait_protected svc
	done
}

# Its life words stand, as if it lived: the kernel says by its pidfd that it does not, to its own leader or another's.
story_a_death_without_notice() {
	NODES=${1:-a} service "standby: ${2:-cold}, yield_timeout: 200ms"
	call svc 'add 5' > /dev/null
	at marked once vanish
	background "$HEIR" call --timeout 15s svc 'add 1'
	finished "$JOB" || fail "call: $OUT"
	expect 'its answer' "$OUT" 6
}
story_a_death_without_notice_beside_a_standby() { story_a_death_without_notice 'a, b' hot; }

files_of() { sed -n 's/^Max open files *\([0-9]*\) .*/\1/p' "/proc/$1/limits"; } # PID

# A leader watches many processes, and raises its own limit of descriptors; a worker has the one that `heir up` had.
story_descriptors() {
	ulimit -Sn 200
	service
	expect 'of a worker' "$(files_of "$(owner svc)")" 200
	expect 'of its leader' "$(files_of "$(leader a)")" "$(ulimit -Hn)"
}

# What children need is kept for them, however many there are to watch.
story_few_descriptors() {
	local apps='' n
	ulimit -n 320
	for n in {1..40}; do
		apps+=$'\n'"  s$n: {standby: hot, supervisor: {children: [{id: server, exec: [story_worker, --name, s$n], names: [s$n], state: 4KiB}]}}"
	done
	config 'a, b, c, d, e, f, g' <<-END
		limits: {names: 64, processes: 400, messages: 1024}
		applications:$apps
	END
	up
	is_said 'descriptors may be open here' || fail 'no warning'
	wait_protected s40
	expect_not 'there is room' "$(($(find "/proc/$(leader a)/fd" -type l | wc -l) > 200))" 1
	kill_owner s1
	wait_protected s1
	expect 'a call' "$(call s1 'add 1')" 1
}

story_a_worker_that_dies_while_the_domain_stops() {
	service
	at stop die
	at prep_stop.a die
	expect_exit 0 heir down
	ends "$UP"
	expect_nothing_left
}

# It does not come back from its handler: fenced at yield_timeout, its transaction undone, the message handled
# again.
story_an_owner_that_hangs_in_a_transaction() {
	service 'yield_timeout: 200ms'
	local old
	old=$(owner svc)
	call svc 'add 5' > /dev/null
	at marked.a hang
	background "$HEIR" call --timeout 20s svc 'add 100'
	wait_event 'marked a .* 105'
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" forced
	ends "$old"
	finished "$JOB" || fail "call: $OUT"
	expect 'its answer' "$OUT" 105
	allow marked.a
	wait_protected svc
	expect 'the counter' "$(call svc get)" 105
}

# The target is stopped while it drives: its leader ends it when the time of the step is over.
story_a_target_that_is_stopped_in_a_step() {
	service 'start_phases: [start, warm, switch, takeover, go, stop_old], step_timeout: 700ms'
	local point counter=0
	for point in start phase_warm phase_takeover phase_go; do
		at "$point" once stop
		expect_exit 1 heir takeover svc "$(other_node)"
		counter=$((counter + 1))
		expect "the counter, $point" "$(call --timeout 20s svc 'add 1')" $counter
		wait_protected svc
	done
}

# Killed in the middle of what a dead owner left: the next one completes it.
story_a_candidate_that_dies_while_it_recovers() {
	NODES='a, b, c' service
	local pid
	call svc 'add 5' > /dev/null
	until_true 'all stand by' all_stand_by
	pid=$(owner svc)
	at marked.a stop
	at start.b die
	at start.c once die
	background "$HEIR" call --timeout 20s svc 'add 100'
	until_true 'the owner is stopped' is_stopped "$pid"
	allow marked.a
	kill -KILL "$pid"
	finished "$JOB" || fail "call: $OUT"
	expect 'its answer' "$OUT" 105
	allow start.b
}
all_stand_by() { [ "$(app svc '[.instances[] | .state] | sort | join(" ")')" = 'running standby standby' ]; }

# Much memory to tear down: the notice does not wait for it.
story_a_large_owner_is_killed() {
	service '' 'state: 4KiB' '--resident, "200"'
	local n
	call svc 'add 5' > /dev/null
	for n in 1 2; do
		kill_owner svc
		expect 'the counter' "$(call svc get)" 5
		wait_protected svc
	done
}

# A worker that executes another program without a word is found by its lifeline.
story_a_worker_that_becomes_another_program() {
	service '' 'state: 4KiB'
	local old
	old=$(owner svc)
	call svc 'add 5' > /dev/null
	at handle.a once exec
	background "$HEIR" call --timeout 20s svc 'add 1'
	finished "$JOB" || fail "call: $OUT"
	expect 'its answer' "$OUT" 6
	expect 'the owner' "$(app_node svc)" b
	ends "$old"
	wait_protected svc
}

# The fatal signal's handler says "dying" before the core is written.
story_a_worker_that_crashes() {
	service
	local signal counter=5
	call svc 'add 5' > /dev/null
	for signal in SEGV ABRT BUS; do
		kill -"$signal" "$(owner svc)"
		counter=$((counter + 1))
		expect 'the counter' "$(call svc 'add 1')" $counter
		heir wait svc --timeout 20s
		wait_protected svc
	done
}

# --- TCP ------------------------------------------------------------------------------------------

kv() {
	PORT=$(free_port)
	config <<-END
		applications:
		  kv:
		    standby: hot
		    failovers: {intensity: 100, period: 60s}
		    listen: {resp: "127.0.0.1:$PORT"}
		    supervisor:
		      intensity: 50
		      children: [{id: server, exec: [heir-kv], names: [kv], state: 1MiB}]
	END
	up
	wait_protected kv
}

# New connections meanwhile are taken by the old or the new instance, or wait; every answer that came stands
# for a write.
connect_and_count() {
	local n=0
	while [ ! -e done ]; do
		[[ $(redis-cli -p "$PORT" incr hits 2> /dev/null) =~ ^[0-9]+$ ]] && n=$((n + 1)) && echo "$n" > counted
		redis-cli -p "$PORT" ping > /dev/null 2> refused || cat refused
	done
	touch ended
}
has_counted() { [ "$(cat counted 2> /dev/null)" -gt "$1" ] 2> /dev/null; }

story_connections_are_never_refused() {
	kv
	local n how
	connect_and_count > refusals 2>&1 3>&- &
	for n in b a b a; do
		for how in --overlap --exclusive; do
			wait_protected kv
			heir takeover $how kv $n > /dev/null 2>&1 || true
		done
		wait_protected kv
		kill_owner kv
	done
	until_true 'it has counted' has_counted 10
	touch done
	until_true 'the client ends' test -e ended
	! grep -q refused refusals || fail "a connection was refused: $(head -n 1 refusals)"
	local counted
	counted=$(cat counted)
	[ "$(redis get hits)" -ge "$counted" ] || fail "$counted writes were acknowledged, $(redis get hits) are there"
}

# One connection, one command after the other over a takeover: what the old one has of it is forwarded until
# it closes.
story_a_connection_that_was_open_before() {
	kv
	local line
	exec 4<> "/dev/tcp/127.0.0.1/$PORT"
	printf 'SET a 1\r\n' >&4
	read -r -t 10 line <&4
	expect 'the answer' "${line%$'\r'}" +OK
	heir takeover kv b > /dev/null
	printf 'INCR a\r\n' >&4 2> /dev/null || true
	if read -r -t 10 line <&4; then
		expect 'the answer after the takeover' "${line%$'\r'}" :2
	fi # else it was closed in between, which it may be, between whole replies
	exec 4>&-
	expect_match 'what is there' "$(redis get a)" '[12]'
}

run_stories "$@"
