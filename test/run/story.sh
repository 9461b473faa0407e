# SPDX-License-Identifier: ISC
# The frame of a story: a domain of its own, real processes, and nothing of them left at the end, even of a
# story that fails.
#
# A file of stories sources this, defines functions story_SOMETHING and ends with run_stories "$@". Each
# function runs in a process of its own, within STORY_LIMIT seconds; its name is the name of the test. The
# first command that fails, outside of a condition, fails the story. Output is TAP. With arguments only the
# stories named run; STORY_KEEP=1 keeps their folder.
#
# Needs in the environment: HEIR, HEIR_KV, STORY_WORKER: the programs.

set -eEuo pipefail
shopt -s inherit_errexit

STORY_LIMIT=${STORY_LIMIT:-90}
PATIENCE=${PATIENCE:-20} # seconds for one command, or for one thing to come true

# --- what every story may use ---------------------------------------------------------------------

note() { printf '# %s\n' "$*" >&3; }

fail() {
	note "failed: $*"
	exit 1
}

skip() { # WHY: this machine does not allow what the story needs
	note "skipped: $*"
	exit 77
}

expect() { # WHAT ACTUAL EXPECTED
	[ "$2" = "$3" ] || fail "$1: expected '$3', got '$2'"
}

expect_match() { # WHAT ACTUAL GLOB
	# shellcheck disable=SC2053
	[[ $2 == $3 ]] || fail "$1: expected something like '$3', got '$2'"
}

expect_not() { # WHAT ACTUAL UNWANTED
	[ "$2" != "$3" ] || fail "$1: did not expect '$3'"
}

# Runs COMMAND and checks its exit status; what it printed, on both, is in $OUT.
expect_exit() { # STATUS COMMAND...
	local status=0 wanted=$1
	shift
	OUT=$("$@" 2>&1) || status=$?
	[ "$status" = "$wanted" ] || fail "\`$*\`: expected exit status $wanted, got $status: $OUT"
}

within() { timeout --foreground -k 2 "$PATIENCE" "$@"; }

# Looks until COMMAND succeeds; a story never waits for time to pass alone.
until_true() { # WHAT COMMAND...
	local what=$1 end=$((SECONDS + PATIENCE))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || fail "not within $PATIENCE s: $what"
		sleep 0.02
	done
}

heir() { within "$HEIR" "$@"; }
redis() { within redis-cli -p "$PORT" "$@"; }

free_port() { "$STORY_WORKER" free_port; }

# A configuration for $DOMAIN; its applications come from standard input.
config() { # [NODES]
	printf 'domain: %s\nnodes: [%s]\n' "$DOMAIN" "${1:-a, b}" > "$DIR/heir.yaml"
	cat >> "$DIR/heir.yaml"
}

# Everything that a story starts carries its mark, by which it is found again. In a process of its own: exec
# does not return.
exec_marked() {
	export STORY_MARK=$MARK STORY_DIR=$DIR
	exec "$@"
}
marked() { (exec_marked "$@"); }

start_up() { # [OPTION...]: heir up in a session of its own; its pid is in UP
	exec_marked env --default-signal=INT setsid "$HEIR" up -f "$DIR/heir.yaml" "$@" >> "$DIR/up.log" 2>&1 3>&- &
	UP=$!
}

is_said() { grep -qs -- "$1" "$DIR/up.log"; }
up_said_or_ended() { is_said "$1" || ! kill -0 "$UP" 2>/dev/null; }

up_says() { # TEXT [PID]
	until_true "heir up says '$1'" up_said_or_ended "$1"
	is_said "$1" || fail "heir up ended before it said '$1'"
}

up() {
	start_up "$@"
	up_says ' is up: '
}

# An application svc of one story_worker, up and protected where it has a hot standby. Each argument is the
# inside of a YAML mapping or list: keys of the application, keys of the child, arguments of the worker.
# NODES: the nodes.
service() { # [APPLICATION [CHILD [ARGUMENTS]]]
	local app=${1:-} child=${2:-'state: 4KiB'}
	[[ $app == *standby:* ]] || app="standby: hot${app:+, $app}"
	[[ $app == *step_timeout:* ]] || app+=', step_timeout: 10s'
	[[ $app == *failovers:* ]] || app+=', failovers: {intensity: 100, period: 60s}'
	[[ $app == *supervisor:* ]] || app+=', supervisor: {intensity: 50, period: 60s, children: ['
	config "${NODES:-}" <<-END
		limits: {names: 64, processes: 64, messages: 64}
		applications:
		  svc: {$app
		    {id: server, exec: [story_worker${3:+, $3}], names: [svc], $child}]}}
	END
	up
	[[ $app != *'standby: hot'* ]] || wait_protected svc
}

