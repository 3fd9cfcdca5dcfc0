/*
 * What /proc says of a worker: smaps, VmLck, pagemap with kpageflags, and what changed in vmstat.
 */
#ifndef OBSERVE_H
#define OBSERVE_H

#include "blocks.h"
#include "lines.h"

#define PAGE 4096UL
#define SECTION_BYTES (1UL << 20)
#define ENTRIES 8192 /* of pagemap at a time */
#define STATS 16
#define VMAS 65536 /* more than a process may have */
#define TEXT_BYTES (64UL << 20) /* of smaps of so many */

/* Bits of /proc/kpageflags and pagemap. */
#define KPF_UNEVICTABLE 18
#define KPF_THP 22
#define KPF_ZERO_PAGE 24
#define KPF_MLOCKED 33
#define KPF_UNREAD 63 /* no flag of the kernel's */
#define UNREAD (1UL << KPF_UNREAD)
#define PM_PRESENT 63
#define PM_SWAP 62
#define PM_PFN ((1UL << 55) - 1)

/* A worker as it is looked at: its files in /proc, and what its last step said, which is not said again. */
struct view {
    long pid; /* 0: there is none */
    int smaps, status, pagemap;
    char *vmas, *pages; /* SECTION_BYTES each */
    size_t vmas_used, pages_used;
};

struct vma {
    word start, end, rss, locked_kb;
    char perms[5];
    int locked;
};

struct observer {
    word start, end; /* of the window */
    struct blocks blocks; /* of it that may have had pages */
    int kpageflags, vmstat, stat_refresh;
    long cpus;
    char *text;              /* TEXT_BYTES: what a file says */
    word *entries, *flags;   /* ENTRIES of each */
    void *idle_page;         /* never touched, to give advice about */
    struct vma *vmas;        /* VMAS of them */
    word stats[STATS];
};

typedef word __attribute__((aligned(1), may_alias)) unaligned_word;

static word parse_word(const char **at, unsigned base) {
    word value = 0;
    for (;; (*at)++) {
        unsigned digit = (unsigned)**at - '0';
        if (digit > 9)
            digit = (unsigned)(**at | 32) - 'a' + 10;
        if (digit >= base)
            return value;
        value = value * base + digit;
    }
}

/* Skip to the first character after the next `until`. Eight are looked at at once: most of the text is skipped. */
static const char *after(const char *at, char until) {
    word ones = 0x0101010101010101UL, wanted = ones * (unsigned char)until;
    for (;; at += 8) {
        word text = *(const unaligned_word *)at, differing = text ^ wanted;
        word zeros = (text - ones) & ~text & ones << 7, found = (differing - ones) & ~differing & ones << 7;
        if (zeros | found) { /* exact in the lowest byte that has one */
            at += __builtin_ctzl(zeros | found) / 8;
            return *at ? at + 1 : at;
        }
    }
}

/* All that a file of /proc says, ended by 0 and with 8 bytes of room behind; the number of bytes, or an error. */
static long read_whole(int fd, char *to, size_t room) {
    size_t used = 0;
    for (;;) {
        long got = SYSCALL(__NR_pread64, fd, to + used, room - used - 1, used);
        if (got < 0)
            return got;
        used += (size_t)got;
        if (got == 0 || used == room - 1)
            break;
    }
    to[used] = 0;
    return used == room - 1 ? -EOVERFLOW : (long)used;
}

/* The number after "NAME:" in a file of such lines, in its own unit. */
static word field(const char *text, const char *name) {
    while (*text && !starts_with(text, name))
        text = after(text, '\n');
    text += *text ? length_of(name) : 0;
    while (*text == ' ' || *text == '\t')
        text++;
    return parse_word(&text, 10);
}

/* Put the state of one page: P present, M mlocked, U unevictable, Z the zero page, T part of a huge one, ? flags unread; S swapped. */
static unsigned page_state(word entry, word flags) {
    if (entry >> PM_PRESENT & 1)
        return 1U | (flags >> KPF_MLOCKED & 1) << 1 | (flags >> KPF_UNEVICTABLE & 1) << 2 |
               (flags >> KPF_ZERO_PAGE & 1) << 3 | (flags >> KPF_THP & 1) << 4 | (flags >> KPF_UNREAD & 1) << 6;
    return entry >> PM_SWAP & 1 ? 32U : 0U;
}

struct run {
    word first, pages;
    unsigned state;
};

