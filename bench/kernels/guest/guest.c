/*
 * The guest program: carries out the traces of a batch on the kernel that it runs on, and tells what it saw.
 *
 *     guest BATCH OUTPUT [DEVICE]
 *
 * As process 1 of a virtual machine it mounts what it needs first, and powers the machine off at the end. The batch is
 * text, one order a line: a letter, then hexadecimal numbers. docs/real-kernels.md has the protocol. Answers go to OUTPUT,
 * or into the memory of DEVICE, the directory of a PCI device in sysfs, where there is one.
 */
#include "memory.h"
#include "observe.h"
#include "worker.h"

#include <linux/poll.h>
#include <linux/reboot.h>
#include <linux/wait.h>
#include <asm/termbits.h>
#include <asm/ioctls.h>

#define PROTOCOL 2
#define MAP_MEMORY (MAP_PRIVATE | MAP_ANONYMOUS)
#define WATCH_VMAS 1UL
#define WATCH_STATS 2UL

static struct lines out;
static struct observer look;
static struct view views[WORKERS];
static const word nothing_blocked, child_ends = 1UL << (SIGCHLD - 1);

/* The end of a worker interrupts a wait, no more. */
static void on_child(int signal, void *info, void *context) {
    (void)signal;
    (void)info;
    (void)context;
}

static __attribute__((noreturn)) void leave(int code) {
    if (SYSCALL(__NR_getpid) == 1)
        SYSCALL(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, 0);
    for (;;)
        SYSCALL(__NR_exit_group, code);
}

/* Tell why nothing can go on, and end. */
static __attribute__((noreturn)) void fail(const char *what, long error) {
    begin_line(&out, "error ");
    put_text(&out, what);
    put_char(&out, ' ');
    put_signed(&out, error);
    end_line(&out);
    leave(1);
}

/* Memory that a worker does not inherit. */
static void *private_memory(size_t nbytes) {
    long at = SYSCALL(__NR_mmap, 0, nbytes, PROT_READ | PROT_WRITE, MAP_MEMORY, -1, 0);
    if (at < 0 && at > -4096)
        leave(2);
    SYSCALL(__NR_madvise, at, nbytes, MADV_DONTFORK);
    return (void *)at;
}

static void write_file(const char *path, const char *text) {
    int fd = open_file(path, O_WRONLY);
    if (fd < 0)
        return;
    (void)write_all(fd, text, length_of(text));
    SYSCALL(__NR_close, fd);
}

static void mount_all(void) {
    SYSCALL(__NR_mkdir, "/proc", 0755);
    SYSCALL(__NR_mkdir, "/sys", 0755);
    SYSCALL(__NR_mkdir, "/dev", 0755);
    SYSCALL(__NR_mkdir, "/tmp", 0755);
    SYSCALL(__NR_mount, "proc", "/proc", "proc", 0, 0);
    SYSCALL(__NR_mount, "sysfs", "/sys", "sysfs", 0, 0);
    SYSCALL(__NR_mount, "devtmpfs", "/dev", "devtmpfs", 0, 0);
    SYSCALL(__NR_mount, "tmpfs", "/tmp", "tmpfs", 0, 0);
}

/* The line discipline shall not touch what is written to a terminal. */
static void make_raw(int fd) {
    struct termios settings;
    if (SYSCALL(__NR_ioctl, fd, TCGETS, &settings) < 0)
        return;
    settings.c_iflag = 0;
    settings.c_oflag = 0;
    settings.c_lflag = 0;
    SYSCALL(__NR_ioctl, fd, TCSETS, &settings);
}

static const char *map_batch(const char *path, size_t *nbytes) {
    struct stat status;
    int fd = open_file(path, O_RDONLY);
    if (fd < 0)
        fail("open batch", fd);
    if (SYSCALL(__NR_fstat, fd, &status) < 0 || status.st_size <= 0)
        fail("batch is empty", 0);
    *nbytes = (size_t)status.st_size;
    char *text = private_memory(*nbytes + 8);
    for (size_t done = 0; done < *nbytes;) {
        long got = SYSCALL(__NR_read, fd, text + done, *nbytes - done);
        if (got <= 0)
            fail("read batch", got);
        done += (size_t)got;
    }
    SYSCALL(__NR_close, fd);
    return text;
}

