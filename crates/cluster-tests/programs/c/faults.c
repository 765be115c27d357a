/* Makes one call of the C library fail in a process that is started with LD_PRELOAD: the Nth call of a name on files
 * below a directory.
 *
 *   FAULT_DIR    files below it are concerned
 *   FAULT_CALL   open, write, pwrite, fsync, fdatasync, rename, unlink, ftruncate
 *   FAULT_NTH    which call, from 1
 *   FAULT_ERRNO  the number to fail with; 0 writes half of what was given (write and pwrite)
 *   FAULT_LASTS  1: all later calls fail, too
 *   FAULT_NOTE   file that gets the time of the failure, nanoseconds of CLOCK_MONOTONIC, and the file concerned
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls;

static const char *text(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

static int below(const char *path) {
    const char *dir = text("FAULT_DIR");
    size_t length = strlen(dir);
    return length > 0 && path && strncmp(path, dir, length) == 0;
}

static void note(const char *path) {
    struct timespec now;
    char line[PATH_MAX + 64];
    clock_gettime(CLOCK_MONOTONIC, &now);
    int length = snprintf(line, sizeof line, "%lld %s\n", now.tv_sec * 1000000000LL + now.tv_nsec, path);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, text("FAULT_NOTE"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd >= 0) {
        syscall(SYS_write, fd, line, (size_t)length);
        syscall(SYS_close, fd);
    }
}

/* Whether this call is the one. */
static int strikes(const char *call, const char *path) {
    if (strcmp(text("FAULT_CALL"), call) != 0 || !below(path)) return 0;
    long number = atomic_fetch_add(&calls, 1) + 1;
    long nth = atol(text("FAULT_NTH"));
    if (number != nth && !(number > nth && atoi(text("FAULT_LASTS")))) return 0;
    if (number == nth) note(path);
    errno = atoi(text("FAULT_ERRNO"));
    return 1;
}

static int strikes_fd(const char *call, int fd) {
    char link[64], path[PATH_MAX];
    if (strcmp(text("FAULT_CALL"), call) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strikes(call, path);
}

#define NEXT(result, name, ...)                                                                                        \
    static result (*next)(__VA_ARGS__);                                                                                \
    if (!next) next = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(rest, mode_t) : 0;                                    \
        va_end(rest);                                                                                                  \
        NEXT(int, #name, const char *, int, ...);                                                                      \
        if ((flags & O_CREAT) && strikes("open", path)) return -1;                                                     \
        return next(path, flags, mode);                                                                                \
    }
OPEN(open)
OPEN(open64)

#define WRITE(name, call, declared, given)                                                                             \
    ssize_t name declared {                                                                                            \
        static ssize_t(*next) declared;                                                                                \
        if (!next) next = (ssize_t(*) declared)dlsym(RTLD_NEXT, #name);                                                \
        if (strikes_fd(call, fd)) {                                                                                    \
            if (errno != 0 || bytes < 2) return -1;                                                                    \
            bytes /= 2;                                                                                                \
        }                                                                                                              \
        return next given;                                                                                             \
    }
WRITE(write, "write", (int fd, const void *data, size_t bytes), (fd, data, bytes))
WRITE(pwrite, "pwrite", (int fd, const void *data, size_t bytes, off_t at), (fd, data, bytes, at))
WRITE(pwrite64, "pwrite", (int fd, const void *data, size_t bytes, off64_t at), (fd, data, bytes, at))

#define ON_FD(name, call, declared, given)                                                                             \
    int name declared {                                                                                                \
        static int(*next) declared;                                                                                    \
        if (!next) next = (int(*) declared)dlsym(RTLD_NEXT, #name);                                                    \
        if (strikes_fd(call, fd)) return -1;                                                                           \
        return next given;                                                                                             \
    }
ON_FD(fsync, "fsync", (int fd), (fd))
ON_FD(fdatasync, "fdatasync", (int fd), (fd))
ON_FD(ftruncate, "ftruncate", (int fd, off_t bytes), (fd, bytes))
ON_FD(ftruncate64, "ftruncate", (int fd, off64_t bytes), (fd, bytes))

int rename(const char *from, const char *to) {
    NEXT(int, "rename", const char *, const char *);
    if (strikes("rename", to)) return -1;
    return next(from, to);
}

int unlink(const char *path) {
    NEXT(int, "unlink", const char *);
    if (strikes("unlink", path)) return -1;
    return next(path);
}
