#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# What the soak has found, each made certain. Invariants 2 and 6, and that an exclusive instance is alone.
# Needs, beside what story.sh does, HOLDER: the program of holder.c.
. "$(dirname "$0")/../run/story.sh"
PATH=$(dirname "$HOLDER"):$PATH

# The next process that becomes a child of PID; in CHILD.
next_child() { # PID
	local end=$((SECONDS + PATIENCE))
	CHILD=
	until [ -n "$CHILD" ]; do
		[ $SECONDS -lt $end ] || fail "process $1 has no child"
		read -r CHILD _ < "/proc/$1/task/$1/children" || true
	done
}

is_led() { local pid; pid=$(leader "$1") && [ "$pid" != null ] && [ "$pid" != 0 ] && ! is_gone "$pid"; }

story_an_adopted_domain_is_not_stopped_when_a_leader_dies_in_its_start() {
	service 'nodes: [a, b]'
	expect 'a call' "$(call svc 'add 1')" 1
	kill -KILL "$UP" "$(leader a)" "$(leader b)"
	ends "$UP"
	start_up
	next_child "$UP"
	kill -KILL "$CHILD"
	until_true 'node a has a leader again' is_led a
	until_true 'node b has a leader again' is_led b
	wait_protected svc
	expect 'a call' "$(call svc 'add 1')" 2
	is_gone "$UP" && fail 'heir up has ended'
	heir down > /dev/null
	expect_nothing_left
}

# A dead leader's sockets are closed after its life words have fallen: here by a process that has the address.
story_a_leader_starts_while_its_predecessors_address_is_taken() {
	local pid
	service 'nodes: [a, b]'
	pid=$(owner svc)
	kill -KILL "$(leader b)"
	background perl -MSocket -e '
		socket(my $s, AF_UNIX, SOCK_SEQPACKET, 0) or die;
		select(undef, undef, undef, 0.001) until bind($s, pack_sockaddr_un("\0heir/$>/$ARGV[0]/b"));
		sleep' "$DOMAIN"
	until_true 'node b has a leader again' is_led b
	wait_protected svc
	kill -KILL "$(leader b)"
	until_true 'node b has a leader again' is_led b
	wait_protected svc
	expect 'the owner' "$(owner svc)" "$pid"
	is_gone "$UP" && fail 'heir up has ended'
	kill -KILL "$JOB"
	heir down > /dev/null
	expect_nothing_left
}

is_standby() { [ "$(instance svc "$1")" = standby ]; }

# Its node's leader was stopped while the lead beside it served, was taken over from, and died.
story_a_child_that_was_left_behind_is_started_anew() {
	local stopped
	config <<-END
		applications:
		  svc:
		    standby: hot
		    step_timeout: 10s
		    supervisor: {intensity: 50, period: 60s, children: [
		      {id: server, exec: [story_worker], names: [svc], state: 4KiB},
		      {id: extra, exec: [story_worker, --name, extra], names: [extra]}]}
	END
	up
	wait_protected svc
	stopped=$(leader b)
	stop "$stopped"
	heir takeover svc b > /dev/null
	until_true 'node a is a standby' is_standby a
	kill -KILL "$(owner svc)"
	wait_on svc a
	resume "$stopped"
	wait_protected svc
	heir takeover svc b > /dev/null
	expect 'the other child' "$(call extra 'add 1')" 1
}

# --- an exclusive instance is alone: holder.c -----------------------------------------------------

holder() { # NODES STANDBY
	config "$1" <<-END
		applications:
		  svc:
		    standby: $2
		    takeover: exclusive
		    step_timeout: 10s
		    failovers: {intensity: 1000, period: 1s}
		    supervisor:
		      intensity: 100
		      period: 1s
		      children: [{id: server, exec: [holder], names: [svc], state: 4KiB}]
	END
	up
	[ "$2" = cold ] || wait_protected svc
}

never_beside_another() { expect 'starts beside another' "$(event_count 'lock_refused .*')" 0; }

has_owner_other_than() { # PID...
	local pid not
	pid=$(whereis svc .pid) || return 1
	[ "$pid" != null ] && [ "$pid" != 0 ] || return 1
	for not in "$@"; do [ "$pid" != "$not" ] || return 1; done
}

story_an_exclusive_restart_in_place_waits_for_the_end() {
	: > "$DIR/fat"
	holder a cold
	rm "$DIR/fat"
	kill_owner svc
	wait_on svc a
	expect 'starts' "$(event_count 'locked .*')" 2
	never_beside_another
}

# Its owner is dead, but not gone; the next one waits for that, and dies too; the one after that waits as well.
story_an_exclusive_failover_waits_for_all_that_were_owners() {
	local first second
	holder 'a, b, c' hot
	first=$(owner svc)
	stop "$(leader a)" # who would end it
	: > "$DIR/hold"
	heir send svc linger
	until_true 'another owns svc' has_owner_other_than "$first"
	second=$(whereis svc .pid)
	kill -KILL "$second"
	until_true 'a third owns svc' has_owner_other_than "$first" "$second"
	expect 'the first owner is there' "$(event_count 'gone .*')" 0
	rm "$DIR/hold"
	resume "$(leader a)"
	until_true 'svc runs' is_state svc running
	never_beside_another
	[ "$(event_time 'gone a .*')" -lt "$(event_time 'locked .*')" ] || fail 'started before the first owner was gone'
}

story_an_exclusive_failover_from_a_dead_leader_ends_its_owner_first() {
	: > "$DIR/deaf"
	holder 'a, b' hot
	stop "$UP" # who would end it
	kill -KILL "$(leader a)"
	wait_on svc b
	never_beside_another
	resume "$UP"
	wait_protected svc
}

run_stories "$@"
