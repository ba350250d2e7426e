/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every field of the demand page and of the welcome with its offset and size, as published; see
 * page_layout.h. Asserted when the library is compiled, and against docs/demand-protocol.md by a
 * test. Append only.
 */
#ifndef BAROSTAT_LIB_DEMAND_LAYOUT_H
#define BAROSTAT_LIB_DEMAND_LAYOUT_H

#define DEMAND_PAGE_LAYOUT(F)                                                                      \
	F(baro_demand, magic, 0, 8)                                                                \
	F(baro_demand, abi_major, 8, 2)                                                            \
	F(baro_demand, abi_minor, 10, 2)                                                           \
	F(baro_demand, page_bytes, 12, 4)                                                          \
	F(baro_demand, reserved0, 16, 48)                                                          \
	F(baro_demand, seq, 64, 4)                                                                 \
	F(baro_demand, hint, 68, 4)                                                                \
	F(baro_demand, heartbeat_ns, 72, 8)                                                        \
	F(baro_demand, accounted_bytes, 80, 8)                                                     \
	F(baro_demand, reclaimable_bytes, 88, 8)                                                   \
	F(baro_demand, wanted_bytes, 96, 8)                                                        \
	F(baro_demand, ack_epoch, 104, 8)                                                          \
	F(baro_demand, reserved1, 112, 16)                                                         \
	F(baro_demand, metrics_seq, 128, 4)                                                        \
	F(baro_demand, metrics_count, 132, 4)                                                      \
	F(baro_demand, metrics_ns, 136, 8)                                                         \
	F(baro_demand, reserved2, 144, 48)                                                         \
	F(baro_demand, metric, 192, 3456)                                                          \
	F(baro_demand, reserved3, 3648, 448)

#define DEMAND_METRIC_LAYOUT(F)                                                                    \
	F(baro_demand_metric, name, 0, 40)                                                         \
	F(baro_demand_metric, label, 40, 20)                                                       \
	F(baro_demand_metric, kind, 60, 2)                                                         \
	F(baro_demand_metric, unit, 62, 2)                                                         \
	F(baro_demand_metric, value, 64, 8)

#define DEMAND_WELCOME_LAYOUT(F)                                                                   \
	F(baro_welcome, magic, 0, 8)                                                               \
	F(baro_welcome, abi_major, 8, 2)                                                           \
	F(baro_welcome, abi_minor, 10, 2)                                                          \
	F(baro_welcome, message_bytes, 12, 4)                                                      \
	F(baro_welcome, error, 16, 4)                                                              \
	F(baro_welcome, slot, 20, 4)                                                               \
	F(baro_welcome, incarnation, 24, 4)                                                        \
	F(baro_welcome, reserved0, 28, 4)                                                          \
	F(baro_welcome, cgroup_id, 32, 8)                                                          \
	F(baro_welcome, heartbeat_within_ns, 40, 8)                                                \
	F(baro_welcome, reserved1, 48, 16)                                                         \
	F(baro_welcome, engine, 64, 64)                                                            \
	F(baro_welcome, detail, 128, 128)

#endif