background() { # COMMAND...: its pid is in JOB, its output in $DIR/job.PID
	local output
	output=$(mktemp "$DIR/job.XXXXXX")
	exec_marked "$@" > "$output" 2>&1 3>&- &
	JOB=$!
	ln -s "$output" "$DIR/job.$JOB"
}

# The exit status of a background job, and its output in $OUT.
finished() { # PID
	local status=0
	until_true "process $1 ends" is_gone "$1"
	wait "$1" || status=$?
	OUT=$(cat "$DIR/job.$1")
	return $status
}

is_gone() { # PID: dead, be it reaped or not
	local state
	state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) || return 0
	[ -z "$state" ] || [[ $state == Z* ]] || [[ $state == X* ]]
}
is_stopped() { [[ $(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) == T* ]]; }
ends() { until_true "process $1 ends" is_gone "$1"; }
stop() { kill -STOP "$1" && until_true "process $1 is stopped" is_stopped "$1"; }
resume() { kill -CONT "$1"; }

status() { heir status --json | jq -r "$1" || [ "${PIPESTATUS[0]}" = 3 ]; }
app() { status ".applications[] | select(.name == \"$1\") | $2"; } # APPLICATION FILTER
other_node() { [ "$(app_node svc)" = a ] && echo b || echo a; }
app_node() { app "$1" .node; }
owner() { app "$1" '.children[0].pid'; }
children() { app "$1" '[.children[] | "\(.id)=\(.pid)"] | join(" ")'; }
leader() { status ".nodes[] | select(.name == \"$1\") | .pid"; }
instance() { app "$1" ".instances[] | select(.node == \"$2\") | .state"; } # APPLICATION NODE
whereis() { heir whereis --json "$1" | jq -r "$2" || [ "${PIPESTATUS[0]}" = 3 ]; }
last_move() { heir steps --json --all -n 1 "$1" | jq -r ".[0] | $2"; } # APPLICATION FILTER
moves() { heir steps --json --all -n 100 "$1" | jq -r "$2"; }

# kill -9 of the owner's first process; returns when another has its place.
kill_owner() { # APPLICATION
	local pid
	pid=$(owner "$1")
	kill -KILL "$pid"
	until_true "$1 has another process than $pid" has_other_owner "$1" "$pid"
}
has_other_owner() {
	local pid
	pid=$(owner "$1" 2>/dev/null) && [ "$pid" != null ] && [ "$pid" != 0 ] && [ "$pid" != "$2" ]
}

runs_on() { [ "$(app "$1" '"\(.state) \(.node)"' 2>/dev/null)" = "running $2" ]; }
wait_on() { heir wait "$1" --node "$2" --timeout "${PATIENCE}s" || fail "$1 does not run on $2"; }
wait_protected() { heir wait "$1" --running --protected --timeout "${PATIENCE}s" || fail "$1 is not protected"; }
is_state() { [ "$(app "$1" .state 2>/dev/null)" = "$2" ]; }
wait_state() { until_true "$1 is $2" is_state "$1" "$2"; }

# --- the worker: what it did, and what it is to do ------------------------------------------------

# Each callback appends to $DIR/events: TIME NODE PID POINT DETAIL.
events() { grep -sE "^[0-9]+ $1\$" "$DIR/events" | cut -d' ' -f2- || true; } # REGULAR EXPRESSION after the time
event_count() { grep -scE "^[0-9]+ $1\$" "$DIR/events" || true; }
has_event() { grep -qsE "^[0-9]+ $1\$" "$DIR/events"; }
wait_event() { until_true "event '$1'" has_event "$1"; }
event_time() { grep -sE "^[0-9]+ $1\$" "$DIR/events" | tail -n 1 | cut -d' ' -f1; }
helper_of() { wait_event "helper $1 .*" && events "helper $1 .*" | tail -n 1 | cut -d' ' -f5; } # NODE: its last one
forget_events() { : > "$DIR/events"; }

