#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# A standby of several children: protected when all are ready; one that is still being started is waited for.
. "$(dirname "$0")/story.sh"

pair_with_a_slow_child() {
	at init.b.extra block
	config <<-END
		applications:
		  svc:
		    standby: hot
		    step_timeout: 60s
		    supervisor:
		      children:
		        - {id: server, exec: [story_worker], names: [svc], state: 4KiB}
		        - {id: extra, exec: [story_worker, --name, extra], names: [extra]}
	END
	start_up
	until_true 'svc runs on a' runs_on svc a
	until_true 'the first child of b answers' heir call --timeout 1s svc@b get
	wait_event 'init b svc extra .*'
}

story_protected_is_the_whole_standby() {
	pair_with_a_slow_child
	expect 'protected' "$(app svc .protected)" false
	expect_exit 124 heir wait svc --protected --timeout 100ms
	allow init.b.extra
	wait_protected svc
	heir takeover svc b > /dev/null
	expect 'the node' "$(app_node svc)" b
}

story_a_failover_waits_for_the_child_that_is_being_started() {
	pair_with_a_slow_child
	call svc 'add 5' > /dev/null
	kill_owner svc
	wait_event 'start b svc server .* failover .*'
	allow init.b.extra
	expect 'the counter' "$(call svc 'add 1')" 6
	expect 'the node' "$(app_node svc)" b
	expect 'the failover' "$(moves svc '.[0].result')" done
}

run_stories "$@"
