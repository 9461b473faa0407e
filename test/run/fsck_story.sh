#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# heir fsck: of a domain at work, through takeovers and kills; of one whose processes were all killed, which it does not
# change and which goes on afterwards; of damaged copies, and of what the gate refuses.
. "$(dirname "$0")/story.sh"

fsck() { within "$HEIR" fsck "$@"; }
check() { fsck --json "${@:2}" | jq -r "$1" || [ "${PIPESTATUS[0]}" = 1 ]; } # FILTER [OPTION...]

load() { # CALLERS: each adds 1 until it is killed, and notes each answer
	for ((i = 0; i < $1; i++)); do
		background bash -c 'while n=$("$0" call svc "add 1"); do echo "$n"; done' "$HEIR"
	done
}

counted() { call svc get; }
has_grown() { [ "$(counted)" -ge "$1" ]; }

checks_meanwhile() { # COUNT
	local found
	for ((j = 0; j < $1; j++)); do
		found=$(check '.damage, .findings') || fail "fsck: $found"
		expect 'damage under load' "${found%%$'\n'*}" 0 || note "$found"
	done
}

# Again until there is none: a caller's shell may just have started another one.
all_are_killed() {
	local pids
	pids=$(marked_pids)
	# shellcheck disable=SC2086
	[ -z "$pids" ] || { kill -KILL $pids 2>/dev/null || true; false; }
}
kill_all() { until_true 'all are killed' all_are_killed; }

copy_of() { # SEGMENT COPY: with its state
	cp --preserve=mode "$1" "$2"
	cp --preserve=mode "$1.svc" "$2.svc"
}

story_a_domain_at_work_is_clean() {
	service
	load 3
	until_true 'there is load' has_grown 20
	checks_meanwhile 20
	for node in b a b; do
		heir takeover svc "$node" > /dev/null
		checks_meanwhile 5
		wait_protected svc
	done
	kill_owner svc
	checks_meanwhile 10
	wait_protected svc
	until_true 'there is still load' has_grown $(($(counted) + 20))
	expect_exit 0 fsck
	expect_match 'the summary' "$OUT" "*$DOMAIN: clean*alive"
}

story_all_killed_is_checked_and_goes_on() {
	local segment=/dev/shm/heir.$UID.$DOMAIN before
	service
	expect 'add' "$(call svc 'add 5')" 5
	load 2
	until_true 'there is load' has_grown 20
	kill_all
	before=$(cat "$segment" "$segment.svc" | sha256sum)
	expect_exit 0 fsck
	expect_match 'the owner' "$OUT" '*leftover  application 0: its owner *'
	expect_match 'the dead' "$OUT" '*leftover  process *: it is dead and not buried*'
	expect_match 'the summary' "$OUT" "*$DOMAIN: clean, * of the dead; nobody is alive"
	expect 'processes, and damage' "$(check '"\(.processes) \(.damage)"')" '0 0'
	expect 'the segment and the state' "$(cat "$segment" "$segment.svc" | sha256sum)" "$before"
	: > "$DIR/up.log"
	up
	wait_protected svc
	[ "$(counted)" -ge 20 ] || fail 'what was counted is lost'
	until_true 'nothing is left over' leftovers_are 0
	expect_exit 0 fsck
}
leftovers_are() { [ "$(check '"\(.damage) \(.leftovers)"')" = "0 $1" ]; }

story_damaged_copies_are_found_out() {
	local segment=/dev/shm/heir.$UID.$DOMAIN copy=/dev/shm/heir.$UID.$DOMAIN-copy
	service
	expect 'add' "$(call svc 'add 5')" 5
	kill_all
	copy_of "$segment" "$copy"
	expect_exit 0 fsck -d "$DOMAIN-copy"

	head -c 16384 /dev/zero | tr '\0' y | dd of="$copy" bs=4096 seek=16 conv=notrunc status=none
	expect_exit 1 fsck -d "$DOMAIN-copy"
	expect_match 'damage' "$OUT" '*damage    mailbox *'
	expect_match 'the summary' "$OUT" "*$DOMAIN-copy: damaged: *"
	expect_exit 1 "$HEIR" up -d "$DOMAIN-copy"
	expect_match 'why it is not adopted' "$OUT" "*domain $DOMAIN-copy: mailbox *fsck -d $DOMAIN-copy*heir up -d $DOMAIN-copy --discard*"
	expect_exit 1 fsck --json -d "$DOMAIN-copy"

	copy_of "$segment" "$copy"
	printf x | dd of="$copy.svc" conv=notrunc status=none
	expect_exit 1 fsck -d "$DOMAIN-copy"
	expect_match 'the state' "$OUT" '*damage    application 0: the head of its state file *'
	rm "$copy.svc"
	expect_exit 1 fsck -d "$DOMAIN-copy"
	expect_match 'no state' "$OUT" '*damage    application 0: its state file is missing*'
}

story_the_gate_says_why() {
	local copy=/dev/shm/heir.$UID.$DOMAIN-copy
	expect_exit 7 fsck -d "$DOMAIN-copy"
	service
	copy_of "/dev/shm/heir.$UID.$DOMAIN" "$copy"
	chmod 0644 "$copy"
	expect_exit 4 fsck -d "$DOMAIN-copy"
	expect_match 'its mode' "$OUT" '*refused: the file has mode 0644; *'
	chmod 0600 "$copy"
	truncate -s +4096 "$copy"
	expect_exit 1 fsck -d "$DOMAIN-copy"
	expect_match 'its size' "$OUT" '*refused: damaged: the file has * bytes, its head says *'
	printf x | dd of="$copy" conv=notrunc status=none
	expect_exit 4 fsck -d "$DOMAIN-copy"
	expect_match 'its magic' "$OUT" '*refused: not a segment of heir: *'
	rm "$copy"
	mkfifo -m 0600 "$copy"
	expect_exit 4 fsck -d "$DOMAIN-copy"
	expect_match 'a FIFO' "$OUT" '*refused: not a regular file*'
	heir down > /dev/null
	expect_exit 7 fsck
	rm "$copy" "$copy.svc"
	expect_nothing_left
}

run_stories "$@"