# At POINT of NODE ("b.start"), or of a child ("b.extra.start"), the worker reads what to do: die, exit N,
# fail, hang, stop, block (until allowed). "once" before it: only the next time.
at() { # POINT ACTION...
	local point=$1
	shift
	printf '%s\n' "$*" > "$DIR/at.new"
	mv "$DIR/at.new" "$DIR/at.$point"
}
allow() { rm -f "$DIR/at.$1"; }

call() { heir call "$@"; }

# --- the frame ------------------------------------------------------------------------------------

# Whether a process carries the mark of this story; the environment of a leader or a child has it from `heir
# up`.
marked_pids() {
	local file pid
	for file in $(grep -lzxF "STORY_MARK=$MARK" /proc/[0-9]*/environ 2>/dev/null || true); do
		pid=${file#/proc/}
		pid=${pid%/environ}
		is_gone "$pid" || printf '%s\n' "$pid"
	done
}

segments() { compgen -G "/dev/shm/heir.$UID.$DOMAIN*" || true; }

nothing_left() { [ -z "$(marked_pids)$(segments)" ]; }

# The end of a domain that was told to stop.
expect_nothing_left() {
	until_true "no process and no segment is left" nothing_left
}

clean_up() {
	local pids
	for _ in {1..200}; do
		pids=$(marked_pids)
		[ -n "$pids" ] || break
		# shellcheck disable=SC2086
		kill -KILL $pids 2>/dev/null || true
		sleep 0.02
	done
	[ -z "$pids" ] || note "cannot be killed: $pids"
	rm -f -- $(segments)
}

tell_what_happened() {
	{
		sed 's/^/# up: /' "$DIR/up.log"
		tail -n 60 "$DIR/events" | sed 's/^/# event: /'
		timeout 5 "$HEIR" status | sed 's/^/# status: /'
		timeout 5 "$HEIR" steps -n 4 | sed 's/^/# steps: /'
	} >&3 2>/dev/null || true
}

story_ends() {
	local status=$?
	trap - EXIT ERR TERM INT
	set +e
	exec 2> /dev/null
	[ $status = 0 ] || [ $status = 77 ] || tell_what_happened
	# shellcheck disable=SC2046
	kill -KILL $(jobs -p) # redis-server overwrites its environment, and so the mark
	clean_up
	exit $status
}

run_one() { # FUNCTION, in a process of its own
	exec 3>&1 1>&2
	export HEIR_DOMAIN=$DOMAIN
	unset HEIR_NODE HEIR_APPLICATION HEIR_CHILD
	cd "$DIR"
	trap story_ends EXIT
	trap 'note "failed: line $LINENO: $BASH_COMMAND"' ERR
	trap 'note "failed: not within $STORY_LIMIT s"; exit 1' TERM INT
	"$1"
}

run_stories() {
	local names name status begin number=0 failed=0
	if [ "${1:-}" = --run ]; then
		run_one "$2"
		exit 0
	fi
	for name in jq redis-cli redis-benchmark redis-server setsid timeout cc; do
		type -P "$name" > /dev/null || { printf 'Bail out! %s is not installed\n' "$name"; exit 1; }
	done
	names=${*:-$(grep -oE '^story_[a-z0-9_]+' "$0")}
	PATH=$(dirname "$HEIR"):$(dirname "$HEIR_KV"):$(dirname "$STORY_WORKER"):$PATH
	export PATH STORY_LIMIT PATIENCE
	unset HEIR_DOMAIN NOTIFY_SOCKET LISTEN_FDS LISTEN_PID
	for name in $names; do
		number=$((number + 1))
		export DOMAIN="story$$-$number" MARK="$$-$number-$RANDOM" DIR
		DIR=$(mktemp -d)
		status=0 begin=${EPOCHREALTIME/./}
		timeout -k 10 "$STORY_LIMIT" bash "$0" --run "$name" || status=$?
		clean_up 3>&1
		[ -n "${STORY_KEEP:-}" ] && printf '# %s\n' "$DIR" || rm -rf "$DIR"
		name="${name#story_}, $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
		if [ $status = 0 ]; then
			printf 'ok %d - %s\n' $number "${name//_/ }"
		elif [ $status = 77 ]; then
			printf 'ok %d - %s # SKIP\n' $number "${name//_/ }"
		else
			failed=$((failed + 1))
			printf 'not ok %d - %s\n' $number "${name//_/ }"
		fi
	done
	printf '1..%d\n' $number
	[ $failed = 0 ]
}
