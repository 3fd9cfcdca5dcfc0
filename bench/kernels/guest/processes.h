/*
 * What /proc says of the processes that came of the keeper.
 */
#ifndef PROCESSES_H
#define PROCESSES_H

#include "system.h"

#define CHILDREN 256 /* looked at; a guest has fewer */

/* Put "/proc/PID/NAME", or with `name` of children "/proc/PID/task/PID/children". */
static int open_of(long pid, const char *between, const char *name) {
    char path[96], digits[24];
    size_t used = 6, count = 0;
    memcpy(path, "/proc/", 6);
    for (long left = pid; left; left /= 10)
        digits[count++] = (char)('0' + left % 10);
    for (int again = 0; again <= (*between != 0); again++) {
        for (size_t at = count; at;)
            path[used++] = digits[--at];
        const char *text = again || !*between ? name : between;
        memcpy(path + used, text, length_of(text) + 1);
        used += length_of(text);
    }
    return open_file(path, O_RDONLY);
}

/* Read a file's beginning as text; the number of bytes, 0 for none. */
static long read_text(int fd, char *text, size_t room) {
    if (fd < 0)
        return 0;
    long got = SYSCALL(__NR_read, fd, text, room - 1);
    SYSCALL(__NR_close, fd);
    text[got > 0 ? got : 0] = 0;
    return got > 0 ? got : 0;
}

/* Add the children of a process to those known; how many there are then. */
static long children_of(long parent, long *children, long count) {
    char text[4096];
    read_text(open_of(parent, "/task/", "/children"), text, sizeof text);
    long pid = 0;
    for (const char *at = text; *at && count < CHILDREN; at++) {
        if (*at == ' ') {
            children[count++] = pid;
            pid = 0;
        } else
            pid = pid * 10 + *at - '0';
    }
    return count;
}

/* Resident memory of the largest process that came of this one, in MiB. */
static long largest_mib(void) {
    long found[CHILDREN], largest = 0;
    long count = children_of(SYSCALL(__NR_getpid), found, 0);
    for (long index = 0; index < count; index++) {
        char text[256];
        count = children_of(found[index], found, count);
        if (!read_text(open_of(found[index], "", "/statm"), text, sizeof text))
            continue; /* it has ended meanwhile */
        const char *at = text;
        while (*at && *at != ' ')
            at++;
        long pages = 0;
        for (at += *at == ' '; *at >= '0' && *at <= '9'; at++)
            pages = pages * 10 + *at - '0';
        largest = pages > largest ? pages : largest;
    }
    return largest / 256;
}

#endif
