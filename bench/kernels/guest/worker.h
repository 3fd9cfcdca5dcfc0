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

/* Put words into memory; -EFAULT where there is none, by an access that is caught. */
static long put_words(word at, word count, const word *words) {
    for (word index = 0; index < count && index < 6; index++) {
        if (access_byte(at + index * 8, 1) || access_byte(at + index * 8 + 7, 1))
            return -EFAULT;
        *(word *)(at + index * 8) = words[index];
    }
    return 0;
}

#define OWN_NUMBER 1UL      /* of the flags of a call: its first argument is this process's number */
#define DESCRIPTOR_SHIFT 8  /* above: the descriptor that its result becomes, 0 for a result that is none */

/* Make a call; what it opens is moved to the descriptor that the flags name. */
static long call_with(word flags, word number, const word *arguments) {
    word first = flags & OWN_NUMBER ? (word)SYSCALL(__NR_getpid) : arguments[0];
    long result = syscall6(number, first, arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
    if (result < 0 || !(flags >> DESCRIPTOR_SHIFT))
        return result;
    long moved = SYSCALL(__NR_dup3, result, flags >> DESCRIPTOR_SHIFT, O_CLOEXEC);
    SYSCALL(__NR_close, result);
    return moved < 0 ? moved : 0;
}

/* Make a call `count` times, its first argument greater by `stride` each time; the first error ends it. */
static long call_repeatedly(word number, word count, word stride, const word *arguments) {
    for (word index = 0; index < count; index++) {
        long result = syscall6(number, arguments[0] + index * stride, arguments[1], arguments[2], arguments[3],
                               arguments[4], 0);
        if (result < 0 && result > -4096)
            return result;
    }
    return 0;
}

/* Read a file to its end, always into the same room; the number of bytes. */
static long read_to_end(word fd, word room, word nbytes) {
    for (long whole = 0;;) {
        long got = SYSCALL(__NR_read, fd, room, nbytes);
        if (got <= 0)
            return got ? got : whole;
        whole += got;
    }
}

/* vfork, and have the child become another program, or end with 127; wait for its end. What the child does needs no stack. */
static __attribute__((noinline)) long start_program(word path, word arguments) {
    long child;
    register word environment __asm__("r8") = 0;
    __asm__ volatile("syscall\n"
                     "test %%rax, %%rax\n"
                     "jnz 1f\n"
                     "mov %[execve], %%eax\n"
                     "mov %[path], %%rdi\n"
                     "mov %[arguments], %%rsi\n"
                     "mov %%r8, %%rdx\n"
                     "syscall\n"
                     "mov %[exit], %%eax\n"
                     "mov $127, %%edi\n"
                     "syscall\n"
                     "1:\n"
                     : "=a"(child)
                     : "a"(__NR_vfork), [execve] "i"(__NR_execve), [exit] "i"(__NR_exit), [path] "r"(path),
                       [arguments] "r"(arguments), "r"(environment)
                     : "rcx", "rdx", "rdi", "rsi", "r11", "memory");
    int status = 0;
    if (child < 0)
        return child;
    long ended = SYSCALL(__NR_wait4, child, &status, 0, 0);
    return ended < 0 ? ended : status >> 8 == 127 ? -ENOEXEC : 0;
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
        word e = order->arguments[4], f = order->arguments[5], g = order->arguments[6], h = order->arguments[7];
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
        else if (kind == 'g')
            result = call_with(a, b, (word[]){c, d, e, f, g, h});
        else if (kind == 'm')
            result = put_words(a, b, (word[]){c, d, e, f, g, h});
        else if (kind == 'y')
            result = call_repeatedly(a, b, c, (word[]){d, e, f, g, h});
        else if (kind == 'r')
            result = read_to_end(a, b, c);
        else if (kind == 'e')
            result = start_program(a, b);
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
