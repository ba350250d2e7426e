# SPDX-License-Identifier: BSD-2-Clause
# Waiting for conditions, in bats files: load ../lib/wait

# wait_for SECONDS COMMAND [ARG...]: until COMMAND succeeds; fails, and says so, at the deadline.
# The deadline is meant for a quiet machine; CHECK_PATIENCE (4) times as long is waited, so that
# only what never comes is missed. What must be quick is measured, not waited for.
wait_for() {
	local deadline=$((SECONDS + $1 * ${CHECK_PATIENCE:-4}))
	shift
	until "$@"; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			echo "still not so at the deadline: $*"
			return 1
		fi
		sleep 0.1
	done
}

# gone PID: no such process, or only its zombie
gone() {
	! kill -0 "$1" 2>/dev/null || [ "$(awk '/^State:/ {print $2}' "/proc/$1/status" 2>/dev/null)" = Z ]
}

# descendants PID: the ids of its children, theirs, and so on
descendants() {
	local child
	for child in $(pgrep -P "$1"); do
		echo "$child"
		descendants "$child"
	done
}
