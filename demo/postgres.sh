# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # the parts of scripts/demo share their variables
# PostgreSQL under pgbench -S: an OLTP engine whose hot table fits when it is favoured. Sourced.
#
# Its shared buffers are small: what holds the table is the page cache, as for any engine that leans
# on the kernel. The server is in the engine's cgroup; pgbench, the client, is outside the ceiling.

pg_dir=     # set by pg_prepare
pg_bin=     # where initdb and pg_ctl are
pg_clients=4
pg_client_pid=
pg_server_pid=
pg_cgroup=postgres # the server's

pg_run() { setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"; }

# Megabytes that pgbench's table and index of scale N take: 15.
pg_scale_of_mb() { echo $(($1 / 15)); }

# pg_prepare DIR SCALE: a cluster of our own with the table loaded, frozen and at rest.
pg_prepare() {
	pg_dir=$1
	local scale=$2 candidate
	for candidate in /usr/lib/postgresql/*/bin; do
		[ ! -x "$candidate/initdb" ] || pg_bin=$candidate
	done
	[ -n "$pg_bin" ] || { echo 'no PostgreSQL server below /usr/lib/postgresql' >&2; return 1; }
	install -d -o postgres -g postgres -m 700 "$pg_dir"
	cd "$pg_dir" || return 1 # programs of the user postgres cannot stand in root's directories
	pg_run "$pg_bin/initdb" -D "$pg_dir/data" --no-sync -A trust -U postgres --no-instructions \
		-E UTF8 --locale=C >"$pg_dir/initdb.log"
	cat >>"$pg_dir/data/postgresql.conf" <<-CONF
		listen_addresses = ''
		unix_socket_directories = '$pg_dir'
		shared_buffers = 16MB
		fsync = off
		synchronous_commit = off
		full_page_writes = off
		autovacuum = off
		huge_pages = off
		wal_level = minimal
		max_wal_senders = 0
	CONF
	pg_run "$pg_bin/pg_ctl" -D "$pg_dir/data" -l "$pg_dir/server.log" -s -w start
	pg_run pgbench -h "$pg_dir" -U postgres -q -i -I dtGvp -s "$scale" postgres >"$pg_dir/load.log" 2>&1
	# Frozen, so that reading sets no hint bits and dirties no pages.
	pg_run psql -h "$pg_dir" -U postgres -q -c 'VACUUM (FREEZE) pgbench_accounts' -c CHECKPOINT postgres
	pg_run "$pg_bin/pg_ctl" -D "$pg_dir/data" -s -m fast stop
}

# pg_start: the server inside its cgroup. Not by pg_ctl, which would give it a session, and with it
# a share of the processors, of its own.
pg_start() {
	local deadline=$((SECONDS + 30))
	(cg_exec "$pg_cgroup" setpriv --reuid=postgres --regid=postgres --init-groups -- \
		"$pg_bin/postgres" -D "$pg_dir/data" >>"$pg_dir/server.log" 2>&1) &
	pg_server_pid=$!
	until pg_run pg_isready -q -h "$pg_dir"; do
		if ! kill -0 "$pg_server_pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
			echo "PostgreSQL did not come up: $(tail -n 2 "$pg_dir/server.log")" >&2
			return 1
		fi
		sleep 0.05
	done
}

# Ends the server and waits for it; a second, harder signal after ten seconds.
pg_stop() {
	local deadline=$((SECONDS + 10))
	[ -n "$pg_server_pid" ] || return 0
	kill -INT "$pg_server_pid" 2>/dev/null || true
	while kill -0 "$pg_server_pid" 2>/dev/null && [ $SECONDS -lt $deadline ]; do sleep 0.05; done
	kill -QUIT "$pg_server_pid" 2>/dev/null || true
	wait "$pg_server_pid" 2>/dev/null || true
	pg_server_pid=
}

# pg_load SECONDS NAME: pgbench in the background; latencies of one transaction in ten in NAME.log*.
pg_load() {
	rm -f "$pg_dir/$2".*
	setpriv --reuid=postgres --regid=postgres --init-groups -- \
		pgbench -h "$pg_dir" -U postgres -n -S -M prepared -c $pg_clients -j 1 -T "$1" -P 1 \
		-l --sampling-rate=0.1 --log-prefix="$pg_dir/$2" postgres \
		>"$pg_dir/$2.out" 2>"$pg_dir/$2.progress" &
	pg_client_pid=$!
}

# Transactions per second and p99 in microseconds of the finished load NAME.
pg_result() {
	local tps p99
	tps=$(awk '$1 == "tps" {print $3}' "$pg_dir/$1.out")
	p99=$(percentile 99 < <(awk '{print $3}' "$pg_dir/$1".[0-9]*))
	if [ -z "$tps" ] || [ -z "$p99" ]; then
		echo "pgbench gave no result: $(tail -n 2 "$pg_dir/$1.progress")" >&2
		return 1
	fi
	printf '%s\t%s\n' "$tps" "$p99"
}

# Sets live_rate to what the load NAME reached in the last second.
pg_live() {
	local line
	live_rate=0
	line=$(tail -n 1 "$pg_dir/$1.progress" 2>/dev/null) || return 0
	[[ $line =~ progress:\ [0-9.]+\ s,\ ([0-9]+) ]] && live_rate=${BASH_REMATCH[1]}
	return 0
}