static void put_run(struct lines *out, struct run *run) {
    if (run->state) {
        put_text(out, " r ");
        put_word(out, run->first, 10);
        put_char(out, ' ');
        put_word(out, run->pages, 10);
        put_char(out, ' ');
        for (int bit = 0; bit < 7; bit++)
            if (run->state >> bit & 1)
                put_char(out, "PMUZTS?"[bit]);
    }
    run->pages = 0;
    run->state = 0;
}

/* kpageflags of entries [0, count), in as few reads as their frames lie one after the other. */
static void read_flags(struct observer *look, word count) {
    for (word at = 0; at < count;) {
        word run = 1, pfn = look->entries[at] & PM_PFN;
        if (!look->entries[at]) {
            at++;
            continue;
        }
        look->flags[at] = 0;
        if (at && look->entries[at] == look->entries[at - 1])
            look->flags[at] = look->flags[at - 1]; /* the zero page again */
        else if (look->entries[at] >> PM_PRESENT & 1) {
            while (at + run < count && look->entries[at + run] >> PM_PRESENT & 1 &&
                   (look->entries[at + run] & PM_PFN) == pfn + run)
                run++;
            /* User-mode Linux has nothing to read for half of its frames. */
            if (look->kpageflags >= 0 &&
                SYSCALL(__NR_pread64, look->kpageflags, look->flags + at, run * 8, pfn * 8) != (long)(run * 8))
                for (word unread = at; unread < at + run; unread++)
                    look->flags[unread] = UNREAD;
        }
        at += run;
    }
}

/* Put the pages of [start, end), going on with the run before. */
static void put_range(struct lines *out, struct observer *look, struct view *view, word start, word end, struct run *run) {
    for (word at = start; at < end; at += ENTRIES * PAGE) {
        word count = (end - at) / PAGE < ENTRIES ? (end - at) / PAGE : ENTRIES;
        long got = SYSCALL(__NR_pread64, view->pagemap, look->entries, count * 8, at / PAGE * 8);
        if (got != (long)count * 8) {
            put_text(out, " ! pagemap ");
            put_signed(out, got);
            return;
        }
        read_flags(look, count);
        for (word entry = 0; entry < count; entry++) {
            if (!look->entries[entry] && !run->state)
                continue; /* most of a sparse address space */
            unsigned state = page_state(look->entries[entry], look->flags[entry]);
            word page = (at - look->start) / PAGE + entry;
            if (state != run->state || page != run->first + run->pages) {
                put_run(out, run);
                run->first = page;
                run->state = state;
            }
            run->pages++;
        }
    }
}

/* Put the pages of a VMA inside the window. */
static void put_pages(struct lines *out, struct observer *look, struct view *view, const struct vma *vma, struct run *run) {
    word start = vma->start < look->start ? look->start : vma->start;
    word end = vma->end > look->end ? look->end : vma->end, until;
    if (vma->locked && (vma->perms[0] == 'r' || vma->perms[1] == 'w'))
        blocks_mark(&look->blocks, start, end); /* locking brought its pages */
    while (start < end) {
        start = blocks_next(&look->blocks, start, end, &until);
        if (start < end)
            put_range(out, look, view, start, until, run);
        start = until;
    }
}

/* Read one VMA of smaps; `at` is moved on to the next. */
static void parse_vma(const char **at, struct vma *vma) {
    vma->start = parse_word(at, 16);
    (*at)++;
    vma->end = parse_word(at, 16);
    (*at)++;
    memcpy(vma->perms, *at, 4);
    vma->perms[4] = 0;
    vma->rss = vma->locked_kb = 0;
    vma->locked = 0;
    for (*at = after(*at, '\n'); **at >= 'A' && **at <= 'Z'; *at = after(*at, '\n')) {
        if (starts_with(*at, "Rss:"))
            vma->rss = field(*at, "Rss:");
        else if (starts_with(*at, "Locked:"))
            vma->locked_kb = field(*at, "Locked:");
        else if (starts_with(*at, "VmFlags:"))
            for (const char *flag = *at + 8; *flag == ' ' && flag[1] >= 'a'; flag += 3)
                vma->locked |= flag[1] == 'l' && flag[2] == 'o';
    }
}

/* Read smaps into look->vmas; how many, or an error. */
static long read_vmas(struct observer *look, struct view *view) {
    long got = read_whole(view->smaps, look->text, TEXT_BYTES), count = 0;
    if (got <= 0)
        return got ? got : -ESRCH;
    for (const char *at = look->text; *at; count++) {
        if (count == VMAS)
            return -EOVERFLOW;
        parse_vma(&at, &look->vmas[count]);
    }
    return count;
}

