#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# An owner that cannot be killed, within a transaction: frozen in a freezer cgroup (v1). It is not declared dead on a
# guess: whoever asks for a takeover is told, and may ask again; nobody else waits; when it is gone the next one goes
# on, and what was called is done once. Invariants 4, 5 and 10.
. "$(dirname "$0")/../run/story.sh"

GROUP=/sys/fs/cgroup/freezer/heir-story-$$

freeze() { # PID
	mkdir "$GROUP" 2> /dev/null || skip 'no freezer cgroup (v1) can be made here'
	echo "$1" > "$GROUP/cgroup.procs"
	echo FROZEN > "$GROUP/freezer.state"
	until_true "$1 is frozen" grep -q FROZEN "$GROUP/freezer.state"
}

thaw() {
	echo THAWED > "$GROUP/freezer.state"
	until_true 'the cgroup is empty' rmdir "$GROUP" 2> /dev/null
}

# An application svc whose owner on a is frozen within a transaction, and another on the same nodes.
frozen_writer() {
	config <<-END
		applications:
		  svc:
		    standby: hot
		    step_timeout: 5s
		    supervisor: {intensity: 50, period: 60s, children: [
		      {id: server, exec: [story_worker], names: [svc], state: 4KiB, shutdown: 200ms}]}
		  other:
		    standby: hot
		    supervisor: {children: [{id: aside, exec: [story_worker, --name, other], names: [other], state: 4KiB}]}
	END
	up
	wait_protected svc
	wait_protected other
	at marked.a.server block
	background heir call --timeout 60s svc 'add 1'
	CALL=$JOB
	wait_event 'marked a svc .*'
	FROZEN=$(owner svc)
	trap 'thaw_in_any_case' EXIT
	freeze "$FROZEN"
}

thaw_in_any_case() {
	local status=$?
	if [ -d "$GROUP" ]; then
		echo THAWED > "$GROUP/freezer.state"
		kill -KILL "$FROZEN" 2> /dev/null || true
		for _ in {1..200}; do
			rmdir "$GROUP" 2> /dev/null && break
			sleep 0.02
		done
	fi
	(exit $status)
	story_ends
}

others_go_on() {
	expect 'another application' "$(call other 'add 1')" "$1"
	heir takeover other "$2" > /dev/null
	wait_protected other
	expect 'status' "$(owner svc)" "$FROZEN"
}

done_once() {
	rm "$DIR/at.marked.a.server"
	thaw
	finished "$CALL" || fail "the call that was in its hands: $OUT"
	expect 'its answer' "$OUT" 1
	wait_protected svc
	expect 'the counter' "$(call svc get)" 1
}

story_a_frozen_writer_is_not_declared_dead() {
	local n
	frozen_writer
	for n in 1 2; do
		expect_exit 1 heir takeover svc b
		expect 'the takeover' "$(last_move svc '"\(.result) \(.failed_step)"')" 'aborted switch'
		expect 'the owner' "$(owner svc)" "$FROZEN"
		is_gone "$FROZEN" && fail 'it is gone'
		others_go_on $n "$([ $n = 1 ] && echo b || echo a)"
	done
	done_once
}

# The exclusive one has told it to stop, and killed it, and waits for what the kernel says.
story_an_exclusive_takeover_waits_for_a_frozen_owner() {
	frozen_writer
	background heir takeover --exclusive --timeout 60s --json svc b
	until_true 'svc is held' is_state svc moving
	others_go_on 1 b
	expect 'started at b' "$(event_count 'start b svc .*')" 0
	done_once
	finished "$JOB" || fail "the takeover: $OUT"
	expect 'the takeover' "$(jq -r .result <<< "$OUT")" done
	expect 'svc is' "$(app_node svc)" b
}

run_stories "$@"
