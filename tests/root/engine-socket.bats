#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Engines that speak, in real cgroups: who they are is what the kernel says.
# shellcheck disable=SC2154,SC2030,SC2031 # lib/daemon sets them; each test is a process of its own

bats_require_minimum_version 1.5.0
load ../lib/daemon
load ../lib/engine

setup() {
	daemon_setup
	engines=$dir
	chmod 755 "$dir"
}

teardown() {
	engines_teardown
	daemon_teardown
}

become() { # become ENGINE COMMAND...: this shell, so call it in one of its own
	exec "$build/barostat" --socket "$sock" run --engine "$1" -- "${@:2}"
}

hears() { # hears ENGINE JQ VALUE
	[ "$(engine "$1" ".demand$2")" = "$3" ]
}

@test "a child cgroup speaks for its engine, and the engine's user may" {
	write_config "ceiling = 256M" "interval = 50ms" <<-'CONF'
		[engine a]
		user = nobody
		[engine b]
	CONF
	start_daemon
	become() { # as nobody, from a child of the engine's cgroup
		mkdir "$memory/$parent/$1/child"
		echo "$BASHPID" >"$memory/$parent/$1/child/cgroup.procs"
		export BAROSTAT_ENGINE_SOCKET=$dir/engine.sock BAROSTAT_PAGE=$page
		exec setpriv --reuid=nobody --regid=nogroup --clear-groups "${@:2}"
	}
	start_engine e a
	[ "$(say e source)" = "daemon 0" ]
	wait_for 20 hears a .clients 1
	hears b "" null
	# the same user is nobody to another engine, and reads the page all the same
	start_engine f b
	[[ "$(say f source)" == "page 13" ]]
	hears b "" null
}

@test "a consumer of systemd's protocol hears of pressure, also as another user" {
	write_config "ceiling = 64M" "interval = 50ms" <<-'CONF'
		[engine a]
		max = 32M
	CONF
	start_daemon
	cat >"$dir/consumer.py" <<-'PYTHON'
		import base64, mmap, os, random, select, sys, threading
		fd = os.open(os.environ["MEMORY_PRESSURE_WATCH"], os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
		os.write(fd, base64.b64decode(os.environ["MEMORY_PRESSURE_WRITE"]))
		poll = select.poll()
		poll.register(fd, select.POLLPRI)
		# a little more than fits, read again and again: how fast the disk is makes no difference
		def read():
		    with open(sys.argv[1], "rb") as f:
		        pages = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
		    pages.madvise(mmap.MADV_RANDOM)
		    while True:
		        pages[random.randrange(0, len(pages), 4096)]
		threading.Thread(target=read, daemon=True).start()
		event = poll.poll(60000)
		print("pressure" if event and event[0][1] & select.POLLPRI else "silence", flush=True)
		os._exit(0)
	PYTHON
	chmod 644 "$dir/consumer.py"
	dd if=/dev/urandom of="$dir/read" bs=1M count=40 status=none
	sync "$dir/read"
	chmod 644 "$dir/read"
	dd of="$dir/read" oflag=nocache conv=notrunc,fdatasync count=0 status=none
	"$build/barostat" --socket "$sock" run --engine a --user nobody -- \
		/usr/bin/python3 "$dir/consumer.py" "$dir/read" >"$dir/heard" 3>&-
	[ "$(cat "$dir/heard")" = pressure ]
}
