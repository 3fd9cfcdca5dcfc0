/*
 * Runs a command that leaves nothing behind.
 *
 *     keeper SECONDS COMMAND ARGUMENT...
 *
 * Standard input is a pipe whose other end the harness holds. When that closes, because the harness ended in whatever way,
 * when the time is up, or when the command ends, every process that came of the command is killed. Ends with the command's
 * exit code, 124 when the time was up, 125 when the harness was gone, 126 and 127 as a shell does.
 */
#include "system.h"

#include <asm/signal.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/time_types.h>
#include <linux/wait.h>

#define TIME_IS_UP 124
#define HARNESS_GONE 125

void *memcpy(void *to, const void *from, size_t nbytes) {
    char *target = to;
    const char *source = from;
    while (nbytes--)
        *target++ = *source++;
    return to;
}

void *memset(void *to, int value, size_t nbytes) {
    char *target = to;
    while (nbytes--)
        *target++ = (char)value;
    return to;
}

static long run(const char **arguments, const char **environment) {
    int nothing = open_file("/dev/null", O_RDONLY);
    SYSCALL(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
    SYSCALL(__NR_setsid);
    SYSCALL(__NR_dup2, nothing, 0);
    word mask = 0;
    SYSCALL(__NR_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
    SYSCALL(__NR_execve, arguments[0], arguments, environment);
    SYSCALL(__NR_exit_group, 127);
    return -1;
}

/* Kill every child, and what becomes one as its parent dies, until there is none. */
static void kill_all(long session) {
    static char text[65536];
    for (;;) {
        SYSCALL(__NR_kill, -session, SIGKILL);
        int children = open_file("/proc/thread-self/children", O_RDONLY);
        long got = children < 0 ? 0 : SYSCALL(__NR_read, children, text, sizeof text - 1);
        if (children >= 0)
            SYSCALL(__NR_close, children);
        for (long at = 0, pid = 0; at < got; at++) {
            if (text[at] == ' ') {
                SYSCALL(__NR_kill, pid, SIGKILL);
                pid = 0;
            } else
                pid = pid * 10 + text[at] - '0';
        }
        long ended = SYSCALL(__NR_wait4, -1, 0, 0, 0);
        if (ended == -ECHILD)
            return;
    }
}

/* What ended the wait: the command's exit code, or one of ours. */
static int watch(long pid, int child_ended, long seconds) {
    struct pollfd polls[2] = {{0, 0, 0}, {child_ended, POLLIN, 0}};
    struct __kernel_timespec left = {seconds, 0}; /* ppoll() counts it down */
    for (;;) {
        long ready = SYSCALL(__NR_ppoll, polls, 2, &left, 0, 0);
        if (ready == 0)
            return TIME_IS_UP;
        int status = 0;
        char siginfo[128];
        if (polls[1].revents)
            SYSCALL(__NR_read, child_ended, siginfo, sizeof siginfo);
        if (SYSCALL(__NR_wait4, pid, &status, WNOHANG, 0) == pid)
            return status & 127 ? 128 + (status & 127) : status >> 8 & 255;
        if (polls[0].revents)
            return HARNESS_GONE;
    }
}

__attribute__((used, noreturn)) static void keeper_main(word *stack) {
    long count = (long)stack[0], seconds = 0;
    const char **arguments = (const char **)(stack + 1), **environment = arguments + count + 1;
    int code = 126;
    if (count >= 3) {
        for (const char *digit = arguments[1]; *digit; digit++)
            seconds = seconds * 10 + *digit - '0';
        SYSCALL(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1);
        SYSCALL(__NR_setsid); /* Ctrl-C is the harness's, which closes the pipe */
        word mask = 1UL << (SIGCHLD - 1);
        SYSCALL(__NR_rt_sigprocmask, SIG_BLOCK, &mask, 0, 8);
        int child_ended = (int)SYSCALL(__NR_signalfd4, -1, &mask, 8, O_CLOEXEC | O_NONBLOCK);
        long pid = SYSCALL(__NR_fork);
        if (pid == 0)
            run(arguments + 2, environment);
        code = pid < 0 ? 126 : watch(pid, child_ended, seconds);
        if (pid > 0)
            kill_all(pid);
    }
    for (;;)
        SYSCALL(__NR_exit_group, code);
}

__attribute__((naked, noreturn)) void _start(void) {
    __asm__("mov %rsp, %rdi; xor %ebp, %ebp; and $-16, %rsp; call keeper_main");
}