static void put_vma(struct lines *out, const struct vma *vma) {
    put_text(out, " v ");
    put_word(out, vma->start, 16);
    put_char(out, ' ');
    put_word(out, vma->end, 16);
    put_char(out, ' ');
    put_text(out, vma->perms);
    put_text(out, vma->locked ? " 1 " : " 0 ");
    put_word(out, vma->rss, 10);
    put_char(out, ' ');
    put_word(out, vma->locked_kb, 10);
}

/* Take back what was put since `from` if it is what the last step said, and say so; else remember it. */
static void shorten(struct lines *out, size_t from, char *last, size_t *last_used, const char *same) {
    size_t used = out->used - from, at = 0;
    if (used == *last_used)
        while (at < used && out->line[from + at] == last[at])
            at++;
    if (used && used == *last_used && at == used) {
        out->used = from;
        put_text(out, same);
    } else if (used <= SECTION_BYTES && out->used < LINE_BYTES - 64) {
        memcpy(last, out->line + from, used);
        *last_used = used;
    } else
        *last_used = 0;
}

/* Put " @ WHO LOCKED_KB", VMAs, pages. LOCKED_KB is VmLck without the locked VMAs outside the window. */
static void put_view(struct lines *out, struct observer *look, struct view *view, int who) {
    put_text(out, " @ ");
    put_word(out, (word)who, 10);
    put_char(out, ' ');
    if (read_whole(view->status, look->text, TEXT_BYTES) < 0) {
        put_text(out, "0 ! status 0");
        return;
    }
    long locked = (long)field(look->text, "VmLck:"), count = read_vmas(look, view);
    for (long index = 0; index < count; index++) {
        struct vma *vma = &look->vmas[index];
        if (vma->locked && (vma->start < look->start || vma->start >= look->end))
            locked -= (long)((vma->end - vma->start) / 1024);
    }
    put_signed(out, locked);
    if (count < 0) {
        put_text(out, " ! smaps ");
        put_signed(out, count);
        return;
    }
    size_t from = out->used;
    for (long index = 0; index < count; index++)
        if (look->vmas[index].start >= look->start && look->vmas[index].start < look->end)
            put_vma(out, &look->vmas[index]);
    shorten(out, from, view->vmas, &view->vmas_used, " =v");
    struct run run = {0, 0, 0};
    from = out->used;
    for (long index = 0; index < count; index++)
        if (look->vmas[index].end > look->start && look->vmas[index].start < look->end)
            put_pages(out, look, view, &look->vmas[index], &run);
    put_run(out, &run);
    shorten(out, from, view->pages, &view->pages_used, " =r");
}

static void run_on(long cpu) {
    word mask[16] = {0};
    mask[cpu / 64] = 1UL << cpu % 64;
    SYSCALL(__NR_sched_setaffinity, 0, sizeof mask, mask);
}

/* Empty the LRU batches of every CPU: advice about a page drains those of the CPU it is given on. */
static void drain(struct observer *look) {
    for (long cpu = look->cpus - 1; cpu >= 0; cpu--) {
        if (look->cpus > 1)
            run_on(cpu);
        SYSCALL(__NR_madvise, look->idle_page, PAGE, 20 /* MADV_COLD */);
    }
}

/* Whether the CPUs' differences can be added up, or there are none: a kernel for one CPU has no such file. */
static int stats_are_exact(const struct observer *look) {
    return look->vmstat >= 0 && (look->stat_refresh >= 0 || look->stat_refresh == -ENOENT);
}

/* Read vmstat after the CPUs' differences were added up; put " + NAME CHANGE" for what is not as at the last call. */
static void put_stats(struct lines *out, struct observer *look, int is_quiet) {
    char byte;
    if (!stats_are_exact(look))
        return;
    if (look->stat_refresh >= 0)
        SYSCALL(__NR_pread64, look->stat_refresh, &byte, 1, 0);
    if (read_whole(look->vmstat, look->text, TEXT_BYTES) < 0)
        return;
    int index = 0;
    for (const char *at = look->text; *at && index < STATS; at = after(at, '\n')) {
        if (!starts_with(at, "nr_mlock ") && !starts_with(at, "nr_unevictable ") && !starts_with(at, "unevictable_pgs_"))
            continue;
        const char *digits = after(at, ' ');
        word value = parse_word(&digits, 10);
        if (value != look->stats[index] && !is_quiet) {
            put_text(out, " + ");
            for (const char *name = at; *name != ' '; name++)
                put_char(out, *name);
            put_char(out, ' ');
            put_signed(out, (long)(value - look->stats[index]));
        }
        look->stats[index++] = value;
    }
}

#endif
