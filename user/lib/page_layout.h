/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every field of the page with its offset and size, as published. F(struct, field, offset, bytes).
 * This table is asserted against the header when the library is compiled and against
 * docs/page-protocol.md by a test, so that none of the three can drift. Append only.
 */
#ifndef BAROSTAT_LIB_PAGE_LAYOUT_H
#define BAROSTAT_LIB_PAGE_LAYOUT_H

#define PAGE_HEADER_LAYOUT(F)                                                                      \
	F(baro_page_header, magic, 0, 8)                                                           \
	F(baro_page_header, abi_major, 8, 2)                                                       \
	F(baro_page_header, abi_minor, 10, 2)                                                      \
	F(baro_page_header, header_bytes, 12, 4)                                                   \
	F(baro_page_header, slot_bytes, 16, 4)                                                     \
	F(baro_page_header, slot_count, 20, 4)                                                     \
	F(baro_page_header, reserved0, 24, 40)                                                     \
	F(baro_page_header, seq, 64, 4)                                                            \
	F(baro_page_header, generation, 68, 4)                                                     \
	F(baro_page_header, boot_epoch, 72, 8)                                                     \
	F(baro_page_header, published_ns, 80, 8)                                                   \
	F(baro_page_header, void_after_ns, 88, 8)                                                  \
	F(baro_page_header, ceiling_bytes, 96, 8)                                                  \
	F(baro_page_header, reserve_bytes, 104, 8)                                                 \
	F(baro_page_header, usage_bytes, 112, 8)                                                   \
	F(baro_page_header, level, 120, 4)                                                         \
	F(baro_page_header, slots_used, 124, 4)                                                    \
	F(baro_page_header, ticks, 128, 8)                                                         \
	F(baro_page_header, interval_ns, 136, 8)                                                   \
	F(baro_page_header, daemon_pid, 144, 4)                                                    \
	F(baro_page_header, rung, 148, 4)                                                          \
	F(baro_page_header, flags, 152, 4)                                                         \
	F(baro_page_header, score_ppm, 156, 4)                                                     \
	F(baro_page_header, cost_tick_p50_ns, 160, 8)                                              \
	F(baro_page_header, cost_tick_p99_ns, 168, 8)                                              \
	F(baro_page_header, cost_rss_bytes, 176, 8)                                                \
	F(baro_page_header, cost_cpu_ppm, 184, 4)                                                  \
	F(baro_page_header, reserved1, 188, 4)                                                     \
	F(baro_page_header, dropped_events, 192, 8)                                                \
	F(baro_page_header, reserved2, 200, 56)

#define PAGE_SLOT_LAYOUT(F)                                                                        \
	F(baro_slot, pressure.seq, 0, 4)                                                           \
	F(baro_slot, pressure.score_ppm, 4, 4)                                                     \
	F(baro_slot, pressure.status, 8, 8)                                                        \
	F(baro_slot, pressure.updated_ns, 16, 8)                                                   \
	F(baro_slot, pressure.budget_bytes, 24, 8)                                                 \
	F(baro_slot, pressure.target_bytes, 32, 8)                                                 \
	F(baro_slot, pressure.limit_bytes, 40, 8)                                                  \
	F(baro_slot, pressure.usage_bytes, 48, 8)                                                  \
	F(baro_slot, pressure.headroom_bytes, 56, 8)                                               \
	F(baro_slot, pressure.release_bytes, 64, 8)                                                \
	F(baro_slot, pressure.release_by_ns, 72, 8)                                                \
	F(baro_slot, pressure.grant_epoch, 80, 8)                                                  \
	F(baro_slot, pressure.time_to_ceiling_ns, 88, 8)                                           \
	F(baro_slot, pressure.velocity_bytes_per_s, 96, 8)                                         \
	F(baro_slot, pressure.reason, 104, 4)                                                      \
	F(baro_slot, pressure.clamps, 108, 4)                                                      \
	F(baro_slot, pressure.stall_ppm, 112, 4)                                                   \
	F(baro_slot, pressure.stall_avg_ppm, 116, 4)                                               \
	F(baro_slot, pressure.reserved0, 120, 8)                                                   \
	F(baro_slot, name, 128, 64)                                                                \
	F(baro_slot, cgroup_id, 192, 8)                                                            \
	F(baro_slot, psi_cgroup_id, 200, 8)                                                        \
	F(baro_slot, cgroup_hierarchy, 208, 4)                                                     \
	F(baro_slot, weight, 212, 4)                                                               \
	F(baro_slot, ack_epoch, 216, 8)                                                            \
	F(baro_slot, min_bytes, 224, 8)                                                            \
	F(baro_slot, max_bytes, 232, 8)                                                            \
	F(baro_slot, reserved1, 240, 16)                                                           \
	F(baro_slot, anon_bytes, 256, 8)                                                           \
	F(baro_slot, file_bytes, 264, 8)                                                           \
	F(baro_slot, shmem_bytes, 272, 8)                                                          \
	F(baro_slot, kernel_bytes, 280, 8)                                                         \
	F(baro_slot, dirty_bytes, 288, 8)                                                          \
	F(baro_slot, swap_bytes, 296, 8)                                                           \
	F(baro_slot, unreclaimable_bytes, 304, 8)                                                  \
	F(baro_slot, working_set_bytes, 312, 8)                                                    \
	F(baro_slot, low_bytes, 320, 8)                                                            \
	F(baro_slot, high_bytes, 328, 8)                                                           \
	F(baro_slot, hard_bytes, 336, 8)                                                           \
	F(baro_slot, psi_memory_some_1s_ppm, 344, 4)                                               \
	F(baro_slot, psi_memory_full_1s_ppm, 348, 4)                                               \
	F(baro_slot, psi_memory_some_10s_ppm, 352, 4)                                              \
	F(baro_slot, psi_memory_full_10s_ppm, 356, 4)                                              \
	F(baro_slot, psi_io_some_1s_ppm, 360, 4)                                                   \
	F(baro_slot, psi_io_full_1s_ppm, 364, 4)                                                   \
	F(baro_slot, psi_io_some_10s_ppm, 368, 4)                                                  \
	F(baro_slot, psi_io_full_10s_ppm, 372, 4)                                                  \
	F(baro_slot, oom_kills, 376, 8)                                                            \
	F(baro_slot, stall_ns_per_s, 384, 32)                                                      \
	F(baro_slot, refaults_per_s, 416, 8)                                                       \
	F(baro_slot, faults_per_s, 424, 8)                                                         \
	F(baro_slot, majfaults_per_s, 432, 8)                                                      \
	F(baro_slot, evictions_per_s, 440, 8)                                                      \
	F(baro_slot, reserved2, 448, 64)

#endif
