#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# A changed file is put into force while the domain runs: what takes effect and when, what is refused, and that nothing
# but the configuration changes. Invariants 2, 6 and 10.
. "$(dirname "$0")/story.sh"

edit() { sed -i "$@" "$DIR/heir.yaml"; }
reload() { heir reload -f "$DIR/heir.yaml" "$@"; }
changes() { heir reload -f "$DIR/heir.yaml" --json | jq -r "$1"; }
count_of() { grep -c -- "$1" "$DIR/up.log" || true; }
follows() { [ "$(count_of 'goes by the configuration')" -ge "$1" ]; }
environment() { tr '\0' '\n' < "/proc/$1/environ"; }
arguments() { tr '\0' ' ' < "/proc/$1/cmdline"; }

counted() { [ "$(call svc get)" -ge "$1" ]; }

story_everything_at_once_under_load() {
	local before caller
	service
	background "$STORY_WORKER" caller svc
	caller=$JOB
	until_true 'calls are made' counted 100
	before="$(owner svc) $(leader a) $(leader b)"
	edit -e 's/step_timeout: 10s/step_timeout: 9s/' -e 's/intensity: 100,/intensity: 90,/' \
		-e 's/svc: {/svc: {env: {RELOADED: "yes"}, /' -e 's/exec: \[story_worker/&, --name, svc/'
	expect 'what changes' "$(changes '"\(.ok) \(.changed) \([.changes[].key | split(".") | last] | join(" "))"')" \
		'true true step_timeout intensity env exec'
	until_true 'both leaders go by it' follows 2
	expect 'the processes' "$(owner svc) $(leader a) $(leader b)" "$before"
	expect 'again' "$(reload)" "domain $DOMAIN: this configuration is in force already"
	kill_owner svc
	wait_protected svc
	heir takeover svc a > /dev/null
	until_true 'calls are made behind that' counted "$(($(call svc get) + 100))"
	kill -TERM "$caller"
	finished "$caller" || fail "caller: $OUT"
	expect_match 'the caller' "$OUT" '*unknown=0 failed=0 odd=0 *'
	expect 'the counter' "$(call svc get)" "$(sed 's/.*answered=\([0-9]*\) .*/\1/' <<< "$OUT")"
	expect 'the new environment' "$(environment "$(owner svc)" | grep RELOADED)" 'RELOADED=yes'
	expect_match 'the new arguments' "$(arguments "$(owner svc)")" '* --name svc '
	wait_protected svc
}

# The target's own time is looked up when its move begins: nobody is started for it.
story_a_step_timeout_counts_from_the_next_move() {
	service
	edit 's/step_timeout: 10s/step_timeout: 300ms/'
	reload > /dev/null
	at start.b once hang
	expect_exit 1 heir takeover --timeout 8s svc b
	expect 'the owner' "$(app_node svc)" a
}

story_failovers_are_counted_by_the_new_number() {
	service
	edit 's/failovers: {intensity: 100/failovers: {intensity: 1/'
	reload > /dev/null
	kill_owner svc
	wait_protected svc
	kill -KILL "$(owner svc)"
	wait_state svc failed
}

# A supervisor has another intensity, and counts what was before: none fits into 0, two into 2.
story_supervisors_go_by_the_new_intensity() {
	service '' 'state: 4KiB, on_death: restart'
	kill_owner svc
	wait_protected svc
	expect 'restarts in place' "$(last_move svc .kind) on $(app_node svc)" 'local on a'
	edit 's/{intensity: 50, period/{intensity: 2, strategy: one_for_all, period/'
	reload > /dev/null
	until_true 'both leaders go by it' follows 2
	kill_owner svc
	wait_protected svc
	expect 'restarts in place again' "$(last_move svc .kind) on $(app_node svc)" 'local on a'
	kill -KILL "$(owner svc)"
	wait_on svc b
	expect 'then gives up' "$(count_of 'its supervisor gives up on node a')" 1
	edit 's/{intensity: 2, /{intensity: 0, /'
	reload > /dev/null
	until_true 'both leaders go by it' follows 4
	heir start svc > /dev/null
	kill -KILL "$(owner svc)"
	until_true 'gives up at once' gave_up_on b
}
gave_up_on() { is_said "its supervisor gives up on node $1"; }

# Standbys decide by what the segment says: with both leaders stopped.
story_leaders_are_stopped_meanwhile() {
	local a b
	service '' 'state: 4KiB, on_death: restart'
	a=$(leader a) b=$(leader b)
	stop "$a"
	stop "$b"
	edit 's/on_death: restart/on_death: failover/'
	expect_match 'reload' "$(reload)" '*on_death: failover, was restart*1 change in force'
	kill -KILL "$(owner svc)"
	wait_on svc b
	expect 'the record' "$(last_move svc '"\(.kind) \(.to) \(.result)"')" 'failover b done'
	resume "$a"
	resume "$b"
	until_true 'both leaders go by it' follows 2
	wait_protected svc
}

