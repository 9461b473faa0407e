#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# heir-bench measures what it says, in the form that it says, and leaves nothing behind. No time is a bound here.
STORY_LIMIT=${STORY_LIMIT:-400}
. "$(dirname "$0")/../run/story.sh"

FAMILIES='limits planned failover names mail state restart path footprint'

segments() { compgen -G "/dev/shm/heir.$UID.*" | grep -E "^/dev/shm/heir.$UID.($DOMAIN|bench-${BENCH:-none}-)" || true; }

# In the background, so that its domains can be told from those of others; its output is $DIR/job.$BENCH.
bench() { # STATUS ARGUMENT...
	local status=0 wanted=$1
	shift
	PATIENCE=360
	background "$HEIR_BENCH" --heir "$HEIR" "$@"
	BENCH=$JOB
	finished "$BENCH" || status=$?
	expect "the exit status of heir-bench $*: $OUT" "$status" "$wanted"
	expect_nothing_left
}

holds() { # WHAT JQ-EXPRESSION FILE
	local found
	found=$(jq -c "$2" "$3") || fail "$1: jq failed"
	expect "$1" "$found" true
}

story_quick_measures_everything_as_json() {
	local family page count
	mkdir "$DIR/results"
	bench 0 --quick --json --out "$DIR/results/all.json"
	cmp "$DIR/job.$BENCH" "$DIR/results/all.json" || fail '--json and --out differ'
	cd "$DIR/results"
	holds 'the head' '.program == "heir-bench" and .failed == false and .run.quick and (.version | length > 0)' all.json
	holds 'the machine' '.machine | .cores > 0 and ([.line, .processor, .kernel, .idle, .virtual] | all(length > 0))' all.json
	for family in $FAMILIES; do
		holds "rows of $family" "[.rows[] | select(.family == \"$family\" and (.left_out == null or .family == \"path\"))]
			| length > 1 or (length == 1 and .[0].left_out != null)" all.json
	done
	holds 'every row' '[.rows[] | .left_out != null or .heir != null or .limit != null] | all' all.json
	holds 'what may be left out' '[.rows[].left_out | select(. != null)
		| test("processors are needed|so much memory|cores do not go|again in place|tracefs")] | all' all.json
	holds 'percentiles rise' '[.rows[] | .heir, .limit | select(. != null)
		| [.p50, .p90, .p99, ."p99.9", .max] | . == sort and .[4] >= 0] | all' all.json
	holds 'histograms are whole' '[.rows[] | .heir, .limit | select(. != null)
		| .count == ([.histogram[][1]] | add) and .max == .histogram[-1][0]] | all' all.json
	holds 'ratios are of the medians' '[.rows[] | select(.ratio) | .ratio as $r
		| (if .ratio_is == "limit / heir" then .limit.p50 / .heir.p50
		   else .heir.p50 / .limit.p50 end) - $r | fabs < 0.02 + $r * 0.01] | all' all.json
	holds 'goals are told' '[.rows[] | select(.goal) | has("met") and (.goal_is | test("^at (least|most)$"))]
		| length >= 12 and all' all.json
	holds 'a failover has its steps' '[.timelines[] | select(.family == "failover") | [.steps[].name]
		| index("notice") == 0 and index("claim") == 1 and index("go") > 1] | length > 0 and all' all.json
	holds 'the pieces of a path are its whole' '[.timelines[] | select(.family == "path")
		| ([.steps[].duration_us] | add) - .total_us | fabs < 0.1] | all' all.json
	holds 'nothing runs in a domain at rest' '[.rows[] | select(.what | startswith("wake-ups")) | .heir.max] | length == 1' all.json

	echo '{"program": "another"}' > foreign.json
	echo 'no json' > broken.json
	expect_exit 0 "$HEIR_BENCH" report .
	expect_match 'what is no result is said' "$OUT" '*broken.json is no result*foreign.json is no result*'
	page=$(cat report.html)
	for family in $FAMILIES; do
		expect_match "$family is in the page" "$page" "*<details><summary>$family</summary>*"
	done
	count=$(grep -o '<svg' report.html | wc -l)
	[ "$count" -ge 12 ] || fail "only $count pictures"
	for family in svg table figure details section small; do
		expect "each $family is closed" "$(grep -oE "<$family[ >]" report.html | wc -l)" \
			"$(grep -o "</$family>" report.html | wc -l)"
	done
	! grep -nE 'https?:|src=|href=|nan|inf[^o]' report.html || fail 'the page needs something else, or has no number'
	"$HEIR_BENCH" report . - | cmp - report.html || fail 'to standard output it is another page'
}

story_percentiles_are_those_of_hdrhistogram() {
	bench 0 --quick --percentiles state
	awk '$1 == "Value" && $2 == "Percentile" { tables++; last = 0; next }
		NF == 4 && $1 ~ /^[0-9.]+$/ { rows++; if ($2 < last || $2 > 1) exit 1; last = $2 }
		/^#\[Max = / { ends++; if (last != 1) exit 1 }
		END { exit !(tables == 8 && ends == 8 && rows > 40) }' "$DIR/job.$BENCH" || fail "$(tail -n 40 "$DIR/job.$BENCH")"
}

story_usage_is_2_and_what_is_missing_is_1() {
	expect_exit 2 "$HEIR_BENCH" no-such-family
	expect_exit 2 "$HEIR_BENCH" --json --percentiles
	expect_exit 2 "$HEIR_BENCH" --no-such-option
	expect_exit 2 "$HEIR_BENCH" report
	expect_exit 0 "$HEIR_BENCH" --help
	expect_match 'the help' "$OUT" '*usage: heir-bench*footprint*'
	expect_exit 0 "$HEIR_BENCH" --version
	expect_match 'the version' "$OUT" 'heir-bench [0-9]*'
	mkdir "$DIR/empty"
	expect_exit 1 "$HEIR_BENCH" report "$DIR/empty"
	expect_exit 1 "$HEIR_BENCH" report "$DIR/nowhere"
	bench 1 --heir /nonexistent/heir state
	bench 1 --quick --out /nonexistent/folder/file --heir "$HEIR" state
}

run_stories "$@"
