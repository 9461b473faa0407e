#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Mail: exactly once through kills, the poison message, and everything that a caller may be told. Invariants
# 5, 7 and 12.
. "$(dirname "$0")/story.sh"

last_answer() { sed 's/.* last=\([0-9]*\) .*/\1/' <<< "$OUT"; }

story_a_poison_message_is_set_aside() {
	service 'max_deliveries: 3'
	call svc 'add 5' > /dev/null
	background "$HEIR" call --timeout 20s svc die
	local poison=$JOB
	finished "$poison" && fail "the poison was answered: $OUT"
	expect_match 'what its caller is told' "$OUT" '*set aside*'
	expect 'deliveries' "$(event_count 'handle .* die')" 3
	expect 'the service goes on' "$(call svc 'add 1')" 6
	wait_protected svc
	expect 'deliveries' "$(event_count 'handle .* die')" 3
}

# What waits behind it is answered, in order.
story_mail_behind_a_poison_message_is_answered() {
	service 'max_deliveries: 1'
	local n jobs=()
	stop "$(owner svc)"
	heir send svc 'add 1'
	heir send svc die
	for n in 1 2 3; do
		background "$HEIR" call --timeout 20s svc 'add 1'
		jobs+=("$JOB")
	done
	resume "$(owner svc)"
	for n in "${jobs[@]}"; do
		finished "$n" || fail "a call: $OUT"
	done
	expect 'the counter' "$(call svc get)" 4
	expect 'deliveries' "$(event_count 'handle .* die')" 1
}

# A message that is merely interrupted by a kill is not poison: applied once, by whoever is left.
story_killed_owners_lose_and_double_nothing() {
	service
	local n callers=() total=0 job
	for n in 1 2 3; do
		background "$STORY_WORKER" caller svc
		callers+=("$JOB")
	done
	for n in {1..6}; do
		wait_protected svc
		kill_owner svc
	done
	heir wait svc --timeout 20s
	for job in "${callers[@]}"; do
		kill -TERM "$job"
		finished "$job" || fail "caller: $OUT"
		expect_match 'a caller' "$OUT" '*unknown=0 failed=0 *'
		total=$((total + $(sed 's/.*answered=\([0-9]*\) .*/\1/' <<< "$OUT")))
	done
	expect 'the counter' "$(call svc get)" $total
}

# The same while it is taken over, by both ways, and killed.
story_takeovers_and_kills_under_load() {
	service
	local n how caller
	background "$STORY_WORKER" caller svc
	caller=$JOB
	for n in {1..4}; do
		for how in --overlap --exclusive; do
			wait_protected svc
			heir takeover $how svc "$(other_node)" > /dev/null
		done
		wait_protected svc
		kill_owner svc
	done
	heir wait svc --timeout 20s
	kill -TERM "$caller"
	finished "$caller" || fail "caller: $OUT"
	expect_match 'the caller' "$OUT" '*unknown=0 failed=0 odd=0 *'
	expect 'the counter' "$(call svc get)" "$(last_answer)"
}

story_a_caller_that_dies_before_the_reply() {
	service
	at marked.a block
	background "$STORY_WORKER" drop_call svc 'add 5'
	wait_event 'marked a .*'
	ends "$JOB"
	allow marked.a
	expect 'the next call' "$(call svc 'add 1')" 6
	local n
	for n in {1..80}; do # more than there are cells
		("$STORY_WORKER" drop_call svc 'add 1' || true) 2> /dev/null
	done
	until_true 'all are handled' counts 86
}
counts() { [ "$(call svc get)" = "$1" ]; }

story_a_handler_that_fails_undoes() {
	service
	call svc 'add 5' > /dev/null
	at marked.a once fail -5
	expect_exit 1 heir call svc 'add 100'
	expect_match 'the message' "$OUT" '*nput/output*'
	expect 'the counter' "$(call svc get)" 5
}

