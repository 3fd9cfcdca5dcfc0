/*
 * Runs a command that leaves nothing behind.
 *
 *     keeper SECONDS MIB DIRECTORY COMMAND ARGUMENT...
 *
 * Standard input is a pipe whose other end the harness holds. When that closes, because the harness ended in whatever way,
 * when the time is up, when a process has more than MIB resident, or when the command ends, every process that came of the
 * command is killed; DIRECTORY, if it is not "", is removed once the pipe is closed. Ends with the command's exit code, 123
 * when a process was too large, 124 when the time was up, 125 when the harness was gone, 126 and 127 as a shell does.
 */
#include "memory.h"
#include "processes.h"
#include "removal.h"

#include <asm/signal.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/time.h>
#include <linux/wait.h>

#define TOO_LARGE 123
#define TIME_IS_UP 124
#define HARNESS_GONE 125
#define LOOK_MS 100 /* between two looks at the memory */

static long run(const char **arguments, const char **environment) {
    int nothing = open_file("/dev/null", O_RDONLY);
    SYSCALL(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
    SYSCALL(__NR_setsid);
    SYSCALL(__NR_dup2, nothing, 0);
    int score = open_file("/proc/self/oom_score_adj", O_WRONLY);
    if (score >= 0)
        write_all(score, "1000", 4); /* where memory runs out, the guest goes first */
    word mask = 0;
    SYSCALL(__NR_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
    SYSCALL(__NR_execve, arguments[0], arguments, environment);
    SYSCALL(__NR_exit_group, 127);
    return -1;
}

/* Kill every child, and what becomes one as its parent dies, until there is none. */
static void kill_all(long session) {
    long children[CHILDREN];
    for (;;) {
        SYSCALL(__NR_kill, -session, SIGKILL);
        long count = children_of(SYSCALL(__NR_getpid), children, 0);
        while (count)
            SYSCALL(__NR_kill, children[--count], SIGKILL);
        if (SYSCALL(__NR_wait4, -1, 0, 0, 0) == -ECHILD)
            return;
    }
}

static long now_ms(void) {
    struct __kernel_timespec now;
    SYSCALL(__NR_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What ended the wait: the command's exit code, or one of ours. */
static int watch(long pid, int child_ended, long seconds, long mib) {
    struct pollfd polls[2] = {{0, 0, 0}, {child_ended, POLLIN, 0}};
    long end = now_ms() + seconds * 1000;
    for (;;) {
        struct __kernel_timespec pause = {0, LOOK_MS * 1000000};
        SYSCALL(__NR_ppoll, polls, 2, &pause, 0, 0);
        int status = 0;
        char siginfo[128];
        if (polls[1].revents)
            SYSCALL(__NR_read, child_ended, siginfo, sizeof siginfo);
        if (SYSCALL(__NR_wait4, pid, &status, WNOHANG, 0) == pid)
            return status & 127 ? 128 + (status & 127) : status >> 8 & 255;
        if (polls[0].revents)
            return HARNESS_GONE;
        if (now_ms() >= end)
            return TIME_IS_UP;
        if (largest_mib() > mib)
            return TOO_LARGE;
    }
}

static long number(const char *digit) {
    long value = 0;
    for (; *digit; digit++)
        value = value * 10 + *digit - '0';
    return value;
}

__attribute__((used, noreturn)) static void keeper_main(word *stack) {
    long count = (long)stack[0];
    const char **arguments = (const char **)(stack + 1), **environment = arguments + count + 1;
    int code = 126;
    if (count >= 5) {
        SYSCALL(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1);
        SYSCALL(__NR_setsid); /* Ctrl-C is the harness's, which closes the pipe */
        word mask = 1UL << (SIGCHLD - 1);
        SYSCALL(__NR_rt_sigprocmask, SIG_BLOCK, &mask, 0, 8);
        int child_ended = (int)SYSCALL(__NR_signalfd4, -1, &mask, 8, O_CLOEXEC | O_NONBLOCK);
        long pid = SYSCALL(__NR_fork);
        if (pid == 0)
            run(arguments + 4, environment);
        code = pid < 0 ? 126 : watch(pid, child_ended, number(arguments[1]), number(arguments[2]));
        if (pid > 0)
            kill_all(pid);
        SYSCALL(__NR_close, 1); /* the harness reads to the end, */
        struct pollfd harness = {0, 0, 0};
        SYSCALL(__NR_ppoll, &harness, 1, 0, 0, 0); /* then what the directory has, and closes the pipe */
        remove_directory(arguments[3]);
    }
    for (;;)
        SYSCALL(__NR_exit_group, code);
}

__attribute__((naked, noreturn)) void _start(void) {
    __asm__("mov %rsp, %rdi; xor %ebp, %ebp; and $-16, %rsp; call keeper_main");
}
