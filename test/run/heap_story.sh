#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# State on the worker's own heap: the names move first, then the new instance fetches from NAME@FROM in its
# takeover phase, and what still reaches the old one is forwarded. Invariants 5 and 6; the steps of section 2.
. "$(dirname "$0")/story.sh"

heap() { service '' 'shutdown: 10s' --heap; }

story_the_new_instance_fetches_from_the_old_one() {
	heap
	expect 'add' "$(call svc 'add 5')" 5
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
	expect 'add at the new one' "$(call svc 'add 1')" 6
	expect 'asked by whom' "$(event_count 'fetched b .*')" 1
	wait_protected svc
	expect 'takeover back' "$(heir takeover --json svc a | jq -r .result)" done
	expect 'add at the first one' "$(call svc 'add 1')" 7
}

# Sent to NAME@a after the fetch, while the old instance is still there: passed on, applied and answered once.
story_a_request_to_the_old_instance_is_forwarded_and_answered_once() {
	heap
	expect 'add' "$(call svc@a 'add 5')" 5
	at phase_go.b block
	background "$HEIR" takeover --json svc b
	local taking=$JOB
	wait_event 'phase_go b .*'
	wait_event 'lost a .*'
	expect 'names' "$(whereis svc .node)" b
	background "$HEIR" call svc@a 'add 10'
	wait_event 'forwarded a .* add 10'
	allow phase_go.b
	finished "$taking" || fail "takeover: $OUT"
	finished "$JOB" || fail "call: $OUT"
	expect 'its answer' "$OUT" 15
	expect 'the counter' "$(call svc get)" 15
	expect 'handled by the new one' "$(event_count 'handle b .* add 10')" 1
}

# Sent to NAME while the takeover phase runs: it waits for the last phase and sees what was fetched.
story_mail_to_the_name_waits_for_the_last_phase() {
	heap
	call svc 'add 5' > /dev/null
	at phase_takeover.b block
	background "$HEIR" takeover --json svc b
	local taking=$JOB
	wait_event 'phase_takeover b .*'
	background "$HEIR" call svc 'add 1'
	until_true 'whereis names the new one' names_b
	expect 'not handled yet' "$(event_count 'handle . .* add 1')" 0
	allow phase_takeover.b
	finished "$taking" || fail "takeover: $OUT"
	finished "$JOB" || fail "call: $OUT"
	expect 'its answer' "$OUT" 6
	expect 'handled' "$(event_count 'handle b .* add 1')" 1
}
names_b() { [ "$(whereis svc .node)" = b ]; }

story_a_caller_loses_nothing_over_many_takeovers() {
	heap
	local n took
	background "$STORY_WORKER" caller svc
	for n in b a b a b a; do
		wait_protected svc
		took=$(heir takeover --json svc "$n" | jq -r .result)
		expect "takeover to $n" "$took" done
	done
	kill -TERM "$JOB"
	finished "$JOB" || fail "caller: $OUT"
	expect_match 'the caller' "$OUT" 'answered=* unknown=0 failed=0 odd=0 *'
	expect 'the counter' "$(call svc get)" "$(sed 's/.* last=\([0-9]*\) .*/\1/' <<< "$OUT")"
}

# The counterpart cannot give what it has: back to it, nothing lost.
story_a_failed_fetch_switches_back() {
	heap
	call svc 'add 5' > /dev/null
	local old
	old=$(owner svc)
	at handle.a once fail
	expect_exit 1 heir takeover svc b
	expect_match 'the message' "$OUT" '*switched_back*takeover*'
	expect 'the owner' "$(owner svc)" "$old"
	wait_event "regained a .* $old .*"
	expect 'the counter' "$(call svc 'add 1')" 6
}

run_stories "$@"