static long count_cpus(void) {
    word mask[16] = {0};
    long count = 0;
    SYSCALL(__NR_sched_getaffinity, 0, sizeof mask, mask);
    for (int index = 0; index < 1024; index++)
        count += mask[index / 64] >> index % 64 & 1;
    return count;
}

/* Whether a setting of huge pages is other than `never`, or cannot be read; a kernel built without has none. */
static int is_set(const char *path, const char *never) {
    int fd = open_file(path, O_RDONLY);
    if (fd == -ENOENT)
        return 0;
    int is_never = fd >= 0 && read_whole(fd, look.text, TEXT_BYTES) > 0 && starts_with(look.text, never);
    SYSCALL(__NR_close, fd);
    return !is_never;
}

/* Whether a fault may bring a huge page, or a folio larger than SMALL_BLOCK_SHIFT says. */
static int has_huge_pages(void) {
#define FOLIO_SETTING(kb) "/sys/kernel/mm/transparent_hugepage/hugepages-" #kb "kB/enabled"
    static const char *const folios[] = {FOLIO_SETTING(128), FOLIO_SETTING(256), FOLIO_SETTING(512), FOLIO_SETTING(1024)};
    int found = is_set("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]");
    for (int index = 0; index < 4; index++)
        found |= is_set(folios[index], "always inherit madvise [never]");
    return found;
}

static void observer_init(void) {
    look.kpageflags = open_file("/proc/kpageflags", O_RDONLY);
    look.vmstat = open_file("/proc/vmstat", O_RDONLY);
    look.stat_refresh = open_file("/proc/sys/vm/stat_refresh", O_RDONLY);
    look.text = private_memory(TEXT_BYTES);
    look.vmas = private_memory(VMAS * sizeof *look.vmas);
    look.entries = private_memory(ENTRIES * 8);
    look.flags = private_memory(ENTRIES * 8);
    look.blocks.marks = private_memory(MAX_BLOCKS / 8);
    look.idle_page = private_memory(PAGE);
    look.cpus = count_cpus();
    for (int who = 0; who < WORKERS; who++) {
        views[who].vmas = private_memory(SECTION_BYTES);
        views[who].pages = private_memory(SECTION_BYTES);
    }
}

static int open_of_process(long pid, const char *name) {
    char path[40], digits[20];
    size_t used = 6, count = 0;
    memcpy(path, "/proc/", 6);
    for (; pid; pid /= 10)
        digits[count++] = (char)('0' + pid % 10);
    while (count)
        path[used++] = digits[--count];
    path[used++] = '/';
    memcpy(path + used, name, length_of(name) + 1);
    return open_file(path, O_RDONLY);
}

static void open_view(int who, long pid) {
    struct view *view = &views[who];
    view->pid = pid;
    view->smaps = open_of_process(pid, "smaps");
    view->status = open_of_process(pid, "status");
    view->pagemap = open_of_process(pid, "pagemap");
    view->vmas_used = view->pages_used = 0;
}

/* Forget a worker that has ended. */
static void close_view(int who) {
    struct view *view = &views[who];
    SYSCALL(__NR_close, view->smaps);
    SYSCALL(__NR_close, view->status);
    SYSCALL(__NR_close, view->pagemap);
    view->pid = 0;
}

/* Wait until an order is carried out: 0; or until its worker has ended: the status that wait4() gives, and 1 << 16. */
static int await(int who) {
    for (;;) {
        struct pollfd poll = {done_pipe[0], POLLIN, 0};
        char byte;
        long ready = SYSCALL(__NR_ppoll, &poll, 1, 0, &nothing_blocked, 8);
        if (ready > 0) {
            SYSCALL(__NR_read, done_pipe[0], &byte, 1);
            return 0;
        }
        int status = 0;
        if (SYSCALL(__NR_wait4, views[who].pid, &status, WNOHANG, 0) == views[who].pid) {
            close_view(who);
            return status | 1 << 16;
        }
    }
}

/* The end of this program's own memory, which a worker does away with. */
static word top_of_memory(void) {
    int maps = open_file("/proc/self/maps", O_RDONLY);
    word top = PROGRAM_END;
    if (maps < 0 || read_whole(maps, look.text, TEXT_BYTES) < 0)
        fail("read /proc/self/maps", maps);
    SYSCALL(__NR_close, maps);
    for (const char *at = look.text; *at; at = after(at, '\n')) {
        parse_word(&at, 16);
        at++;
        word end = parse_word(&at, 16);
        if (end > top && end <= 1UL << 47)
            top = end;
    }
    return top;
}

