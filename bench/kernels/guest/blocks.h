/*
 * Which blocks of the window may have had pages: pagemap has an entry for every page of a mapping, touched or not, and
 * reading those of an untouched gigabyte costs more than everything else. A block is marked when an order may bring pages
 * there, and stays marked for the rest of the trace.
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "system.h"

#ifndef MADV_POPULATE_READ /* in headers before 5.14 */
#define MADV_POPULATE_READ 22
#endif
#define SMALL_BLOCK_SHIFT 16 /* what one fault can fill: the pages of a file around it */
#define LARGE_BLOCK_SHIFT 21 /* and with huge pages */
#define MAX_BLOCKS (1UL << 22)

struct blocks {
    word start, end; /* the window, in bytes */
    int least_shift; /* one of the above */
    int shift;       /* bytes of a block, as a power of 2 */
    word *marks;     /* a bit for each; MAX_BLOCKS / 8 bytes */
};

static void blocks_init(struct blocks *blocks, word start, word end) {
    blocks->start = start;
    blocks->end = end;
    blocks->shift = blocks->least_shift;
    while ((end >> blocks->shift) - (start >> blocks->shift) >= MAX_BLOCKS)
        blocks->shift++;
    memset(blocks->marks, 0, (((end >> blocks->shift) - (start >> blocks->shift)) / 64 + 1) * 8);
}

/* Mark what [from, to) has in common with the window. */
static void blocks_mark(struct blocks *blocks, word from, word to) {
    from = from < blocks->start ? blocks->start : from;
    to = to > blocks->end ? blocks->end : to;
    if (from >= to)
        return;
    word first = (from >> blocks->shift) - (blocks->start >> blocks->shift);
    word last = ((to - 1) >> blocks->shift) - (blocks->start >> blocks->shift);
    for (word block = first; block <= last; block++)
        if (block % 64 == 0 && block + 63 <= last) {
            blocks->marks[block / 64] = ~0UL;
            block += 63;
        } else
            blocks->marks[block / 64] |= 1UL << block % 64;
}

/* The first marked block's part of [from, to), and what is marked right after it: its start, and its end in *end. */
static word blocks_next(const struct blocks *blocks, word from, word to, word *end) {
    word base = blocks->start >> blocks->shift << blocks->shift;
    word block = (from - base) >> blocks->shift, last = (to - 1 - base) >> blocks->shift;
    while (block <= last && !(blocks->marks[block / 64] >> block % 64 & 1))
        block = blocks->marks[block / 64] ? block + 1 : (block | 63) + 1;
    word start = base + (block << blocks->shift);
    while (block <= last && blocks->marks[block / 64] >> block % 64 & 1)
        block++;
    *end = base + (block << blocks->shift);
    *end = *end > to ? to : *end;
    return start < from ? from : start > to ? to : start;
}

/* Mark where a system call that returned `result` may have brought or moved pages, but by locking, which shows in smaps. */
static void blocks_note_call(struct blocks *blocks, word number, const word *arguments, long result) {
    word start = arguments[0], nbytes = arguments[1];
    switch (number) {
    case __NR_mmap:
        if (arguments[3] & MAP_POPULATE)
            blocks_mark(blocks, (word)result, (word)result + nbytes);
        break;
    case __NR_mremap:
        if (result >= 0 || result < -4095)
            blocks_mark(blocks, (word)result, (word)result + arguments[2]);
        break;
    case __NR_madvise:
        if (arguments[2] >= MADV_POPULATE_READ)
            blocks_mark(blocks, start, start + nbytes);
        break;
    case __NR_munmap:
    case __NR_mprotect:
    case __NR_msync:
    case __NR_mlock:
    case __NR_mlock2:
    case __NR_mlockall:
    case __NR_munlock:
    case __NR_munlockall:
    case __NR_ftruncate:
    case __NR_fallocate:
        break;
    default:
        blocks_mark(blocks, blocks->start, blocks->end);
    }
}

#endif
