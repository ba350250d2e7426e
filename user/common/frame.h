/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames of a byte stream: 32 bits of length, 32 bits of sum, payload; in the machine's byte order.
 * A frame's sum goes on from that of the frame before, so that one that is missing, doubled or out
 * of place is seen as well as one that is damaged.
 */
#ifndef BAROSTAT_COMMON_FRAME_H
#define BAROSTAT_COMMON_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FRAME_HEAD_BYTES 8

uint32_t frame_sum(const void *data, size_t bytes, uint32_t sum);

/*
 * Fills the head of a frame whose payload stands behind it. *sum is that of the frame before, 0 at
 * first, and becomes this one's.
 */
void frame_seal(uint8_t *frame, uint32_t payload_bytes, uint32_t *sum);

/*
 * The payload's size of the frame at `data`, and *sum becomes the frame's; 0: it goes on beyond
 * `bytes`; -EBADMSG: it is damaged, *sum untouched. A frame's payload is never empty.
 */
ssize_t frame_check(const uint8_t *data, size_t bytes, uint32_t *sum);

#endif