story_a_full_mailbox() {
	service
	local before sent
	before=$(owner svc)
	stop "$before"
	read -r sent _ <<< "$(within "$STORY_WORKER" fill svc)"
	[ "$sent" -ge 16 ] || fail "only $sent messages went in"
	expect_exit 1 heir send svc 'add 1'
	expect_match 'the message' "$OUT" '*full*'
	expect_exit 1 heir call --timeout 200ms svc 'add 1'
	expect_match 'the message' "$OUT" '*full*'
	resume "$before"
	until_true 'room is there' can_send
	until_true 'what was accepted is handled' counts $((sent + 1))
}
can_send() { "$HEIR" send svc 'add 1' 2> /dev/null; }

story_limits_of_a_message() {
	service
	local most
	most=4096
	head -c $((most + 1)) /dev/zero > big
	expect_exit 1 heir call svc - < big
	expect_match 'the message' "$OUT" "*$most bytes*"
	expect_exit 1 heir send svc - < big
	expect 'the largest reply' "$(call svc "size $most" | wc -c)" $((most + 1))
	expect_exit 1 heir call svc "size $((most + 1))"
	expect_exit 1 heir call nobody get
	expect_match 'the message' "$OUT" '*nobody*'
	expect_exit 1 heir send svc@b- get
	expect 'the service goes on' "$(call svc 'add 1')" 1
}

# Not taken by the deadline: never handled. Taken: the caller is told that it is not known.
story_deadlines_of_a_call() {
	service
	local pid
	pid=$(owner svc)
	stop "$pid"
	expect_exit 124 heir call --timeout 200ms svc 'add 100'
	resume "$pid"
	expect 'the counter' "$(call svc 'add 1')" 1
	at handle.a once block
	background "$HEIR" call --timeout 300ms svc 'add 5'
	finished "$JOB" && fail "answered: $OUT"
	expect_match 'what its caller is told' "$OUT" '*unknown*'
	allow handle.a
	until_true 'it was applied' counts 6
}

# What a handler sends leaves with the commit, once, or not at all.
story_what_a_handler_sends() {
	config <<-END
		applications:
		  svc: {standby: hot, supervisor: {children: [
		    {id: server, exec: [story_worker], names: [svc], state: 4KiB}]}}
		  log: {standby: hot, supervisor: {children: [
		    {id: server, exec: [story_worker, --name, log], names: [log], state: 4KiB}]}}
	END
	up
	wait_protected svc
	wait_protected log
	heir call svc 'send log add 3' > /dev/null
	until_true 'it arrived' log_counts 3
	expect_exit 1 heir call svc 'send nobody add 3'
	heir takeover log b > /dev/null
	heir call svc 'send log add 3' > /dev/null
	until_true 'it arrived' log_counts 6
}
log_counts() { [ "$(call log get)" = "$1" ]; }

# Names that are registered at run time move as well.
story_names_registered_at_run_time() {
	service
	call svc 'register svc/extra' > /dev/null
	expect 'add by the other name' "$(call svc/extra 'add 5')" 5
	heir takeover svc b > /dev/null
	expect 'whereis' "$(whereis svc/extra '"\(.node) \(.application) \(.state)"')" 'b svc live'
	wait_protected svc
	kill_owner svc
	expect 'add by the other name' "$(call svc/extra 'add 1')" 6
	expect 'names' "$(heir names --json svc/ | jq -r 'map(.name) | join(" ")')" svc/extra
	expect_exit 1 heir call svc 'register svc/extra'
	expect_match 'names up to the limit' "$(call svc 'fill many/')" '* limit *'
	expect_exit 1 heir call svc 'register svc/one-more'
	expect_match 'the message' "$OUT" '*limit*'
	[ "$(heir names --json | jq length)" -ge 64 ] || fail 'fewer names fit than the limit says'
	expect 'whereis' "$(whereis many/1 .node)" "$(app_node svc)"
	heir takeover svc b > /dev/null
	expect 'whereis' "$(whereis many/60 .node)" b
}

run_stories "$@"
