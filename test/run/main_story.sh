#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# The main job, as the README tells it: a service with clients is taken over and failed over. Invariants 1, 5
# and 6.
. "$(dirname "$0")/story.sh"

kv() {
	PORT=$(free_port)
	config <<-END
		limits: {names: 256, processes: 64}
		applications:
		  kv:
		    standby: hot
		    failovers: {intensity: 100, period: 60s}
		    listen: {resp: "127.0.0.1:$PORT"}
		    supervisor:
		      children:
		        - {id: server, exec: [heir-kv], names: [kv], state: 1MiB}
	END
	up
}

story_values_outlive_a_takeover_and_a_kill() {
	kv
	expect 'the owner' "$(app_node kv)" a
	expect 'set' "$(redis set greeting hello)" OK
	expect 'takeover' "$(heir takeover --json kv b | jq -r '"\(.kind) \(.from) \(.to) \(.result)"')" 'takeover a b done'
	expect 'the owner after it' "$(app_node kv)" b
	expect 'get after the takeover' "$(redis get greeting)" hello
	expect 'set after the takeover' "$(redis set greeting again)" OK
	wait_protected kv
	local victim
	victim=$(owner kv)
	kill -KILL "$victim"
	expect 'get at once after the kill' "$(redis get greeting)" again
	expect 'the owner after the kill' "$(app_node kv)" a
	expect 'the kind of the last move' "$(last_move kv '"\(.kind) \(.from) \(.to) \(.result)"')" 'failover b a done'
	expect 'its first steps' "$(last_move kv '.steps[0:2] | map(.name) | join(" ")')" 'notice claim'
	wait_protected kv
	expect_not 'the pid' "$(owner kv)" "$victim"
	heir down > /dev/null
	ends "$UP"
	wait "$UP" || fail "heir up ended with status $?"
	expect_nothing_left
}

story_commands_by_mail_are_the_same() {
	kv
	expect 'set by mail' "$(call kv 'SET a 1')" OK
	expect 'get by TCP' "$(redis get a)" 1
	heir takeover kv b > /dev/null
	expect 'get by mail' "$(call kv 'GET a')" 1
	expect 'get from the instance that has it' "$(call kv@b 'GET a')" 1
}

story_a_benchmark_completes() {
	kv
	background redis-benchmark -p "$PORT" -t set,get,incr -n 100000 -c 50 -P 16 -q
	finished "$JOB" || fail "redis-benchmark: $OUT"
	expect_match 'its output' "$OUT" '*SET:*GET:*INCR:*'
	[[ $OUT != *rror* ]] || fail "redis-benchmark: $OUT"
	expect 'the counter' "$(redis get counter:__rand_int__)" 100000
}

story_json_has_its_fields() {
	kv
	local instance='[.instances[] | "\(.node) \(.state) \(.permitted)"] | join(", ")' pid
	wait_protected kv
	pid=$(owner kv)
	expect 'domain' "$(status .domain)" "$DOMAIN"
	expect 'nodes' "$(status '[.nodes[] | "\(.name) \(.state)"] | join(", ")')" 'a up, b up'
	expect 'application' "$(app kv '"\(.state) \(.node) \(.start_type) \(.protected)"')" 'running a normal true'
	expect 'instances' "$(app kv "$instance")" 'a running true, b standby true'
	expect 'children' "$(app kv '.children[0] | "\(.id) \(.state) \(.restarts) \(.children | length)"')" 'server running 0 0'
	expect 'whereis' "$(whereis kv '"\(.name) \(.node) \(.pid) \(.application) \(.state)"')" "kv a $pid kv live"
	expect 'names' "$(heir names --json | jq -r 'map(.name) | join(" ")')" kv
	local move
	move=$(heir takeover --json kv b)
	expect 'steps of a takeover' "$(jq -r '.steps | map(.name) | join(" ")' <<< "$move")" 'start switch takeover go'
	expect 'its times are ordered' "$(jq '.total_us > 0 and (.steps | map(.start_us) | sort == .)' <<< "$move")" true
	expect_match 'its time' "$(jq -r .at <<< "$move")" '20??-??-??T??:??:??.*Z'
	wait_protected kv
	expect 'stop_old is reported apart' "$(last_move kv '.steps[-1].name')" stop_old
	expect 'status of a person' "$(heir status | head -n 1)" "domain $DOMAIN"
	expect_exit 0 heir status kv
	expect_exit 0 heir whereis kv
	expect_exit 4 heir whereis kb
	expect_match 'the nearest name' "$OUT" '*kv*'
}

story_up_detached_then_down() {
	PORT=$(free_port)
	config <<-END
		applications:
		  kv:
		    standby: hot
		    listen: {resp: "127.0.0.1:$PORT"}
		    supervisor: {children: [{id: server, exec: [heir-kv], names: [kv], state: 1MiB}]}
	END
	export XDG_RUNTIME_DIR=$DIR
	marked timeout 20 "$HEIR" up --detach -f "$DIR/heir.yaml" < /dev/null 2> "$DIR/up.log" || fail "up --detach: status $?"
	expect 'ping' "$(redis ping)" PONG
	heir down > /dev/null
	expect_nothing_left
}

story_an_interrupt_stops_everything() {
	kv
	kill -INT "$UP"
	ends "$UP"
	wait "$UP" || fail "heir up ended with status $?"
	expect_nothing_left
	expect_exit 7 heir takeover kv b
}

run_stories "$@"
