/*
 * System calls without a C library, for x86-64: the guest program is the only file of an initramfs, and few pages of it
 * shall be in the address space that is looked at.
 */
#ifndef SYSTEM_H
#define SYSTEM_H

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned long word;

static inline long syscall6(word number, word a, word b, word c, word d, word e, word f) {
    register word r10 __asm__("r10") = d;
    register word r8 __asm__("r8") = e;
    register word r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#define SYSCALL(number, ...) SYSCALL_PICK(number, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define SYSCALL_PICK(number, a, b, c, d, e, f, ...) \
    syscall6(number, (word)(a), (word)(b), (word)(c), (word)(d), (word)(e), (word)(f))

static inline word time_stamp(void) {
    unsigned int low, high;
    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
    return (word)high << 32 | low;
}

/* The compiler may call these two. */
void *memcpy(void *to, const void *from, size_t nbytes);
void *memset(void *to, int value, size_t nbytes);

static inline size_t length_of(const char *text) {
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}

static inline int starts_with(const char *text, const char *prefix) {
    while (*prefix)
        if (*text++ != *prefix++)
            return 0;
    return 1;
}

static inline int open_file(const char *path, int flags) {
    return (int)SYSCALL(__NR_open, path, flags | O_CLOEXEC, 0600);
}

/* Write all of it; the number of bytes, or what write() said. */
static inline long write_all(int fd, const char *from, size_t nbytes) {
    for (size_t done = 0; done < nbytes;) {
        long written = SYSCALL(__NR_write, fd, from + done, nbytes - done);
        if (written == -EINTR || written == -EAGAIN)
            continue;
        if (written <= 0)
            return written ? written : -EIO;
        done += (size_t)written;
    }
    return (long)nbytes;
}

#endif
