/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much of the past is left after some time: 2^-(elapsed / half-life), in Q30. By elapsed time,
 * so that a moving average does not depend on how often it is asked for: two halves of a time make
 * the same as the whole, to within 1e-6.
 */
#ifndef BAROSTAT_LIB_DECAY_H
#define BAROSTAT_LIB_DECAY_H

#include <stdint.h>

#define DECAY_ONE (UINT64_C(1) << 30)
#define DECAY_LN2 UINT64_C(744261118) /* ln 2, in Q30 */

/* The rest of a sixteenth by the series of e^-y, the sixteenths from the table. */
static inline uint64_t decay_q30(uint64_t elapsed_ns, uint64_t half_ns)
{
	/* 2^(-i/16), in Q30 */
	static const uint32_t sixteenth[16] = {
		1073741824, 1028218693, 984625594, 942880699, 902905651, 864625413,
		827968132,  792865000,  759250125, 727060411, 696235434, 666717336,
		638450708,  611382493,  585461881, 560640218,
	};
	uint64_t halves = elapsed_ns / half_ns;
	/* of a half-life, in Q32 */
	uint64_t rest = (uint64_t)(((unsigned __int128)(elapsed_ns % half_ns) << 32) / half_ns);
	uint64_t y = ((rest & 0xfffffff) * DECAY_LN2) >> 32;
	uint64_t y2 = (y * y) >> 30, y3 = (y2 * y) >> 30;
	uint64_t series = DECAY_ONE - y + y2 / 2 - y3 / 6;

	if (halves >= 31)
		return 0;
	return ((sixteenth[rest >> 28] * series) >> 30) >> halves;
}

#endif