# A standby that waits for ever looks again.
story_a_failover_timeout_ends() {
	local a b old
	config <<-END
		applications:
		  first: {supervisor: {children: [{id: s, exec: [story_worker, --name, first], names: [first]}]}}
		  svc: {failover_timeout: infinity, standby: hot, supervisor: {children: [
		    {id: server, exec: [story_worker], names: [svc], state: 4KiB}]}}
	END
	up
	wait_protected svc
	kill -KILL "$UP" # so that nobody starts the node again
	ends "$UP"
	a=$(leader a) old=$(owner svc)
	kill -KILL "$a"
	ends "$old"
	wait_on first b
	expect 'svc waits for node a' "$(moves svc '[.[] | select(.to == "b")] | length')" 0
	b=$(leader b)
	stop "$b" # so that nobody but the standby does it
	edit 's/failover_timeout: infinity/failover_timeout: 0s/'
	reload > /dev/null
	wait_on svc b
	resume "$b"
}

story_by_signal() {
	local node
	service
	edit 's/step_timeout: 10s/step_timeout: 9s/'
	kill -HUP "$UP"
	until_true 'it says what changes' is_said 'applications.svc.step_timeout: 9s, was 10s'
	until_true 'both leaders go by it' follows 2
	kill -HUP "$(leader a)"
	until_true 'a leader without a file says so' is_said 'was started without a file'
	heir down b > /dev/null
	exec_marked "$HEIR" node -f "$DIR/heir.yaml" b >> "$DIR/up.log" 2>&1 3>&- &
	node=$!
	wait_protected svc
	edit 's/step_timeout: 9s/step_timeout: 8s/'
	kill -HUP "$node"
	until_true 'it says what changes' is_said 'applications.svc.step_timeout: 8s, was 9s'
	edit 's/nodes: \[a, b\]/nodes: [a, b, c]/'
	kill -HUP "$UP"
	until_true 'it refuses' is_said 'nothing was changed'
	echo 'nodes: {' > "$DIR/heir.yaml"
	kill -HUP "$UP"
	until_true 'it stays' is_said 'the configuration in force stays'
	expect 'add' "$(call svc 'add 1')" 1
}

story_what_cannot_change_is_refused_as_a_whole() {
	local before
	service
	before=$(cat heir.yaml)
	edit -e 's/names: 64/names: 128/' -e 's/state: 4KiB/state: 8KiB/' -e 's/step_timeout: 10s/step_timeout: 9s/' \
		-e 's/names: \[svc\]/names: [svc, other]/'
	expect_exit 1 heir reload -f heir.yaml
	for key in limits.names applications.svc.supervisor.children.server.state \
		applications.svc.supervisor.children.server.names; do
		[[ $OUT == *"$key: "*' while the domain runs'* ]] || fail "$key is not named: $OUT"
	done
	expect_match 'the way out' "$OUT" "*nothing was changed: \`heir down -d $DOMAIN\`*"
	expect_exit 1 heir reload -f heir.yaml --json
	expect 'as JSON' "$(jq -r '"\(.ok) \(.changed) \([.changes[] | select(.reloads)] | length)"' <<< "$OUT")" 'false false 1'
	expect_exit 1 heir node -f heir.yaml b
	expect_match 'a joiner is told' "$OUT" "*another configuration in force: \`heir reload*"
	printf '%s\n' "$before" > heir.yaml
	expect 'nothing was changed' "$(reload)" "domain $DOMAIN: this configuration is in force already"
	expect 'no leader was bothered' "$(count_of 'goes by')" 0
}

story_a_wrong_file_leaves_all_as_it_was() {
	service
	cp heir.yaml good.yaml
	edit -e 's/step_timeout: 10s/step_timeout: 9/' -e 's/exec: \[story_worker/exec: [no_such_program/'
	expect_exit 6 heir reload -f heir.yaml
	expect_match 'what is wrong' "$OUT" '*heir.yaml:*error*'
	expect_exit 6 heir reload -f heir.yaml --json
	expect 'as JSON' "$(jq -r .ok <<< "$OUT")" false
	expect_exit 6 heir reload -f no_such_file.yaml
	expect 'nothing was changed' "$(heir reload -f good.yaml --json | jq .changed)" false
	expect 'add' "$(call svc 'add 1')" 1
	heir down > /dev/null
	expect_exit 7 heir reload -f good.yaml
}

# Killed wherever it is by then: all of the one or all of the other, and the next one goes through.
story_killed_half_way_and_repeated() {
	local n
	service
	for n in {1..40}; do
		edit "s/step_timeout: [0-9]*s/step_timeout: ${n}s/"
		background "$HEIR" reload -f heir.yaml
		until [ "$n" -le 0 ] || is_gone "$JOB"; do n=$((n - 1)); done
		kill -KILL "$JOB" 2> /dev/null || true
		ends "$JOB"
		reload > /dev/null
		expect 'it is in force' "$(reload)" "domain $DOMAIN: this configuration is in force already"
	done
	heir takeover svc b > /dev/null
	expect 'add' "$(call svc 'add 1')" 1
	wait_protected svc
}

# Several at once: each is done, or told of the one that is at it.
story_several_at_once() {
	local n jobs=() done=0
	service
	for n in {1..8}; do
		sed "s/step_timeout: 10s/step_timeout: ${n}s/" heir.yaml > "$n.yaml"
		background "$HEIR" reload -f "$n.yaml"
		jobs+=("$JOB")
	done
	for n in "${jobs[@]}"; do
		if finished "$n"; then
			done=$((done + 1))
		else
			expect_match 'a refusal' "$OUT" '*process * at a reload *'
		fi
	done
	[ $done -ge 1 ] || fail 'none was done'
	expect 'what is in force is one of them' "$(changes '[.changes[].key] | join(" ")')" 'applications.svc.step_timeout'
	expect 'and gone' "$(changes .changed)" false
}

run_stories "$@"
