/*
 * The process whose memory is looked at. It does what its order says, one call at a time. All of [PROGRAM_START, PROGRAM_END)
 * is mapped, by this program, pages without access, and the page of orders at its end, so that mlockall() counts what traces
 * say; nothing else is: there is no C library, and the kernel's stack and vdso are gone.
 */
#ifndef WORKER_H
#define WORKER_H

#include "system.h"

#include <asm/sigcontext.h>
#include <asm/signal.h>
#include <asm/siginfo.h>
#include <asm/ucontext.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/time.h>

#define PROGRAM_START 0x400000UL
#define PROGRAM_END 0x500000UL
#define ORDERS ((volatile struct order *)(PROGRAM_END - 4096))
#define WORKERS 8 /* of one trace */
#define STACK_BYTES 8192

struct order {
    word kind; /* the letter of its line in the batch */
    word arguments[8];
    word top;  /* end of the memory that a worker finds at its start */
    long result;
    word cycles; /* between entering and leaving the call */
    int pipe[2]; /* a byte in it: carry out the order */
};

static int done_pipe[2]; /* a byte in it: some worker has carried out its order */
static char worker_stack[STACK_BYTES] __attribute__((aligned(4096)));

/*
 * access_byte(at, is_write): one access of a user program; 0, or 1 if it was refused with SIGSEGV or SIGBUS: on_fault()
 * then goes on at access_refused.
 */
long access_byte(word at, int is_write);
extern const char access_refused[];
__asm__("access_byte: test %esi, %esi\n"
        "jnz 1f\n"
        "movb (%rdi), %al\n"
        "jmp 2f\n"
        "1: movb $1, (%rdi)\n"
        "2: xor %eax, %eax\n"
        "ret\n"
        "access_refused: mov $1, %eax\n"
        "ret\n");

static void on_fault(int signal, void *info, void *context) {
    (void)signal;
    (void)info;
    ((struct ucontext *)context)->uc_mcontext.rip = (word)access_refused;
}

__attribute__((naked, used)) static void restore_signal(void) {
    __asm__("mov %0, %%eax; syscall" : : "i"(__NR_rt_sigreturn));
}

/* What the kernel takes; the header of that name is the C library's. */
struct kernel_sigaction {
    void (*handler)(int signal, void *info, void *context);
    word flags;
    void (*restorer)(void);
    word mask;
};

static void catch_faults(void) {
    struct kernel_sigaction action = {on_fault, SA_SIGINFO | SA_RESTORER, restore_signal, 0};
    SYSCALL(__NR_rt_sigaction, SIGSEGV, &action, 0, 8);
    SYSCALL(__NR_rt_sigaction, SIGBUS, &action, 0, 8);
}

/* One access every `stride` bytes; -EFAULT at the first that is refused. */
static long touch(word from, word nbytes, word stride, int is_write) {
    for (word at = from; at - from < nbytes; at += stride)
        if (access_byte(at, is_write))
            return -EFAULT;
    return 0;
}

static long drop_capability(int capability) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    long result = SYSCALL(__NR_capget, &header, data);
    if (result)
        return result;
    data[capability / 32].effective &= ~(1U << capability % 32);
    data[capability / 32].permitted &= ~(1U << capability % 32);
    data[capability / 32].inheritable &= ~(1U << capability % 32);
    return SYSCALL(__NR_capset, &header, data);
}

static long set_limit(int resource, word nbytes) {
    struct rlimit64 limit = {nbytes, nbytes};
    return SYSCALL(__NR_prlimit64, 0, resource, &limit, 0);
}

/* Sleep for so many ns; return how many went by on the kernel's raw clock. */
static long wait_for(word nanoseconds) {
    struct __kernel_timespec before, after, length = {(long)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
    SYSCALL(__NR_clock_gettime, CLOCK_MONOTONIC_RAW, &before);
    SYSCALL(__NR_nanosleep, &length, 0);
    SYSCALL(__NR_clock_gettime, CLOCK_MONOTONIC_RAW, &after);
    return (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
}

/* Make a file in memory of so many bytes, open as `fd`. */
static long make_file(int fd, word nbytes) {
    long made = SYSCALL(__NR_memfd_create, "file", 0);
    if (made < 0)
        return made;
    long result = SYSCALL(__NR_ftruncate, made, nbytes);
    if (result == 0)
        result = SYSCALL(__NR_dup3, made, fd, O_CLOEXEC);
    SYSCALL(__NR_close, made);
    return result;
}

/* Fork, as a child of the supervisor, which learns of its end; its process number, 0 in the child. */
static long fork_worker(void) {
    long pid = SYSCALL(__NR_clone, CLONE_PARENT | SIGCHLD);
    if (pid == 0)
        SYSCALL(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

/* Carry out the orders of worker `who`; what a fork makes goes on here as the worker that its order named. */
static __attribute__((noreturn)) void work(int who) {
    for (;;) {
        char byte;
        if (SYSCALL(__NR_read, ORDERS[who].pipe[0], &byte, 1) != 1)
            SYSCALL(__NR_exit_group, 1);
        volatile struct order *order = &ORDERS[who];
        /* All of it is read before the call: a child wakes from its fork when the next order may be there already. */
        word kind = order->kind;
        word a = order->arguments[0], b = order->arguments[1], c = order->arguments[2], d = order->arguments[3];
        word e = order->arguments[4], f = order->arguments[5], g = order->arguments[6];
        word before = time_stamp();
        long result;
        if (kind == 'c')
            result = syscall6(a, b, c, d, e, f, g);
        else if (kind == 't')
            result = touch(a, b, c, d != 0);
        else if (kind == 'l')
            result = set_limit((int)a, b);
        else if (kind == 'd')
            result = drop_capability((int)a);
        else if (kind == 'o')
            result = make_file((int)a, b);
        else if (kind == 'w')
            result = wait_for(a);
        else if (kind == 'f')
            result = fork_worker();
        else if (kind == 'x')
            result = SYSCALL(__NR_exit_group, 0);
        else
            result = -ENOSYS;
        if (kind == 'f' && result == 0) {
            who = (int)a;
            continue;
        }
        order->cycles = time_stamp() - before;
        order->result = result;
        SYSCALL(__NR_write, done_pipe[1], "", 1);
    }
}

__attribute__((used, noreturn)) static void worker_main(void) {
    SYSCALL(__NR_munmap, PROGRAM_END, ORDERS[0].top - PROGRAM_END);
    catch_faults();
    work(0);
}

/* Start a worker's life on a stack of the program's own, so that the kernel's can be unmapped. */
static __attribute__((noreturn)) void become_worker(void) {
    SYSCALL(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
    __asm__ volatile("mov %0, %%rsp; xor %%ebp, %%ebp; call worker_main" : : "r"(worker_stack + STACK_BYTES) : "memory");
    __builtin_unreachable();
}

#endif
