#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Bad input: a configuration, arguments, a segment, a port, a full /dev/shm; each with a clear error, and
# nothing is lost or left. Invariants 11 and 12.
. "$(dirname "$0")/story.sh"

# Both `heir check` and `heir up` refuse what comes from standard input after the first two lines, and say
# where.
refused() { # WHAT LINE:COLUMN TEXT
	local verb
	config
	for verb in 'check heir.yaml' 'up -f heir.yaml'; do
		# shellcheck disable=SC2086
		expect_exit 6 heir $verb
		expect_match "$1, $verb" "$OUT" "*heir.yaml:$2: error: *$3*"
	done
	expect "$1 leaves" "$(segments)" ''
}

story_a_configuration_that_is_wrong() {
	local server='{id: s, exec: [story_worker]}'
	refused 'an unknown key' 3:1 "did you mean 'applications'" <<-END
		aplications: {}
	END
	refused 'an unknown key of a child' 3:74 "did you mean 'exec'" <<-END
		applications: {svc: {supervisor: {children: [{id: s, restart: permanent, exce: [story_worker]}]}}}
	END
	refused 'a time without its unit' 3:36 unit <<-END
		applications: {svc: {step_timeout: 250, supervisor: {children: [$server]}}}
	END
	refused 'a size without its unit' 3:83 unit <<-END
		applications: {svc: {supervisor: {children: [{id: s, exec: [story_worker], state: 4096}]}}}
	END
	refused 'an unknown node' 3:30 "unknown node 'bb'" <<-END
		applications: {svc: {nodes: [bb], supervisor: {children: [$server]}}}
	END
	refused 'a cycle' '*:*' log <<-END
		applications:
		  svc: {applications: [log], supervisor: {children: [$server]}}
		  log: {applications: [svc], supervisor: {children: [$server]}}
	END
	refused 'no switch' '3:*' switch <<-END
		applications: {svc: {start_phases: [start, go], supervisor: {children: [$server]}}}
	END
	refused 'two switches' '3:*' switch <<-END
		applications: {svc: {start_phases: [start, switch, go, switch], supervisor: {children: [$server]}}}
	END
	refused 'a duplicate id' '3:*' "'s'" <<-END
		applications: {svc: {supervisor: {children: [$server, $server]}}}
	END
	refused 'a duplicate name' '3:*' "'n'" <<-END
		applications: {svc: {supervisor: {children: [{id: s, exec: [story_worker], names: [n, n]}]}}}
	END
	refused 'not YAML' '*:*' '' <<-END
		applications: {svc: [
	END
	refused 'several, all at once' '*:*' unit <<-END
		aplications: {}
		applications: {svc: {step_timeout: 250, supervisor: {children: [$server]}}}
	END
	expect_match 'the first of several' "$OUT" "*heir.yaml:3:1: error: *heir.yaml:4:36: error: *"
}

story_a_program_that_cannot_be_executed() {
	touch unfit
	config <<-END
		applications: {svc: {supervisor: {children: [{id: s, exec: [no_such_program]}, {id: t, exec: ["$DIR/unfit"]}]}}}
	END
	expect_exit 6 heir check heir.yaml
	expect_match 'not found' "$OUT" '*heir.yaml:3:*no_such_program*'
	expect_match 'not executable' "$OUT" '*heir.yaml:3:*unfit*'
	expect_exit 6 heir up -f heir.yaml
	expect 'left' "$(segments)" ''
}

story_a_file_that_is_not_there() {
	expect_exit 6 heir check missing.yaml
	expect_match 'the message' "$OUT" '*missing.yaml*No such file*'
	heir up -f missing.yaml > out 2>&1 && fail 'up takes a file that is not there'
	expect_match 'the message of up' "$(cat out)" '*missing.yaml*No such file*'
	mkdir folder
	expect_exit 6 heir check folder
}

story_arguments_that_are_wrong() {
	service
	expect_exit 2 heir takover svc b
	expect_match 'the nearest verb' "$OUT" '*takeover*'
	expect_exit 2 heir
	expect_exit 2 heir takeover svc
	expect_exit 2 heir takeover --overlap --exclusive svc b
	expect_exit 2 heir status --jsn
	expect_exit 2 heir wait svc --timeout 5
	expect_match 'a time without its unit' "$OUT" '*unit*'
	expect_exit 1 heir takeover svd b
	expect_match 'the nearest application' "$OUT" '*did you mean `svc`*'
	expect_exit 1 heir down bb
	expect_match 'the nearest node' "$OUT" '*did you mean `b`*'
	expect_exit 1 heir takeover svc a
	expect_match 'already' "$OUT" '*on node `a` already*'
	expect_exit 4 heir whereis svk
	expect_match 'the nearest name' "$OUT" '*did you mean `svc`*'
	expect_exit 4 heir status svk
	expect_exit 7 heir takeover -d nowhere svc b
	expect_exit 4 heir status -d nowhere
	expect_exit 4 heir whereis -d nowhere svc
	expect_exit 7 heir down -d nowhere
	expect_exit 7 heir call -d nowhere svc get
	expect_exit 124 heir wait svc --node b --timeout 100ms
	expect 'the service runs' "$(call svc 'add 1')" 1
}

# A domain that runs is not replaced, neither by the same nor by another configuration.
story_a_second_domain_of_the_same_name() {
	service
	local first=$UP
	config <<-END
		applications: {other: {supervisor: {children: [{id: s, exec: [story_worker]}]}}}
	END
	expect_exit 1 heir up -f heir.yaml
	expect_match 'the message' "$OUT" '*another configuration*heir reload*'
	expect 'the service runs' "$(call svc 'add 1')" 1
	kill -0 "$first" || fail 'the first up has ended'
}

story_a_port_that_is_taken() {
	PORT=$(free_port)
	background redis-server --port "$PORT" --bind 127.0.0.1 --save '' --appendonly no
	until_true 'somebody listens' listens
	config <<-END
		applications:
		  kv: {standby: hot, listen: {resp: "127.0.0.1:$PORT"}, supervisor: {children: [
		    {id: server, exec: [heir-kv], names: [kv], state: 1MiB}]}}
	END
	expect_exit 1 heir up -f heir.yaml
	expect_match 'the message' "$OUT" "*127.0.0.1:$PORT is taken*"
	expect 'left' "$(segments)" ''
	expect 'the other service' "$(redis ping)" PONG
}
listens() { [ "$(redis ping 2> /dev/null)" = PONG ]; }

# --- segments -------------------------------------------------------------------------------------

# Every verb says that it is bad and what to do, within its time.
expect_bad_segment() { # WHAT
	local path=/dev/shm/heir.$UID.$DOMAIN
	expect_exit 4 heir status
	expect_match "$1, status" "$OUT" 'heir: *'
	expect_exit 4 heir whereis svc
	heir takeover svc b > out 2>&1 && fail "$1: takeover succeeds"
	expect_match "$1, takeover" "$(cat out)" 'heir: *'
	heir up -f heir.yaml > out 2>&1 && fail "$1: up succeeds"
	expect_match "$1, up" "$(cat out)" '*--discard*'
	[ -e "$path" ] || fail "$1: the segment was removed"
}

story_a_segment_that_is_damaged() {
	service
	local path=/dev/shm/heir.$UID.$DOMAIN size
	heir down --keep > /dev/null
	ends "$UP"
	cp "$path" whole
	size=$(stat -c %s whole)
	truncate -s $((size / 2)) "$path"
	expect_bad_segment 'truncated'
	truncate -s 0 "$path"
	expect_bad_segment 'empty'
	truncate -s $((size + 4096)) "$path"
	expect_bad_segment 'too long'
	head -c "$size" /dev/urandom > "$path"
	expect_bad_segment 'garbage'
	head -c "$size" /dev/zero > "$path"
	expect_bad_segment 'zeroes'
	local at
	for at in 0 8 16 24 32; do # magic, version, signature, sizes
		cp whole "$path"
		printf '\377\377\377\377' | dd of="$path" bs=1 seek=$at conv=notrunc status=none
		heir status > out 2>&1 && fail "byte $at: status succeeds"
		expect_match "byte $at" "$(cat out)" '*heir: *'
	done
	cp whole "$path"
	: > "$DIR/up.log"
	up
	expect 'the service runs' "$(call svc 'add 1')" 1
}

story_a_damaged_segment_is_discarded() {
	service
	heir down --keep > /dev/null
	ends "$UP"
	head -c 4096 /dev/urandom > "/dev/shm/heir.$UID.$DOMAIN"
	: > "$DIR/up.log"
	up --discard
	expect 'the service runs' "$(call svc 'add 1')" 1
}

# Bytes in the middle that contradict themselves: a clean error or a right answer, never a crash or a loop.
story_a_segment_with_wrong_bytes_inside() {
	service
	local path=/dev/shm/heir.$UID.$DOMAIN size n at status
	heir down --keep > /dev/null
	ends "$UP"
	cp "$path" whole
	size=$(stat -c %s whole)
	for n in {1..60}; do
		cp whole "$path"
		at=$(((RANDOM * 32768 + RANDOM) % (n % 2 ? 8192 : size)))
		head -c 64 /dev/urandom | dd of="$path" bs=1 seek=$at conv=notrunc status=none
		for verb in status names 'whereis svc' 'steps'; do
			status=0
			# shellcheck disable=SC2086
			timeout 5 "$HEIR" $verb > out 2>&1 || status=$?
			[ $status -le 7 ] || fail "byte $at of $size: \`heir $verb\` ends with $status: $(cat out)"
		done
	done
}

story_another_users_domain() {
	service
	[ "$UID" = 0 ] && command -v setpriv > /dev/null || { note 'skipped: needs root'; return; }
	cp "$HEIR" heir
	chmod 755 . heir
	expect_exit 4 env HEIR_DOMAIN="$DOMAIN" setpriv --reuid 65534 --clear-groups "$DIR/heir" status
	chmod 666 "/dev/shm/heir.0.$DOMAIN"
	expect_exit 4 heir status
	chmod 600 "/dev/shm/heir.0.$DOMAIN"
	chown 65534 "/dev/shm/heir.0.$DOMAIN"
	expect_exit 4 heir whereis svc
	chown 0 "/dev/shm/heir.0.$DOMAIN"
	expect 'the service runs' "$(call svc 'add 1')" 1
}

# In a mount namespace whose /dev/shm has room for nothing: refused at creation, and nothing of it remains.
story_a_full_shared_memory() {
	unshare -m true 2> /dev/null || { note 'skipped: needs a mount namespace of its own'; return; }
	config <<-END
		applications: {svc: {supervisor: {children: [
		  {id: s, exec: [story_worker], names: [svc], state: 64MiB}]}}}
	END
	local size
	for size in 1m 40m; do
		expect_exit 1 within unshare -m bash -c "mount -t tmpfs -o size=$size none /dev/shm &&
			! '$HEIR' up -f heir.yaml 2> message && ls -A /dev/shm > left; exit 1"
		expect_match "the message, $size" "$(cat message)" '*does not fit into /dev/shm*'
		expect "left, $size" "$(cat left)" ''
	done
}

story_limits_of_processes() {
	service
	local n jobs=() refused=0
	stop "$(owner svc)"
	for n in {1..64}; do
		"$HEIR" call --timeout 20s svc 'add 1' > "out.$n" 2>&1 &
		jobs+=($!)
	done
	until_true 'one is refused' one_is_refused
	resume "$(owner svc)"
	for n in "${jobs[@]}"; do
		wait "$n" || refused=$((refused + 1))
	done
	[ $refused -gt 0 ] || fail 'none was refused'
	expect 'what was accepted' "$(call svc get)" $((64 - refused))
}
one_is_refused() { grep -qs limit out.*; }

run_stories "$@"
