// SPDX-License-Identifier: BSD-2-Clause
/* Items that are registered together, and the directories they are in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/registry_internal.h"

#define TEXT_BYTES 65536u

/* Texts do not move: items point into them. */
struct registry_batch_text {
	struct registry_batch_text *next;
	size_t used, room;
	char bytes[];
};

/* A copy with a NUL; NULL for no memory. */
static char *copy_text(struct registry_batch *b, const char *text, size_t bytes)
{
	struct registry_batch_text *t = b->text;
	char *copy;

	if (!t || t->room - t->used <= bytes) {
		size_t room = bytes < TEXT_BYTES ? TEXT_BYTES : bytes + 1;

		t = malloc(sizeof(*t) + room);
		if (!t)
			return NULL;
		*t = (struct registry_batch_text){ .next = b->text, .room = room };
		b->text = t;
	}
	copy = t->bytes + t->used;
	memcpy(copy, text, bytes);
	copy[bytes] = '\0';
	t->used += bytes + 1;
	return copy;
}

static int make_room(struct registry_batch *b)
{
	size_t room = b->room ? 2 * b->room : 64;
	struct registry_item *item;

	if (b->n < b->room)
		return 0;
	item = reallocarray(b->item, room, sizeof(*item));
	if (!item)
		return -ENOMEM;
	b->item = item;
	b->room = room;
	return 0;
}

int registry_batch_add(struct registry_batch *b, const struct registry_item *item)
{
	struct registry_item copy = *item;
	int status = make_room(b);

	if (status < 0)
		return status;
	copy.name = copy_text(b, item->name, item->name_bytes);
	copy.path = item->path_bytes ? copy_text(b, item->path, item->path_bytes) : NULL;
	if (!copy.name || (item->path_bytes && !copy.path))
		return -ENOMEM;
	b->item[b->n++] = copy;
	return 0;
}

void registry_batch_free(struct registry_batch *b)
{
	while (b->text) {
		struct registry_batch_text *next = b->text->next;

		free(b->text);
		b->text = next;
	}
	free(b->item);
	*b = (struct registry_batch){ 0 };
}

static int add_dir(struct baro_registry *r, const char *path, const char *prefix)
{
	size_t path_bytes = strlen(path) + 1, prefix_bytes = strlen(prefix) + 1;
	struct registry_dir **all, *dir;

	if (r->dirs == BARO_REGISTRY_DIRS_MAX)
		return -ENOSPC;
	all = reallocarray(r->dir, r->dirs + 1, sizeof(struct registry_dir *));
	if (!all)
		return -ENOMEM;
	r->dir = all;
	dir = malloc(sizeof(*dir) + path_bytes + prefix_bytes);
	if (!dir)
		return -ENOMEM;
	dir->path = (char *)(dir + 1);
	dir->prefix = dir->path + path_bytes;
	memcpy(dir->path, path, path_bytes);
	memcpy(dir->prefix, prefix, prefix_bytes);
	all[r->dirs++] = dir;
	return (int)r->dirs;
}

int registry_dir_number(struct baro_registry *r, const char *path, const char *prefix)
{
	int number = 0;

	pthread_mutex_lock(&r->lock);
	for (uint32_t i = 0; i < r->dirs && !number; i++)
		if (!strcmp(r->dir[i]->path, path) && !strcmp(r->dir[i]->prefix, prefix))
			number = (int)i + 1;
	if (!number)
		number = add_dir(r, path, prefix);
	pthread_mutex_unlock(&r->lock);
	return number;
}
