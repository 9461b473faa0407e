#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Any process may be stopped at any instruction and go on later: invariants 2, 4 and 10; the race rows "old
# owner hangs in an open transaction" and "a bystander is stopped or dead".
. "$(dirname "$0")/story.sh"

story_both_leaders_stopped() {
	service
	local a b pid
	a=$(leader a) b=$(leader b) pid=$(owner svc)
	expect 'add' "$(call svc 'add 5')" 5
	stop "$a"
	stop "$b"
	expect 'status' "$(app svc '"\(.state) \(.node)"')" 'running a'
	expect 'whereis' "$(whereis svc '"\(.node) \(.pid) \(.state)"')" "a $pid live"
	kill -KILL "$pid"
	expect 'a call at once' "$(call svc 'add 1')" 6
	expect 'the owner' "$(app svc '"\(.state) \(.node)"')" 'running b'
	expect 'whereis after the failover' "$(whereis svc .node)" b
	resume "$a"
	resume "$b"
	wait_protected svc
	expect 'the owner still' "$(app_node svc)" b
	expect 'the leaders' "$(leader a) $(leader b)" "$a $b"
	heir takeover svc a > /dev/null
	expect 'the counter' "$(call svc get)" 6
}

story_a_takeover_while_both_leaders_are_stopped() {
	service
	local a b
	a=$(leader a) b=$(leader b)
	stop "$a"
	stop "$b"
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
	expect 'a call' "$(call svc 'add 1')" 1
	resume "$a"
	resume "$b"
	wait_protected svc
	wait_event 'served a .* in order'
	expect 'the owner' "$(app_node svc)" b
}

story_an_owner_stopped_at_rest_is_taken_over_and_changes_nothing() {
	service
	local old
	old=$(owner svc)
	expect 'add' "$(call svc 'add 5')" 5
	stop "$old"
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
	expect 'add at the new one' "$(call svc 'add 1')" 6
	resume "$old"
	ends "$old"
	expect 'the counter' "$(call svc get)" 6
	wait_protected svc
	expect 'messages handled by the old one' "$(event_count 'handle a .*')" 1
}

# The same, of an owner that wakes only when its instance was stopped by force; mail that came while it was
# stopped is not lost.
story_mail_for_a_stopped_owner_is_answered_by_the_new_one() {
	service '' 'state: 4KiB, shutdown: 200ms'
	local old
	old=$(owner svc)
	stop "$old"
	background "$HEIR" call svc 'add 3'
	until_true 'the call is queued' is_queued
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
	finished "$JOB" || fail "call: $OUT"
	expect 'its answer' "$OUT" 3
	ends "$old"
	wait_protected svc
	expect 'the counter' "$(call svc get)" 3
}
is_queued() { # the caller sleeps on its reply
	grep -q futex "/proc/$JOB/wchan" 2>/dev/null || [[ $(cat "/proc/$JOB/syscall" 2>/dev/null) == 202\ * ]]
}

story_an_owner_stopped_in_a_transaction_is_fenced() {
	service 'yield_timeout: 200ms'
	local old move
	old=$(owner svc)
	expect 'add' "$(call svc 'add 5')" 5
	at marked.a stop
	background "$HEIR" call svc 'add 100'
	until_true 'the owner is stopped' is_stopped "$old"
	allow marked.a
	move=$(heir takeover --json svc b)
	expect 'takeover' "$(jq -r .result <<< "$move")" forced
	ends "$old"
	finished "$JOB" || fail "call: $OUT"
	expect 'the message is handled again, from the last commit' "$OUT" 105
	expect 'the counter' "$(call svc get)" 105
	wait_protected svc
}

# Dead before the takeover: the claim undoes what was open.
story_an_owner_killed_in_a_transaction_is_undone() {
	service
	local old
	old=$(owner svc)
	expect 'add' "$(call svc 'add 5')" 5
	at marked.a stop
	background "$HEIR" call svc 'add 100'
	until_true 'the owner is stopped' is_stopped "$old"
	allow marked.a
	kill -KILL "$old"
	finished "$JOB" || fail "call: $OUT"
	expect 'the message is handled again, from the last commit' "$OUT" 105
	expect 'kind of the move' "$(last_move svc '"\(.kind) \(.result)"')" 'failover done'
}

# Its transaction ends within yield_timeout: the target waits for it, and it keeps what it did.
story_a_transaction_that_ends_in_time_is_kept() {
	service 'yield_timeout: 10s'
	local old
	old=$(owner svc)
	at marked.a block
	background "$HEIR" call svc 'add 7'
	local calling=$JOB
	wait_event 'marked a .*'
	background "$HEIR" takeover --json svc b
	wait_event 'start b .* takeover.*'
	allow marked.a
	finished "$JOB" || fail "takeover: $OUT"
	expect 'takeover' "$(jq -r .result <<< "$OUT")" done
	finished "$calling" || fail "call: $OUT"
	expect 'answer' "$OUT" 7
	expect 'handled by' "$(event_count 'handle . .*')" 1
	expect 'the counter' "$(call svc get)" 7
}

story_a_stopped_bystander_delays_nobody() {
	NODES='a, b, c' service
	local c standby
	c=$(leader c) standby=$(whereis svc@c .pid)
	stop "$c"
	stop "$standby"
	expect 'takeover' "$(heir takeover --json svc b | jq -r .result)" done
	wait_event 'served a .* in order'
	kill -KILL "$(owner svc)"
	expect 'add' "$(call svc 'add 1')" 1
	expect 'the owner' "$(app_node svc)" a
	resume "$standby"
	resume "$c"
	until_true 'c stands by' is_instance svc c standby
	expect 'takeover by c' "$(heir takeover --json svc c | jq -r .result)" done
	expect 'the counter' "$(call svc get)" 1
}
is_instance() { [ "$(instance "$1" "$2")" = "$3" ]; }

run_stories "$@"
