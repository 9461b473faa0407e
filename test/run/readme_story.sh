#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# What the README shows is so: its service in C compiles, runs, is taken over and survives a kill, as it says.
. "$(dirname "$0")/story.sh"

README=$(dirname "$0")/../../README.md

block() { awk -v kind="$1" '$0 == "```" kind { on = 1; next } $0 == "```" { on = 0 } on' "$README"; }

story_the_service_of_the_readme() {
	block c > "$DIR/counter.c"
	[ -s "$DIR/counter.c" ] || fail 'the README has no C program'
	within cc -std=c11 -Wall -Wextra -Werror -I"$(dirname "$0")/../../include" -o "$DIR/counter" "$DIR/counter.c" \
		-L"$(dirname "$HEIR")" -lheir -Wl,-rpath,"$(dirname "$HEIR")"
	block yaml | sed "s/^domain: .*/domain: $DOMAIN/" > "$DIR/heir.yaml"
	cd "$DIR"
	up
	wait_protected counter
	expect 'the first count' "$(call counter add)" '1 on a'
	heir takeover counter b > /dev/null
	expect 'the second count' "$(call counter add)" '2 on b'
	wait_protected counter
	kill -KILL "$(owner counter)"
	expect 'the third count' "$(call counter add)" '3 on a'
}

run_stories "$@"
