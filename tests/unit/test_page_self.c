// SPDX-License-Identifier: BSD-2-Clause
/* Finding one's own engine: by made-up /proc files over real directories, whose inodes are ids. */
#include "tests/unit/page_support.h"

struct tree {
	struct page_dir *d;
	char v1[PATH_MAX + 32], v2[PATH_MAX + 32]; /* "mount points", with a blank in their names */
	char cgroup_file[PATH_MAX + 32], mounts_file[PATH_MAX + 32];
	struct page_writer *w;
	struct baro_page *page;
};

static const char *const dirs[] = { "", "/db", "/db/pg", "/db/pg/worker 1", "/other" };

static uint64_t inode(const char *root, const char *below)
{
	char path[PATH_MAX + 64];
	struct stat st;

	page_path(path, sizeof(path), root, below);
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void make_dirs(char *root, size_t size, const struct page_dir *d, const char *name)
{
	page_path(root, size, d->dir, name);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		char path[PATH_MAX + 64];

		page_path(path, sizeof(path), root, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int tree_setup(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));
	char text[4 * PATH_MAX];
	void *dir;

	if (!t || page_dir_setup(&dir) < 0) {
		free(t);
		return -1;
	}
	t->d = dir;
	make_dirs(t->v1, sizeof(t->v1), t->d, "/v 1");
	make_dirs(t->v2, sizeof(t->v2), t->d, "/v 2");
	page_path(t->cgroup_file, sizeof(t->cgroup_file), t->d->path, ".cgroup");
	page_path(t->mounts_file, sizeof(t->mounts_file), t->d->path, ".mounts");
	snprintf(text, sizeof(text),
		 "22 1 0:21 / /proc rw - proc proc rw\n"
		 "24 1 0:23 / %s/v\\0402 rw - tmpfs memory rw\n"
		 "25 1 0:24 / %s/v\\0401 rw,relatime shared:7 - cgroup cgroup rw,memory\n"
		 "26 1 0:25 / %s/v\\0402 rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n",
		 t->d->dir, t->d->dir, t->d->dir);
	put(t->mounts_file, text);
	t->w = page_open_writer(t->d, 4, PAGE_CREATED);
	t->page = page_open_reader(t->d);
	*state = t;
	return 0;
}

static int tree_teardown(void **state)
{
	struct tree *t = *state;
	void *dir = t->d;

	baro_page_close(t->page);
	page_writer_close(t->w, true);
	page_dir_teardown(&dir);
	free(t);
	return 0;
}

static void assign_id(struct tree *t, uint32_t i, const char *name, uint32_t hierarchy,
		      uint64_t cgroup_id, uint64_t psi_id)
{
	const struct page_slot_identity who = { .name = name,
						.cgroup_id = cgroup_id,
						.psi_cgroup_id = psi_id,
						.cgroup_hierarchy = hierarchy };

	assert_int_equal(page_writer_assign(t->w, i, &who), 0);
	page_commit(t->w, LEASE_NS);
}

/* Index of the slot that is found, or -errno. */
static int find(struct tree *t, const char *memberships)
{
	struct baro_slot_ref ref;
	int r;

	put(t->cgroup_file, memberships);
	r = page_find_self(t->page, t->cgroup_file, t->mounts_file, &ref);
	return r ? r : (int)ref.index;
}

static void a_member_finds_its_engine_on_v2(void **state)
{
	struct tree *t = *state;

	assign_id(t, 0, "other", 0, inode(t->v2, "/other"), 0);
	assign_id(t, 1, "pg", 0, inode(t->v2, "/db/pg"), 0);
	assert_int_equal(find(t, "0::/db/pg\n"), 1);
	assert_int_equal(find(t, "0::/other\n"), 0);
	assert_int_equal(find(t, "0::/db\n"), -ENOENT);
	assert_int_equal(find(t, "0::/\n"), -ENOENT);
	assert_int_equal(find(t, "0::/not/there\n"), -ENOENT);
	/* A path that is gone, below an engine's cgroup: the process is still the engine's. */
	assert_int_equal(find(t, "0::/db/pg/gone (deleted)\n"), 1);
}

static void a_child_s_member_finds_the_engine_above(void **state)
{
	struct tree *t = *state;

	assign_id(t, 0, "db", 0, inode(t->v2, "/db"), 0);
	assert_int_equal(find(t, "0::/db/pg/worker 1\n"), 0);
	/* The nearest wins. */
	assign_id(t, 1, "pg", 0, inode(t->v2, "/db/pg"), 0);
	assert_int_equal(find(t, "0::/db/pg/worker 1\n"), 1);
}

static void on_hybrid_the_memory_hierarchy_counts(void **state)
{
	struct tree *t = *state;

	assign_id(t, 0, "pg", 4, inode(t->v1, "/db/pg"), inode(t->v2, "/other"));
	assert_int_equal(find(t, "7:cpu:/other\n4:memory:/db/pg\n0::/\n"), 0);
	assert_int_equal(find(t, "4:blkio,memory:/db/pg/worker 1\n0::/\n"), 0);
	assert_int_equal(find(t, "5:memory:/db/pg\n0::/\n"), -ENOENT);
	assert_int_equal(find(t, "4:memoryx:/db/pg\n0::/\n"), -ENOENT);
	assert_int_equal(find(t, "4:name=memory:/db/pg\n0::/\n"), -ENOENT);
	/* A container that sees only the unified tree. */
	assert_int_equal(find(t, "0::/other\n"), 0);
}

/* The same inode number in another hierarchy is another cgroup. */
static void ids_of_different_hierarchies_are_not_mixed_up(void **state)
{
	struct tree *t = *state;

	assign_id(t, 0, "pg", 4, inode(t->v2, "/db/pg"), 0);
	assert_int_equal(find(t, "0::/db/pg\n"), -ENOENT);
	assign_id(t, 0, "pg", 0, inode(t->v1, "/db/pg"), 0);
	assert_int_equal(find(t, "4:memory:/db/pg\n"), -ENOENT);
}

/* As in a container with a bind mount of a part of the tree: what is above the root is cut off. */
static void a_mount_s_root_is_cut_off(void **state)
{
	struct tree *t = *state;
	char text[2 * PATH_MAX];

	snprintf(text, sizeof(text), "26 1 0:25 /pods/a %s/v\\0402 rw - cgroup2 none rw\n",
		 t->d->dir);
	put(t->mounts_file, text);
	assign_id(t, 0, "pg", 0, inode(t->v2, "/db/pg"), 0);
	assert_int_equal(find(t, "0::/pods/a/db/pg\n"), 0);
	assert_int_equal(find(t, "0::/db/pg\n"), -ENOENT);
	assert_int_equal(find(t, "0::/pods/ab/db/pg\n"), -ENOENT);
	assert_int_equal(find(t, "0::/pods/a\n"), -ENOENT);
	/* The mount point itself, as in a cgroup namespace, where it reads "/". */
	assign_id(t, 1, "all", 0, inode(t->v2, ""), 0);
	assert_int_equal(find(t, "0::/pods/a\n"), 1);
	assert_int_equal(find(t, "0::/pods/a/other\n"), 1);
}

static void nonsense_is_passed_over(void **state)
{
	struct tree *t = *state;
	struct baro_slot_ref ref;

	assign_id(t, 0, "pg", 0, inode(t->v2, "/db/pg"), 0);
	assert_int_equal(find(t, ""), -ENOENT);
	assert_int_equal(find(t, "\n:\n::\n0:\nx::/db/pg\n0:name:/db/pg\n0::db/pg\n"), -ENOENT);
	assert_int_equal(find(t, "99999999999999999999:memory:/db/pg\n0::/db/pg"), 0);
	put(t->mounts_file,
	    "\n - \n26\n26 1 0:25 / - cgroup2 x y\n - cgroup2 x rw,memory\n- - -\n");
	assert_int_equal(find(t, "0::/db/pg\n"), -ENOENT);
	assert_int_equal(page_find_self(t->page, "/nonexistent", t->mounts_file, &ref), -ENOENT);
}

/* No mock: whatever cgroup this process is in, as the host shows it. */
static void the_real_proc_leads_to_the_real_cgroup(void **state)
{
	struct tree *t = *state;
	struct baro_slot_ref ref;

	assert_int_equal(baro_page_find_self(t->page, &ref), -ENOENT);
}

int main(void)
{
#define WITH_TREE(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)
	const struct CMUnitTest tests[] = {
		WITH_TREE(a_member_finds_its_engine_on_v2),
		WITH_TREE(a_child_s_member_finds_the_engine_above),
		WITH_TREE(on_hybrid_the_memory_hierarchy_counts),
		WITH_TREE(ids_of_different_hierarchies_are_not_mixed_up),
		WITH_TREE(a_mount_s_root_is_cut_off),
		WITH_TREE(nonsense_is_passed_over),
		WITH_TREE(the_real_proc_leads_to_the_real_cgroup),
	};

	return cmocka_run_group_tests_name("page self", tests, NULL, NULL);
}