/* Map what of the program's memory is not, without access. */
static void fill_program(void) {
    for (word at = PROGRAM_START; at < PROGRAM_END; at += PAGE) {
        long mapped = SYSCALL(__NR_mmap, at, PAGE, PROT_NONE, MAP_MEMORY | MAP_FIXED_NOREPLACE, -1, 0);
        if (mapped < 0 && mapped != -EEXIST)
            fail("map the program's memory", mapped);
    }
}

static void start_worker(void) {
    for (int who = 0; who < WORKERS; who++)
        SYSCALL(__NR_pipe2, ORDERS[who].pipe, O_CLOEXEC);
    SYSCALL(__NR_pipe2, done_pipe, O_CLOEXEC);
    long pid = SYSCALL(__NR_clone, SIGCHLD);
    if (pid < 0)
        fail("fork", pid);
    if (pid == 0)
        become_worker();
    open_view(0, pid);
}

static void end_workers(void) {
    for (int who = 0; who < WORKERS; who++) {
        if (views[who].pid) {
            SYSCALL(__NR_kill, views[who].pid, SIGKILL);
            while (SYSCALL(__NR_wait4, views[who].pid, 0, 0, 0) == -EINTR)
                ;
            close_view(who);
        }
        SYSCALL(__NR_close, ORDERS[who].pipe[0]);
        SYSCALL(__NR_close, ORDERS[who].pipe[1]);
    }
    SYSCALL(__NR_close, done_pipe[0]);
    SYSCALL(__NR_close, done_pipe[1]);
}

/* Mark where the order that worker `who` has carried out may have brought pages. */
static void note_pages(int who) {
    word arguments[8];
    for (int index = 0; index < 8; index++)
        arguments[index] = ORDERS[who].arguments[index];
    if (ORDERS[who].kind == 't')
        blocks_mark(&look.blocks, arguments[0], arguments[0] + arguments[1]);
    else if (ORDERS[who].kind == 'c')
        blocks_note_call(&look.blocks, arguments[0], arguments + 1, ORDERS[who].result);
    else if (ORDERS[who].kind == 'g' || ORDERS[who].kind == 'm' || ORDERS[who].kind == 'y' || ORDERS[who].kind == 'r')
        blocks_mark(&look.blocks, look.blocks.start, look.blocks.end);
}

/* Have worker `who` carry out one order, and put " RESULT CYCLES", or " died STATUS CYCLES": those until its end is known. */
static void carry_out(int who) {
    if (!views[who].pid) {
        put_text(&out, " nobody");
        return;
    }
    word before = time_stamp();
    SYSCALL(__NR_write, ORDERS[who].pipe[1], "", 1);
    int ended = await(who);
    if (ended) {
        word cycles = time_stamp() - before;
        put_text(&out, " died ");
        put_word(&out, (word)(ended & 0xffff), 10);
        put_char(&out, ' ');
        put_word(&out, cycles, 10);
        return;
    }
    put_char(&out, ' ');
    put_signed(&out, ORDERS[who].result);
    put_char(&out, ' ');
    put_word(&out, ORDERS[who].cycles, 10);
    note_pages(who);
    if (ORDERS[who].kind == 'f' && ORDERS[who].result > 0)
        open_view((int)ORDERS[who].arguments[0], ORDERS[who].result);
}

static void observe(word watch) {
    if (watch & (WATCH_VMAS | WATCH_STATS))
        drain(&look);
    if (watch & WATCH_STATS)
        put_stats(&out, &look, 0);
    if (watch & WATCH_VMAS)
        for (int who = 0; who < WORKERS; who++)
            if (views[who].pid)
                put_view(&out, &look, &views[who], who);
}

