#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# The target of a takeover dies after the switch and before it serves, in a phase that takes its time, and whoever would
# have been told by its node is stopped: others were told whom to watch when it switched. Invariant 6; the row "target
# killed at any moment of a takeover" of the race table.
. "$(dirname "$0")/story.sh"

SHORT='start_phases: [start, switch, go, fin, stop_old], step_timeout: 10s, yield_timeout: 500ms'

# Up to its phase `go`, in which it stays.
moving_to() { # NODE
	TARGET=$(whereis "svc@$1" .pid)
	call svc 'add 5' > /dev/null
	at "phase_go.$1" once block
	background "$HEIR" takeover svc "$1"
	wait_event "phase_go $1.*"
}

dies() {
	kill -KILL "$TARGET"
	ends "$TARGET"
	expect 'a call' "$(call --timeout 6s svc 'add 1')" 6
}

story_its_leader_is_stopped() {
	service "$SHORT"
	moving_to b
	stop "$(leader b)"
	dies
}

story_all_leaders_are_stopped() {
	NODES='a, b, c' service "$SHORT"
	stop "$(leader a)"
	stop "$(leader b)"
	stop "$(leader c)"
	moving_to b
	dies
}

# Nobody watched this one while the old owner served: another is first.
story_it_is_not_the_heir() {
	NODES='a, b, c' service "$SHORT"
	stop "$(leader a)"
	stop "$(leader b)"
	stop "$(leader c)"
	moving_to c
	dies
}

# Its process lives, as another program: no pidfd says that it has gone.
story_it_becomes_another_program() {
	service 'start_phases: [start, switch, go, fin, stop_old], step_timeout: 30s, yield_timeout: 500ms'
	call svc 'add 5' > /dev/null
	stop "$(leader b)"
	at phase_go.b once exec
	background "$HEIR" takeover --timeout 60s svc b
	wait_event 'phase_go b.*'
	expect 'a call' "$(call --timeout 10s svc 'add 1')" 6
}

retried() { "$HEIR" takeover --timeout 5s svc "$1" > /dev/null 2>&1; } # NODE: while the driver before is waited for

# It claimed, and hangs in its phase; its leader is stopped, and others go on without both. Invariants 2 and 6.
story_a_claimer_hangs_and_is_taken_over_from() {
	NODES='a, b, c' service 'start_phases: [start, switch, go, stop_old], step_timeout: 1s'
	local hung
	hung=$(whereis svc@b .pid)
	call svc 'add 5' > /dev/null
	at phase_go.b once hang
	stop "$(leader b)"
	kill -KILL "$(owner svc)"
	wait_event 'phase_go b.*'
	until_true 'c takes over' retried c
	expect 'a call' "$(call --timeout 6s svc 'add 1')" 6
	resume "$(leader b)"
	ends "$hung"
	until_true 'b has a standby again' is_instance b standby
}
is_instance() { [ "$(instance svc "$1")" = "$2" ]; } # NODE STATE

run_stories "$@"
