/* SPDX-License-Identifier: BSD-2-Clause */
/* Size of the `returning` map, for both compilers. */
#ifndef BAROSTAT_BPF_RETURNING_H
#define BAROSTAT_BPF_RETURNING_H

#define RETURNING_BITS 14 /* more notes than reads are ever in flight: 128 KiB */

#endif