/* A trace: its head "T WINDOW_START WINDOW_END WATCH", then orders, then "E". */
static const char *run_trace(const char *at) {
    look.start = (at += 2, parse_word(&at, 16));
    look.end = (at++, parse_word(&at, 16));
    word watch = (at++, parse_word(&at, 16)), step = 0;
    look.blocks.least_shift = has_huge_pages() ? LARGE_BLOCK_SHIFT : SMALL_BLOCK_SHIFT;
    blocks_init(&look.blocks, look.start, look.end);
    begin_line(&out, "trace");
    end_line(&out);
    start_worker();
    /* The first order, an empty touch, is answered when the worker is ready. */
    ORDERS[0].kind = 't';
    ORDERS[0].arguments[1] = 0;
    ORDERS[0].arguments[2] = 1;
    SYSCALL(__NR_write, ORDERS[0].pipe[1], "", 1);
    if (await(0))
        fail("a worker did not start", 0);
    drain(&look);
    if (watch & WATCH_STATS)
        put_stats(&out, &look, 1);
    for (at = after(at, '\n'); *at && *at != 'E'; at = after(at, '\n')) {
        char kind = *at++;
        int who = (at++, (int)parse_word(&at, 16)) % WORKERS;
        ORDERS[who].kind = (word)kind;
        for (int argument = 0; argument < 8; argument++)
            ORDERS[who].arguments[argument] = *at == ' ' ? (at++, parse_word(&at, 16)) : 0;
        begin_line(&out, "step ");
        put_word(&out, step++, 10);
        carry_out(who);
        observe(watch);
        end_line(&out);
    }
    end_workers();
    return after(at, '\n');
}

/* A setting: "S PATH TEXT", written before the traces that follow; for files of /proc/sys and /sys. */
static const char *change_setting(const char *at) {
    char path[256], text[256];
    size_t used = 0;
    for (at += 2; *at && *at != ' ' && *at != '\n' && used < 255; at++)
        path[used++] = *at;
    path[used] = 0;
    for (used = 0, at += *at == ' '; *at && *at != '\n' && used < 255; at++)
        text[used++] = *at;
    text[used] = 0;
    write_file(path, text);
    return after(at, '\n');
}

/* Swap: "W PATH", a device that has a swap header, before the traces that follow. */
static const char *swap_on(const char *at) {
    char path[256];
    size_t used = 0;
    for (at += 2; *at && *at != '\n' && used < 255; at++)
        path[used++] = *at;
    path[used] = 0;
    long result = SYSCALL(__NR_swapon, path, 0);
    if (result)
        fail("swapon", result);
    return after(at, '\n');
}

static void say_hello(void) {
    static char version[512];
    int fd = open_file("/proc/sys/kernel/osrelease", O_RDONLY);
    begin_line(&out, "hello ");
    put_word(&out, PROTOCOL, 10);
    put_text(&out, " kernel ");
    if (fd >= 0 && read_whole(fd, version, sizeof version) > 0)
        for (const char *at = version; *at && *at != '\n'; at++)
            put_char(&out, *at);
    SYSCALL(__NR_close, fd);
    put_text(&out, " cpus ");
    put_signed(&out, look.cpus);
    put_text(&out, look.kpageflags >= 0 ? " kpageflags 1" : " kpageflags 0");
    put_text(&out, stats_are_exact(&look) ? " vmstat 1" : " vmstat 0");
    end_line(&out);
}

__attribute__((used, noreturn)) static void guest_main(word *stack) {
    const char **arguments = (const char **)(stack + 1);
    if (stack[0] < 3)
        leave(2);
    if (SYSCALL(__NR_getpid) == 1)
        mount_all();
    int fd = arguments[2][0] == '-' ? 1 : open_file(arguments[2], O_WRONLY | O_NOCTTY);
    make_raw(fd);
    lines_init(&out, fd, private_memory(LINE_BYTES));
    if (stack[0] > 3)
        ring_init(&out.ring, arguments[3]);
    observer_init();
    SYSCALL(__NR_mmap, ORDERS, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    fill_program();
    ORDERS[0].top = top_of_memory();
    SYSCALL(__NR_rt_sigprocmask, SIG_BLOCK, &child_ends, 0, 8);
    struct kernel_sigaction action = {on_child, SA_RESTORER, restore_signal, 0};
    SYSCALL(__NR_rt_sigaction, SIGCHLD, &action, 0, 8);
    if (look.cpus > 1)
        run_on(0);
    say_hello();
    size_t nbytes;
    for (const char *at = map_batch(arguments[1], &nbytes); *at;)
        at = *at == 'T' ? run_trace(at) : *at == 'S' ? change_setting(at) : *at == 'W' ? swap_on(at) : after(at, '\n');
    begin_line(&out, "end");
    end_line(&out);
    leave(0);
}

__attribute__((naked, noreturn)) void _start(void) {
    __asm__("mov %rsp, %rdi; xor %ebp, %ebp; and $-16, %rsp; call guest_main");
}
