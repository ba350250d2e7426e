// SPDX-License-Identifier: BSD-2-Clause
/* docs/page-protocol.md against the headers: every row of its tables, and every field has a row. */
#include "tests/unit/page_support.h"

#include "tests/unit/doc_support.h"
#include "user/daemon/law.h"
#include "user/lib/page_layout.h"

#define DOC "docs/page-protocol.md"

static const struct doc_field header_fields[] = { PAGE_HEADER_LAYOUT(DOC_FIELD) };
static const struct doc_field slot_fields[] = { PAGE_SLOT_LAYOUT(DOC_FIELD) };

static void header_table_is_the_header(void **state)
{
	doc_check_section(DOC, "Header", header_fields,
			  sizeof(header_fields) / sizeof(header_fields[0]),
			  sizeof(struct baro_page_header));
}

static void slot_table_is_the_slot(void **state)
{
	doc_check_section(DOC, "Slot", slot_fields, sizeof(slot_fields) / sizeof(slot_fields[0]),
			  sizeof(struct baro_slot));
}

static void check_codes(const char *title, const char *(*name_of)(uint32_t))
{
	FILE *f = doc_section(DOC, "Codes");
	char line[512], heading[64], name[64];
	uint32_t code, expected = 0;
	bool inside = false;

	snprintf(heading, sizeof(heading), "| %s | name |", title);
	while (doc_next_line(f, line, sizeof(line))) {
		if (!strncmp(line, heading, strlen(heading)))
			inside = true;
		else if (line[0] != '|')
			inside = false;
		if (!inside || sscanf(line, "| %u | %63[a-z_] |", &code, name) != 2)
			continue;
		assert_int_equal(code, expected++);
		assert_string_equal(name, name_of(code));
	}
	(void)fclose(f);
	assert_true(expected > 0);
	/* And no code that the document does not know. */
	assert_string_equal(name_of(expected), "?");
}

static void code_tables_are_the_codes(void **state)
{
	check_codes("level", baro_level_name);
	check_codes("state", baro_slot_state_name);
	check_codes("reason", baro_reason_name);
	check_codes("rung", baro_rung_name);
	check_codes("stall cause", baro_stall_cause_name);
}

/* The sentence about clamps, which are the law's own bits. */
static void clamps_are_the_law_s(void **state)
{
	assert_int_equal(LAW_CLAMP_MIN, 1);
	assert_int_equal(LAW_CLAMP_MAX, 2);
	assert_int_equal(LAW_CLAMP_UNRECLAIMABLE, 4);
	assert_int_equal(LAW_CLAMP_GROUP_MIN, 8);
	assert_int_equal(LAW_CLAMP_GROUP_MAX, 16);
	assert_int_equal(LAW_CLAMP_CEILING, 32);
	assert_int_equal(LAW_CLAMP_STEP, 64);
	assert_int_equal(LAW_CLAMP_WANTED, 128);
}

/* stall_ns_per_s is published in the order of the kernel side's causes. */
static void causes_are_the_sensors_s(void **state)
{
	assert_int_equal(STALL_CAUSES, BARO_PAGE_STALL_CAUSES);
	assert_int_equal(STALL_DIRECT_RECLAIM, BARO_STALL_DIRECT_RECLAIM);
	assert_int_equal(STALL_HIGH_THROTTLE, BARO_STALL_HIGH_THROTTLE);
	assert_int_equal(STALL_REFAULT, BARO_STALL_REFAULT);
	assert_int_equal(STALL_SWAP_IN, BARO_STALL_SWAP_IN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_table_is_the_header),
		cmocka_unit_test(slot_table_is_the_slot),
		cmocka_unit_test(code_tables_are_the_codes),
		cmocka_unit_test(clamps_are_the_law_s),
		cmocka_unit_test(causes_are_the_sensors_s),
	};

	return cmocka_run_group_tests_name("page document", tests, NULL, NULL);
}
