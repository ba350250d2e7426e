/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/common/frame.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

uint32_t frame_sum(const void *data, size_t bytes, uint32_t sum)
{
	return (uint32_t)crc32_z(sum, data, bytes);
}

static uint32_t sum_of(const uint8_t *frame, uint32_t payload_bytes, uint32_t sum)
{
	sum = frame_sum(&payload_bytes, sizeof(payload_bytes), sum);
	return frame_sum(frame + FRAME_HEAD_BYTES, payload_bytes, sum);
}

void frame_seal(uint8_t *frame, uint32_t payload_bytes, uint32_t *sum)
{
	*sum = sum_of(frame, payload_bytes, *sum);
	memcpy(frame, &payload_bytes, 4);
	memcpy(frame + 4, sum, 4);
}

ssize_t frame_check(const uint8_t *data, size_t bytes, uint32_t *sum)
{
	uint32_t payload_bytes, found, expected;

	if (bytes < FRAME_HEAD_BYTES)
		return 0;
	memcpy(&payload_bytes, data, 4);
	memcpy(&found, data + 4, 4);
	if (payload_bytes == 0 || payload_bytes > INT32_MAX)
		return -EBADMSG;
	if (payload_bytes > bytes - FRAME_HEAD_BYTES)
		return 0;
	expected = sum_of(data, payload_bytes, *sum);
	if (found != expected)
		return -EBADMSG;
	*sum = expected;
	return payload_bytes;
}
