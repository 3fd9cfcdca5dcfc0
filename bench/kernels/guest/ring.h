/*
 * A ring of bytes that the guest shares with its host: an ivshmem device has memory of the host's behind BAR 2, which
 * sysfs maps without a driver. A store there is an ordinary store, where each byte of a serial port leaves the guest.
 *
 * The first page has two counters of all bytes ever, the guest's of those it has written and, 64 bytes on, the host's of
 * those it has read; the rest is the ring, byte n at n modulo its size. What is counted is whole lines.
 */
#ifndef RING_H
#define RING_H

#include "system.h"

#include <asm/stat.h>
#include <linux/time_types.h>

#define RING_HEAD_BYTES 4096UL

struct ring {
    volatile word *written, *read; /* 0: there is none */
    char *bytes;
    size_t size;
};

/* Map the memory of a PCI device in sysfs; without it the ring stays empty. */
static void ring_init(struct ring *ring, const char *device) {
    char path[128];
    struct stat status;
    size_t used = length_of(device);
    if (used + sizeof "/resource2" > sizeof path)
        return;
    memcpy(path, device, used);
    memcpy(path + used, "/enable", sizeof "/enable");
    int fd = open_file(path, O_WRONLY);
    if (fd >= 0) {
        write_all(fd, "1", 1);
        SYSCALL(__NR_close, fd);
    }
    memcpy(path + used, "/resource2", sizeof "/resource2");
    fd = open_file(path, O_RDWR);
    if (fd < 0 || SYSCALL(__NR_fstat, fd, &status) < 0 || (size_t)status.st_size <= RING_HEAD_BYTES)
        return;
    long at = SYSCALL(__NR_mmap, 0, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    SYSCALL(__NR_close, fd);
    if (at < 0 && at > -4096)
        return;
    SYSCALL(__NR_madvise, at, status.st_size, MADV_DONTFORK);
    ring->written = (volatile word *)at;
    ring->read = (volatile word *)(at + 64);
    ring->bytes = (char *)at + RING_HEAD_BYTES;
    ring->size = (size_t)status.st_size - RING_HEAD_BYTES;
}

/* Write bytes, fewer than the ring has, as soon as the host has made room. */
static void ring_write(struct ring *ring, const char *from, size_t nbytes) {
    struct __kernel_timespec pause = {0, 1000000};
    word written = *ring->written;
    while (written + nbytes - *ring->read > ring->size)
        SYSCALL(__NR_nanosleep, &pause, 0);
    size_t at = written % ring->size, first = nbytes < ring->size - at ? nbytes : ring->size - at;
    memcpy(ring->bytes + at, from, first);
    memcpy(ring->bytes, from + first, nbytes - first);
    *ring->written = written + nbytes;
}

#endif
