#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A daemon that speaks docs/control.md, well or badly, for the tests of the CLI.

usage: fake_daemon.py SOCKET MODE [ENGINES]

MODE deaf accepts no connection and has no room for more; ok answers from fixed facts; live lets them move (for looking at top); many has ENGINES
engines; the others misbehave: garbage, array, nook, half, close, mute, drip, huge, refuse, empty,
denied, badengines. Requests are appended to SOCKET.log, one per line.
"""
import json
import math
import os
import signal
import socket
import sys
import threading
import time

MIB = 1 << 20
GIB = 1 << 30
STARTED = time.monotonic()

ENGINES = [
    # name, group, state, level, usage, anon, file, target, min, max, weight, stall, refaults, reason
    ("pg", "oltp", "active", "warning", 3300, 1200, 2000, 3400, 512, 8192, 250, 140000, 12040, "gain"),
    ("rocks", "oltp", "active", "normal", 2048, 200, 1800, 2000, 256, 8192, 100, 2500, 80, "stream"),
    ("redis", "", "active", "critical", 4000, 3990, 4, 4096, 1024, 6144, 100, 56000, 0, "floor"),
    ("mysql", "batch", "waiting", "unknown", 0, 0, 0, 0, 0, 4096, 100, 0, 0, "inactive"),
    ("clickhouse", "batch", "manual", "emergency", 1020, 900, 110, 1024, 0, 16384, 50, 910000, 150000,
     "manual"),
]


def engine(row, t=None):
    (name, group, state, level, usage, anon, file, target, low, high, weight, stall, refaults,
     reason) = row
    if t is not None and state == "active":
        phase = len(name)
        swing = math.sin(t / 7 + phase)
        usage = int(usage * (1 + 0.25 * swing))
        target = int(target * (1 + 0.25 * math.sin(t / 7 + phase + 0.4)))
        stall = int(max(0, stall * (1 + math.sin(t / 2 + phase))))
        refaults = int(max(0, refaults * (1 + math.sin(t / 2 + phase))))
        level = ["normal", "warning", "critical", "emergency"][
            0 if stall < 20000 else 1 if stall < 120000 else 2 if stall < 300000 else 3]
    return {
        "name": name, "group": group, "cgroup": "barostat/" + name, "state": state,
        "level": level, "score_ppm": stall, "usage_bytes": usage * MIB, "anon_bytes": anon * MIB,
        "file_bytes": file * MIB, "shmem_bytes": 0, "kernel_bytes": 4 * MIB,
        "limit_bytes": None if state != "manual" else 1024 * MIB, "target_bytes": target * MIB,
        "low_bytes": target * MIB, "high_bytes": None, "max_limit_bytes": None,
        "min_bytes": low * MIB, "max_bytes": high * MIB, "weight": weight,
        "mode": "hard" if name == "redis" else "soft", "stall_ppm": stall,
        "stall_avg_ppm": stall // 2,
        "stall_ns_per_s": {"direct_reclaim": stall * 100, "high_throttle": 0,
                           "refault": stall * 900, "swap_in": 0},
        "waits": {"direct_reclaim": None, "high_throttle": None, "swap_in": None,
                  "refault": {"count": 1204, "p50_ns": 131072, "p99_ns": 4194304},
                  "major_fault": {"count": 12, "p50_ns": 65536, "p99_ns": 70000}},
        "psi_memory_some_ppm": stall // 10, "psi_io_some_ppm": stall, "refaults_per_s": refaults,
        "faults_per_s": 1000, "majfaults_per_s": 12, "velocity_bytes_per_s": 0,
        "time_to_ceiling_ms": None, "oom_kills": 0, "headroom_bytes": 100 * MIB,
        "release_bytes": 0, "reason": reason,
    }


COST = {"tick_p50_ns": 81000, "tick_p99_ns": 310000, "cpu_ppm": 2100, "rss_bytes": 6397952,
        "dropped_events": 0, "reuse_counting": True}


def status(mode):
    t = time.monotonic() - STARTED if mode == "live" else None
    engines = [engine(row, t) for row in ENGINES]
    if mode == "empty":
        engines = []
    if mode == "many":
        engines = [dict(engine(ENGINES[i % 3]), name="e%d" % i) for i in range(int(sys.argv[3]))]
    if mode == "badengines":
        engines = [1, 2]
    return {
        "rung": "hybrid", "kernel": "6.18.0-test", "policy": "marginal", "dry_run": False,
        "uptime_s": 11530, "ceiling_bytes": 16 * GIB, "reserve_bytes": 819 * MIB,
        "usage_bytes": sum(e["usage_bytes"] for e in engines if isinstance(e, dict)),
        "interval_ms": 100, "page": "/run/barostat/fake-page", "config": "/etc/barostat/barostat.conf",
        "level": "warning", "parent": "barostat", "cost": COST,
        "groups": [{"name": "oltp", "min_bytes": 0, "max_bytes": 16 * GIB, "weight": 300,
                    "usage_bytes": 5348 * MIB, "target_bytes": 5400 * MIB}],
        "engines": engines,
    }


def explain(e):
    return {
        "engine": e,
        "words": [
            "pg got +96 MiB 2.1 s ago: its stalls cost 14.0 % of its time, and 96 MiB more should end "
            "9.1 % of that.",
            "rocks gave it: it reads without reuse, so the memory was worth less there (0.2 %).",
            "Held back by its step limit: at most 96 MiB a tick.",
        ],
        "decisions": [
            {"age_ms": 2100, "repeats": 2, "reason": "gain", "before_bytes": 3304 * MIB, "target_bytes": 3400 * MIB,
             "peer": "rocks", "gain_ppm": 91000, "loss_ppm": 2000, "clamps": ["step", "max"],
             "policy": "marginal", "inputs": {"usage_bytes": 3300 * MIB, "stall_ppm": 140000,
                                              "refaults_per_s": 12040, "unreclaimable_bytes": 1 << 30,
                                              "velocity_bytes_per_s": 0}},
            {"age_ms": 240000, "repeats": 0, "reason": "donate", "before_bytes": 3400 * MIB,
             "target_bytes": 3304 * MIB, "peer": None, "gain_ppm": 0, "loss_ppm": 0, "clamps": [],
             "policy": "marginal", "inputs": {"usage_bytes": 3300 * MIB, "stall_ppm": 0,
                                              "refaults_per_s": 0, "unreclaimable_bytes": 1 << 30,
                                              "velocity_bytes_per_s": 0}},
        ],
    }


def refuse(code, error):
    return {"ok": False, "error": error, "code": code}


def set_key(e, key, value):
    if key != "min":
        return refuse("usage", "'%s' cannot be set while running; allowed: min, max, weight, "
                      "stall_target and limit" % key)
    e["min_bytes"] = int(value.rstrip("G")) * GIB
    return {"ok": True, "engine": e}


def attach(pids):
    alive = [p for p in pids if os.path.exists("/proc/%d" % p)]
    failed = [{"pid": p, "error": "No such process"} for p in pids if p not in alive]
    return {"ok": True, "attached": alive, "failed": failed}


def history(mode, name):
    samples = []
    for i in range(120):
        t = time.monotonic() - STARTED - 120 + i if mode == "live" else i
        stall = int(150000 * (1 + math.sin(t / 2 + len(name))))
        samples.append({"usage_bytes": int(3 * GIB * (1 + 0.25 * math.sin(t / 7 + len(name)))),
                        "target_bytes": 3 * GIB, "stall_ppm": stall})
    return {"ok": True, "interval_ms": 1000, "samples": samples}


DOCTOR = {
    "rung": "hybrid", "kernel": "6.18.0-test",
    "checks": [
        {"name": "memory on v2", "state": "missing", "detail": "the memory controller is on cgroup v1",
         "remedy": "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all to have protection "
                   "(memory.low) instead of hard limits"},
        {"name": "BTF", "state": "ok", "detail": "/sys/kernel/btf/vmlinux", "remedy": ""},
        {"name": "fentry", "state": "degraded", "detail": "refused by lockdown",
         "remedy": "tracepoints are used instead"},
    ],
    "sensors": [{"name": "stalls", "variant": "tracepoint", "why": "fentry: EPERM"}],
    "cost": COST,
}


def answer(mode, request):
    cmd = request.get("cmd")
    known = status(mode)
    if mode == "denied" and cmd in ("set", "attach"):
        return refuse("denied", "only root may change something")
    if cmd == "status":
        return dict(known, ok=True)
    if cmd == "doctor":
        return dict(DOCTOR, ok=True)
    if cmd not in ("explain", "history", "set", "attach"):
        return refuse("usage", "there is no request '%s'" % cmd)
    named = [e for e in known["engines"] if e["name"] == request.get("engine")]
    if not named:
        return refuse("not_found", "there is no engine '%s'" % request.get("engine"))
    if cmd == "explain":
        return dict(explain(named[0]), ok=True)
    if cmd == "history":
        return history(mode, named[0]["name"])
    if cmd == "set":
        return set_key(named[0], request["key"], request["value"])
    return attach(request["pids"])


BAD = {
    "garbage": b"\x00\xffhello\n", "array": b"[1,2]\n", "nook": b'{"engines":[]}\n',
    "half": b'{"ok": true, "eng', "close": b"", "refuse": b'{"ok":false}\n',
}


def serve(connection, mode, log):
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            with open(log, "ab") as f:
                f.write(line)
            if mode == "mute":
                signal.pause() if threading.current_thread() is threading.main_thread() else \
                    threading.Event().wait()
            if mode == "drip":
                while True:
                    connection.sendall(b" ")
                    time.sleep(0.1)
            if mode == "huge":
                while True:
                    connection.sendall(b" " * 1048576)
            if mode in BAD:
                connection.sendall(BAD[mode])
                return
            connection.sendall(json.dumps(answer(mode, json.loads(line))).encode() + b"\n")


def serve_quietly(*args):
    try:
        serve(*args)
    except OSError:
        pass  # the client went away, which is what the tests of bad answers do


def fill_backlog(path):
    clients = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        try:
            client.connect(path)
        except BlockingIOError:
            return clients
        clients.append(client)


def main():
    path, mode = sys.argv[1], sys.argv[2]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    waiting = fill_backlog(path) if mode == "deaf" else []
    print("ready", flush=True)
    if waiting:
        signal.pause()
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_quietly, args=(connection, mode, path + ".log"),
                         daemon=True).start()


main()
