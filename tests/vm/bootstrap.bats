#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# scripts/bootstrap in a guest, where it may change the system: apt and dpkg are played by scripts.

bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_DIRNAME/../.."
	cat >"$BATS_TEST_TMPDIR/play" <<'END'
set -u
policy=/usr/sbin/policy-rc.d
mkdir -p /run/bin
cat >/run/bin/dpkg-query <<'QUERY'
#!/bin/sh
/usr/bin/dpkg-query "$@" | if [ -e /run/installed ]; then cat; else grep -v '^installed jq$'; fi
QUERY
cat >/run/bin/apt-get <<'APT'
#!/bin/sh
case " $* " in
*" update "*) echo update >>/run/calls ;;
*" install "*)
	echo "install $(sed 's/.*--no-install-recommends//' <<WORDS
$*
WORDS
	)" >>/run/calls
	/usr/sbin/policy-rc.d || echo "a service would be told $?" >>/run/calls
	case $(cat /run/how) in
	fail) exit 100 ;;
	hang) sleep 1000 ;;
	esac
	touch /run/installed ;;
esac
APT
chmod +x /run/bin/*
export PATH=/run/bin:$PATH
scene() {
	echo "== $1"
	rm -f /run/calls /run/installed "$policy"
	echo "$2" >/run/how
}
ending() {
	echo "status $1"
	cat /run/calls 2>/dev/null
	if [ -e "$policy" ]; then echo "policy there"; else echo "policy gone"; fi
}

scene missing work
scripts/bootstrap test
ending $?
rm -f /run/calls
scripts/bootstrap test
ending $?
scene failing fail
scripts/bootstrap test 2>&1
ending $?
scene interrupted hang
scripts/bootstrap test &
until grep -qs 'would be told' /run/calls; do busybox usleep 20000; done
kill -TERM $!
kill "$(pgrep -f '^sleep 1000')"
wait $!
ending $?
scene "somebody's policy" work
printf '#!/bin/sh\nexit 104\n' >"$policy"
chmod +x "$policy"
scripts/bootstrap test
ending $?
scene "unprivileged" work
setpriv --reuid 65534 --clear-groups scripts/bootstrap test 2>&1
ending $?
END
}

@test "bootstrap installs what is missing, starts no service, and leaves no policy behind" {
	run --separate-stderr scripts/vm --timeout 900 6.12 -- bash -c "$(<"$BATS_TEST_TMPDIR/play")"
	diff - <(printf '%s\n' "$output") <<-'END'
		== missing
		bootstrap: apt-get update
		bootstrap: installing: jq
		bootstrap: done
		status 0
		update
		install  jq
		a service would be told 101
		policy gone
		bootstrap: every package is there
		status 0
		policy gone
		== failing
		bootstrap: apt-get update
		bootstrap: installing: jq
		bootstrap: apt-get install failed
		status 1
		update
		install  jq
		a service would be told 101
		policy gone
		== interrupted
		bootstrap: apt-get update
		bootstrap: installing: jq
		status 143
		update
		install  jq
		a service would be told 101
		policy gone
		== somebody's policy
		bootstrap: apt-get update
		bootstrap: installing: jq
		bootstrap: done
		status 0
		update
		install  jq
		a service would be told 104
		policy there
		== unprivileged
		bootstrap: missing: jq; as root: apt-get install jq
		status 1
		policy gone
	END
}
