#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Whatever is killed, stopped or moved next: no accepted call is lost or applied twice, and it is served in the
# end. Invariants 1, 2, 5 and 6. What happened is told when it fails; STORY_SEED repeats the choices, though not
# their moments.
. "$(dirname "$0")/story.sh"

RANDOM=${STORY_SEED:-$RANDOM}

tell() { echo "story: $*" >> "$DIR/up.log"; } # among what heir says

pick() { local n=$((RANDOM % $# + 1)); echo "${!n}"; }

pid_of() { # owner, standby or leader; empty where there is none now
	case $1 in
	owner) owner svc ;;
	standby) whereis "svc@$(other_node)" .pid ;;
	leader) leader "$(pick a b)" ;;
	esac 2> /dev/null || true
}

# One thing, not waited for.
disturb() {
	local what whom pid
	what=$(pick kill kill pause takeover exclusive)
	case $what in
	kill | pause)
		whom=$(pick owner owner standby leader)
		pid=$(pid_of "$whom")
		[[ $pid =~ ^[0-9]+$ ]] && [ "$pid" -gt 1 ] || return 0
		tell "$what $whom $pid"
		if [ "$what" = kill ]; then
			kill -KILL "$pid" 2> /dev/null || true
		else
			kill -STOP "$pid" 2> /dev/null || return 0
			paused+=("$pid")
		fi
		;;
	*)
		tell "$what"
		[ "$what" = exclusive ] || what=overlap
		timeout 20 "$HEIR" takeover --$what --timeout 5s svc "$(other_node 2> /dev/null)" > /dev/null 2>&1 || true
		;;
	esac
}

wake() {
	local pid
	for pid in "${paused[@]}"; do
		kill -CONT "$pid" 2> /dev/null || true
	done
	paused=()
}

storm() { # ROUNDS
	local n callers=() paused=() total=0 unknown=0 job
	for n in 1 2; do
		background "$STORY_WORKER" caller svc
		callers+=("$JOB")
	done
	for ((n = 0; n < $1; n++)); do
		disturb
		[ ${#paused[@]} = 0 ] && [ $((n % 3)) -lt 2 ] || disturb # the next one while that is so
		wake
		heir wait svc --running --timeout 20s || fail "not served any more, in round $n"
		[ $((n % 4)) -lt 3 ] || wait_protected svc
	done
	wait_protected svc
	for job in "${callers[@]}"; do
		kill -TERM "$job"
		finished "$job" || fail "caller: $OUT"
		expect_match 'a caller' "$OUT" '* failed=0 *'
		total=$((total + $(sed 's/.*answered=\([0-9]*\) .*/\1/' <<< "$OUT")))
		unknown=$((unknown + $(sed 's/.*unknown=\([0-9]*\) .*/\1/' <<< "$OUT")))
	done
	expect 'calls whose outcome nobody knows' $unknown 0
	expect 'the counter' "$(call svc get)" $total
}

story_a_storm() {
	service 'failovers: {intensity: 1000, period: 60s}, step_timeout: 10s'
	storm 30
	heir down > /dev/null
	ends "$UP"
	expect_nothing_left
}

story_a_storm_over_an_exclusive_application() {
	service 'takeover: exclusive, failovers: {intensity: 1000, period: 60s}' 'state: 4KiB' '--lock, lock'
	storm 20
}

story_a_storm_over_three_nodes() {
	NODES='a, b, c' service 'failovers: {intensity: 1000, period: 60s}'
	storm 20
}

run_stories "$@"
