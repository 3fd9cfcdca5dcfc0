/*
 * Removal of a guest's directory, its files and one level of directories in it, when the harness can do it no more.
 */
#ifndef REMOVAL_H
#define REMOVAL_H

#include "system.h"

#define PREFIX "unlockall-bench-" /* nothing else is removed */

struct entry {
    word inode, offset;
    unsigned short nbytes;
    char type;
    char name[];
};

/* Remove all that a directory has; directories in it only if `depth` allows. */
static void empty_directory(int directory, int depth) {
    char entries[4096] __attribute__((aligned(8)));
    long got;
    while ((got = SYSCALL(__NR_getdents64, directory, entries, sizeof entries)) > 0)
        for (long at = 0; at < got; at += ((struct entry *)(entries + at))->nbytes) {
            const char *name = ((struct entry *)(entries + at))->name;
            if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
                continue;
            if (SYSCALL(__NR_unlinkat, directory, name, 0) == 0 || !depth)
                continue;
            int inner = (int)SYSCALL(__NR_openat, directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
            if (inner < 0)
                continue;
            empty_directory(inner, depth - 1);
            SYSCALL(__NR_close, inner);
            SYSCALL(__NR_unlinkat, directory, name, AT_REMOVEDIR);
        }
}

static void remove_directory(const char *path) {
    const char *last = path;
    for (const char *at = path; *at; at++)
        if (*at == '/')
            last = at + 1;
    if (!starts_with(last, PREFIX))
        return;
    int directory = open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (directory < 0)
        return;
    empty_directory(directory, 1);
    SYSCALL(__NR_close, directory);
    SYSCALL(__NR_rmdir, path);
}

#endif
