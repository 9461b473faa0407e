#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# nth_story.sh moves|nodes|reload: the stories in which calls fail. They judge nothing: each step's exit status and output are
# left in $DIR/step.NAME, and nth.c judges.
# Needs HEIR, DIR, DOMAIN, PORT in the environment. Says "ready" when the first part is over, reads a line, goes on.

step() { # NAME COMMAND...
	local name=$1 status=0
	shift
	timeout --foreground -s KILL 20 "$@" > "$DIR/step.$name" 2>&1 || status=$?
	printf '%s %s\n' "$name" "$status" >> "$DIR/steps"
	return $status
}

# The pid that a JSON document on standard input has first, killed.
kill_first() {
	local pid
	pid=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' | head -n 1)
	[ "${pid:-0}" -gt 1 ] && kill -9 "$pid"
}

# HUP to the `heir up` that has started the process on standard input.
hang_up_parent() {
	local pid parent
	pid=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' | head -n 1)
	parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/${pid:-0}/status" 2> /dev/null)
	grep -qzx up "/proc/${parent:-0}/cmdline" 2> /dev/null && kill -HUP "$parent"
}

client() { # one request over TCP
	local reply
	exec 7<> "/dev/tcp/127.0.0.1/$PORT" && printf 'INCR visits\r\n' >&7 && read -r -t 5 reply <&7
	exec 7>&-
} 2> /dev/null

moves() {
	step call "$HEIR" call -d "$DOMAIN" kv 'INCR visits'
	step takeover "$HEIR" takeover -d "$DOMAIN" kv b
	step protected "$HEIR" wait -d "$DOMAIN" --protected --timeout 5s kv
	"$HEIR" whereis -d "$DOMAIN" --json kv 2> /dev/null | kill_first
	step again "$HEIR" wait -d "$DOMAIN" --protected --timeout 5s kv
}

nodes() {
	client
	step down_b "$HEIR" down -d "$DOMAIN" b
	"$HEIR" node -d "$DOMAIN" b > "$DIR/node.log" 2>&1 &
	step protected "$HEIR" wait -d "$DOMAIN" --protected --timeout 5s kv
	step stop "$HEIR" stop -d "$DOMAIN" --timeout 10s kv
	step start "$HEIR" start -d "$DOMAIN" --timeout 10s kv
	"$HEIR" status -d "$DOMAIN" --json 2> /dev/null | tr '{' '\n' | grep '"name":"a"' | kill_first
	step again "$HEIR" wait -d "$DOMAIN" --protected --timeout 5s kv
	client
	step steps "$HEIR" steps -d "$DOMAIN" --all
	step names "$HEIR" names -d "$DOMAIN"
}

# The first two change all that the third one changes again: whichever of them failed, the third has something to do.
reload() {
	sed 's/standby: hot/&\n    step_timeout: 3s\n    env: {A: "1"}/' "$DIR/heir.yaml" > "$DIR/second.yaml"
	sed 's/standby: hot/&\n    step_timeout: 4s/; s/intensity: 20/intensity: 30/' "$DIR/heir.yaml" > "$DIR/third.yaml"
	sed 's/128KiB/256KiB/' "$DIR/heir.yaml" > "$DIR/refused.yaml"
	step reload "$HEIR" reload -d "$DOMAIN" -f "$DIR/second.yaml"
	step refused "$HEIR" reload -d "$DOMAIN" -f "$DIR/refused.yaml"
	cp "$DIR/third.yaml" "$DIR/heir.yaml"
	"$HEIR" status -d "$DOMAIN" --json 2> /dev/null | tr '{' '\n' | grep '"name":"a"' | hang_up_parent
	step third "$HEIR" reload -d "$DOMAIN" -f "$DIR/third.yaml" --json
	step protected "$HEIR" wait -d "$DOMAIN" --protected --timeout 5s kv
}

step up "$HEIR" up -f "$DIR/heir.yaml" --detach && "$1"
echo ready
read -r _
step down "$HEIR" down -d "$DOMAIN" --timeout 15s
exit 0
