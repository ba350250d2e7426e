#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Prints what the pressure page says, as JSON. Written from docs/page-protocol.md alone.

usage: page_reader.py [PAGE [ENGINE]]        exit status 1: no such engine, 3: no page, or void
"""
import json, mmap, os, stat, struct, sys, time

LEVELS = ["unknown", "normal", "warning", "critical", "emergency"]
STATES = ["free", "active", "waiting", "gone", "manual"]
HEADER = struct.Struct("<8sHHIII40x IIQQQQQQII QQIIIIQQQI4xQ 56x")
HEADER_FIELDS = ("magic abi_major abi_minor header_bytes slot_bytes slot_count seq generation "
                 "boot_epoch published_ns void_after_ns ceiling_bytes reserve_bytes usage_bytes level "
                 "slots_used ticks interval_ns daemon_pid rung flags score_ppm cost_tick_p50_ns "
                 "cost_tick_p99_ns cost_rss_bytes cost_cpu_ppm dropped_events").split()
SLOT = struct.Struct("<II BBHI QQQQQQ QQQQqIIII8x 64sQQIIQQQ16x QQQQQQQQ QQQ8IQ 4Q QQQQ 64x")
SLOT_FIELDS = ("seq score_ppm level state flags incarnation updated_ns budget_bytes target_bytes "
               "limit_bytes usage_bytes headroom_bytes release_bytes release_by_ns grant_epoch "
               "time_to_ceiling_ns velocity_bytes_per_s reason clamps stall_ppm stall_avg_ppm name "
               "cgroup_id psi_cgroup_id cgroup_hierarchy weight ack_epoch min_bytes max_bytes "
               "anon_bytes file_bytes shmem_bytes kernel_bytes dirty_bytes swap_bytes "
               "unreclaimable_bytes working_set_bytes low_bytes high_bytes hard_bytes "
               "psi_memory_some_1s_ppm psi_memory_full_1s_ppm psi_memory_some_10s_ppm "
               "psi_memory_full_10s_ppm psi_io_some_1s_ppm psi_io_full_1s_ppm psi_io_some_10s_ppm "
               "psi_io_full_10s_ppm oom_kills stall_direct_reclaim_ns_per_s "
               "stall_high_throttle_ns_per_s stall_refault_ns_per_s stall_swap_in_ns_per_s "
               "refaults_per_s faults_per_s majfaults_per_s evictions_per_s").split()


def word(codes, i):
    return codes[i] if i < len(codes) else str(i)


class Page:
    def __init__(self, path):
        with open(path, "rb") as f:
            st = os.fstat(f.fileno())
            if not stat.S_ISREG(st.st_mode) or st.st_uid not in (0, os.geteuid()) or st.st_mode & 0o022:
                raise ValueError("not a file that only root, or we, can write")
            head = f.read(HEADER.size)
            if head[:8] != b"BAROPAGE":
                raise ValueError("not a pressure page")
            if struct.unpack_from("<H", head, 8)[0] != 1:
                raise ValueError("another major version")
            self.header_bytes, self.slot_bytes, self.slot_count = struct.unpack_from("<III", head, 12)
            size = self.header_bytes + self.slot_bytes * self.slot_count
            if self.header_bytes < 256 or self.slot_bytes < 512 or st.st_size < size:
                raise ValueError("truncated, or its sizes make no sense")
            self.map = mmap.mmap(f.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ)

    def record(self, at, seq_at, size):
        """Consistent copy: two equal copies with an even seq need no fences."""
        copy = None
        for _ in range(1000):
            before, copy = copy, self.map[at:at + size]
            if copy == before and not struct.unpack_from("<I", copy, seq_at)[0] & 1:
                return copy
        raise BlockingIOError("left in the middle of a write")

    def header(self):
        h = dict(zip(HEADER_FIELDS, HEADER.unpack(self.record(0, 64, HEADER.size))))
        h["level"], h["magic"] = word(LEVELS, h["level"]), h["magic"].decode()
        return h

    def slots(self, used):
        for i in range(min(used, self.slot_count)):
            at = self.header_bytes + i * self.slot_bytes
            s = dict(zip(SLOT_FIELDS, SLOT.unpack(self.record(at, 0, SLOT.size))))
            if s["state"]:
                s["name"] = s["name"].split(b"\0")[0].decode("ascii", "replace")
                s["level"], s["state"] = word(LEVELS, s["level"]), word(STATES, s["state"])
                yield s


def main(path="/run/barostat/pressure", engine=None):
    try:
        page = Page(path)
        header = page.header()
        engines = [s for s in page.slots(header["slots_used"]) if engine in (None, s["name"])]
    except (OSError, ValueError) as why:
        print(f"page_reader: {path}: {why}", file=sys.stderr)
        return 3
    header["valid"] = time.clock_gettime_ns(time.CLOCK_MONOTONIC) < header["void_after_ns"]
    print(json.dumps({"header": header, "engines": engines}, indent=1))
    return 1 if engine and not engines else 0 if header["valid"] else 3


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
