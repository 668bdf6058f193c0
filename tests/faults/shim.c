// SPDX-License-Identifier: Apache-2.0
// Loaded into a driver (LD_PRELOAD) by the fault lab. It counts the calls by which the driver touches
// what lies below a directory, in one order over all its threads, and at a chosen one kills the process,
// fails the call or cuts it short. It can also write down all of them, and leave out chosen syncs.
//
// The lab and the driver share the file that FAULTS_CONTROL names: `struct control`, then the trace, one
// line per call, "<name> <result> <fields...>", fields separated by tabs, bytes in hexadecimal. The file is
// mapped once, so that neither closed descriptors nor a sandbox get in the way, and it outlives a kill.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
  OPEN = 1, CREATE = 2, MKDIR = 4, WRITE = 8, TRUNCATE = 16, SYNC = 32, LINK = 64, RENAME = 128,
  UNLINK = 256, STAT = 512, READ = 1024, SEND = 2048, COPY = 4096, UTIME = 8192, LOCK = 16384,
  LIST = 32768,
};
enum action { NOTHING = 0, KILL = 1, FAIL = 2, SHORTEN = 3 };

#define PATHS 1024

// shim.py has the same in its own words.
struct control {
  uint64_t seen;          // calls of these kinds since it was armed
  uint64_t strike_at;     // the one to strike, from 1; 0 for none
  uint64_t struck;        // how often it did
  uint64_t trace_length;  // bytes written
  uint64_t trace_size;    // bytes of room; 0 for no trace
  uint32_t kinds;
  uint32_t action;
  int32_t error;
  uint32_t is_armed;
  char root[PATHS];       // without a slash at its end
  char left_out[PATHS];   // a pattern of paths whose syncs are left out; empty for none
  char what[PATHS];       // what was struck
};
#define TRACE 4096

static struct control *control;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("FAULTS_CONTROL");
  struct stat status;
  if (!path) return;
  int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
  if (fd < 0 || syscall(SYS_fstat, fd, &status) < 0) abort();
  void *where = mmap(NULL, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (where == MAP_FAILED) abort();
  control = where;
  syscall(SYS_close, fd);
}

// Where `path` is, seen from `directory`; empty for what is not below the root.
static const char *place(char *out, int directory, const char *path) {
  char link[64];
  size_t length = strlen(control->root);
  out[0] = 0;
  if (path && path[0] == '/') {
    snprintf(out, PATH_MAX, "%s", path);
  } else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t count = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
    if (count < 0) count = 0;
    out[count] = 0;
    if (path && path[0]) snprintf(out + count, PATH_MAX - count, "/%s", path);
  }
  if (strncmp(out, control->root, length) || (out[length] && out[length] != '/')) {
    out[0] = 0;
  } else {
    memmove(out, out + length, strlen(out + length) + 1);
    if (!out[0]) strcpy(out, "/");
  }
  return out;
}

static int is_socket(int fd) {
  struct stat status;
  return !syscall(SYS_fstat, fd, &status) && S_ISSOCK(status.st_mode);
}

// Whether this call is the one, counted. A kill does not return.
static int is_struck(enum kind kind, const char *name, const char *path) {
  if (!control->is_armed || !(control->kinds & kind)) return 0;
  uint64_t number = __atomic_add_fetch(&control->seen, 1, __ATOMIC_SEQ_CST);
  if (!control->strike_at || number != control->strike_at) return 0;
  snprintf(control->what, PATHS, "%s %s", name, path);
  __atomic_add_fetch(&control->struck, 1, __ATOMIC_SEQ_CST);
  if (control->action == KILL) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
  return control->action != NOTHING;
}

static void put(const char *data, size_t length) {
  uint64_t start = control->trace_length;
  if (start + length > control->trace_size) length = control->trace_size - start;
  memcpy((char *)control + TRACE + start, data, length);
  control->trace_length = start + length;
}

static void put_hex(const unsigned char *data, size_t length) {
  static const char digits[] = "0123456789abcdef";
  char pair[2];
  for (size_t i = 0; i < length; i++) {
    pair[0] = digits[data[i] >> 4];
    pair[1] = digits[data[i] & 15];
    put(pair, 2);
  }
}

static void trace(const char *name, long long result, const char *format, ...) {
  char line[3 * PATH_MAX];
  va_list arguments;
  int head = snprintf(line, sizeof line, "%s\t%lld", name, result);
  va_start(arguments, format);
  head += vsnprintf(line + head, sizeof line - head, format, arguments);
  va_end(arguments);
  put(line, head < (int)sizeof line ? head : (int)sizeof line - 1);
}

#define REAL(type, name, ...) \
  static type (*real_##name)(__VA_ARGS__); \
  if (!real_##name) real_##name = dlsym(RTLD_NEXT, #name)

// Runs `call` (an expression that sets `result`) unless it is struck; `told` writes it down. While a trace
// is kept, calls take turns, so that their order is their effects' order.
#define RUN(kind, name, path, failed, call, told) \
  do { \
    int keeps = control->trace_size != 0; \
    if (keeps) pthread_mutex_lock(&turn); \
    if (is_struck(kind, name, path)) { errno = control->error; result = failed; } \
    else call; \
    if (keeps) { int saved = errno; told; put("\n", 1); pthread_mutex_unlock(&turn); errno = saved; } \
  } while (0)

// --- names

static int run_open(const char *name, int (*real)(int, const char *, int, ...), int directory,
                    const char *path, int flags, mode_t mode) {
  char full[PATH_MAX];
  int result;
  if (!control || !*place(full, directory, path)) return real(directory, path, flags, mode);
  RUN(flags & O_CREAT ? CREATE : OPEN, name, full, -1, result = real(directory, path, flags, mode),
      trace("open", result, "\t%s\t%s%s", full, flags & O_CREAT ? "c" : "", flags & O_TRUNC ? "t" : ""));
  return result;
}

static int real_openat_any(int directory, const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return syscall(SYS_openat, directory, path, flags, mode);
}

#define MODE(last) \
  mode_t mode = 0; \
  if (flags & (O_CREAT | __O_TMPFILE)) { va_list a; va_start(a, last); mode = va_arg(a, mode_t); va_end(a); }

int open(const char *path, int flags, ...) {
  MODE(flags) return run_open("open", real_openat_any, AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  MODE(flags) return run_open("open", real_openat_any, AT_FDCWD, path, flags, mode);
}
int openat(int directory, const char *path, int flags, ...) {
  MODE(flags) return run_open("open", real_openat_any, directory, path, flags, mode);
}
int openat64(int directory, const char *path, int flags, ...) {
  MODE(flags) return run_open("open", real_openat_any, directory, path, flags, mode);
}

#define ONE_NAME(kind, name, shown, parameters, arguments, directory, path) \
  int name parameters { \
    char full[PATH_MAX]; \
    int result; \
    REAL(int, name, NAMES_OF parameters); \
    if (!control || !*place(full, directory, path)) return real_##name arguments; \
    RUN(kind, #name, full, -1, result = real_##name arguments, trace(shown, result, "\t%s", full)); \
    return result; \
  }
#define NAMES_OF(...) __VA_ARGS__

ONE_NAME(MKDIR, mkdir, "mkdir", (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
ONE_NAME(MKDIR, mkdirat, "mkdir", (int at, const char *path, mode_t mode), (at, path, mode), at, path)
ONE_NAME(UNLINK, rmdir, "rmdir", (const char *path), (path), AT_FDCWD, path)
ONE_NAME(UNLINK, unlink, "unlink", (const char *path), (path), AT_FDCWD, path)
ONE_NAME(STAT, stat, "stat", (const char *path, struct stat *out), (path, out), AT_FDCWD, path)
ONE_NAME(STAT, lstat, "stat", (const char *path, struct stat *out), (path, out), AT_FDCWD, path)
ONE_NAME(STAT, stat64, "stat", (const char *path, struct stat64 *out), (path, out), AT_FDCWD, path)
ONE_NAME(STAT, lstat64, "stat", (const char *path, struct stat64 *out), (path, out), AT_FDCWD, path)
ONE_NAME(STAT, fstatat, "stat", (int at, const char *path, struct stat *out, int flags),
         (at, path, out, flags), at, path)
ONE_NAME(STAT, fstatat64, "stat", (int at, const char *path, struct stat64 *out, int flags),
         (at, path, out, flags), at, path)
ONE_NAME(STAT, fstat, "stat", (int fd, struct stat *out), (fd, out), fd, NULL)
ONE_NAME(STAT, fstat64, "stat", (int fd, struct stat64 *out), (fd, out), fd, NULL)
ONE_NAME(UTIME, futimens, "utime", (int fd, const struct timespec times[2]), (fd, times), fd, NULL)
ONE_NAME(UTIME, utimensat, "utime",
         (int at, const char *path, const struct timespec times[2], int flags), (at, path, times, flags),
         at, path)
ONE_NAME(LOCK, flock, "flock", (int fd, int operation), (fd, operation), fd, NULL)

int unlinkat(int at, const char *path, int flags) {
  char full[PATH_MAX];
  int result;
  REAL(int, unlinkat, int, const char *, int);
  if (!control || !*place(full, at, path)) return real_unlinkat(at, path, flags);
  RUN(UNLINK, "unlinkat", full, -1, result = real_unlinkat(at, path, flags),
      trace(flags & AT_REMOVEDIR ? "rmdir" : "unlink", result, "\t%s", full));
  return result;
}

#define TWO_NAMES(kind, name, shown, parameters, arguments, from, old, to, new) \
  int name parameters { \
    char first[PATH_MAX], second[PATH_MAX]; \
    int result; \
    REAL(int, name, NAMES_OF parameters); \
    if (!control || (!*place(first, from, old) & !*place(second, to, new))) return real_##name arguments; \
    RUN(kind, #name, second, -1, result = real_##name arguments, \
        trace(shown, result, "\t%s\t%s", first, second)); \
    return result; \
  }

TWO_NAMES(RENAME, rename, "rename", (const char *old, const char *new), (old, new), AT_FDCWD, old,
          AT_FDCWD, new)
TWO_NAMES(RENAME, renameat, "rename", (int from, const char *old, int to, const char *new),
          (from, old, to, new), from, old, to, new)
TWO_NAMES(RENAME, renameat2, "rename",
          (int from, const char *old, int to, const char *new, unsigned flags),
          (from, old, to, new, flags), from, old, to, new)
TWO_NAMES(LINK, link, "link", (const char *old, const char *new), (old, new), AT_FDCWD, old, AT_FDCWD, new)
TWO_NAMES(LINK, linkat, "link", (int from, const char *old, int to, const char *new, int flags),
          (from, old, to, new, flags), from, old, to, new)

DIR *opendir(const char *path) {
  char full[PATH_MAX];
  DIR *result;
  REAL(DIR *, opendir, const char *);
  if (!control || !*place(full, AT_FDCWD, path)) return real_opendir(path);
  RUN(LIST, "opendir", full, NULL, result = real_opendir(path), trace("list", result ? 0 : -1, "\t%s", full));
  return result;
}

// --- bytes

static ssize_t run_write(const char *name, int fd, const void *data, size_t count, off64_t offset) {
  char full[PATH_MAX];
  ssize_t result;
  int is_at = offset >= 0;
#define WRITES(n) (is_at ? syscall(SYS_pwrite64, fd, data, n, offset) : syscall(SYS_write, fd, data, n))
  if (!control || !*place(full, fd, NULL)) return WRITES(count);
  if (!is_at) offset = syscall(SYS_lseek, fd, 0, SEEK_CUR);
  RUN(WRITE, name, full, control->action == SHORTEN ? WRITES((count + 1) / 2) : -1, result = WRITES(count),
      (trace("write", result, "\t%s\t%lld\t", full, (long long)offset),
       put_hex(data, result > 0 ? result : 0)));
  return result;
}

ssize_t write(int fd, const void *data, size_t count) { return run_write("write", fd, data, count, -1); }
ssize_t pwrite(int fd, const void *data, size_t count, off_t offset) {
  return run_write("pwrite", fd, data, count, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t count, off64_t offset) {
  return run_write("pwrite", fd, data, count, offset);
}

static int run_truncate(int fd, off64_t length) {
  char full[PATH_MAX];
  int result;
  if (!control || !*place(full, fd, NULL)) return syscall(SYS_ftruncate, fd, length);
  RUN(TRUNCATE, "ftruncate", full, -1, result = syscall(SYS_ftruncate, fd, length),
      trace("truncate", result, "\t%s\t%lld", full, (long long)length));
  return result;
}
int ftruncate(int fd, off_t length) { return run_truncate(fd, length); }
int ftruncate64(int fd, off64_t length) { return run_truncate(fd, length); }

static int run_sync(const char *name, long number, int fd) {
  char full[PATH_MAX];
  int result;
  if (!control || !*place(full, fd, NULL)) return syscall(number, fd);
  if (control->left_out[0] && !fnmatch(control->left_out, full, 0)) return 0;
  RUN(SYNC, name, full, -1, result = syscall(number, fd), trace("sync", result, "\t%s", full));
  return result;
}
int fsync(int fd) { return run_sync("fsync", SYS_fsync, fd); }
int fdatasync(int fd) { return run_sync("fdatasync", SYS_fdatasync, fd); }

ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *end, size_t count, unsigned flags) {
  char full[PATH_MAX];
  ssize_t result;
  REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
  if (!control || !*place(full, to, NULL)) return real_copy_file_range(from, start, to, end, count, flags);
  RUN(COPY, "copy_file_range", full, -1, result = real_copy_file_range(from, start, to, end, count, flags),
      trace("copy", result, "\t%s", full));
  return result;
}

static ssize_t run_read(int fd, void *data, size_t count, off64_t offset) {
  char full[PATH_MAX];
  ssize_t result;
#define READS (offset >= 0 ? syscall(SYS_pread64, fd, data, count, offset) : syscall(SYS_read, fd, data, count))
  if (!control || !*place(full, fd, NULL)) return READS;
  RUN(READ, "read", full, -1, result = READS, trace("read", result, "\t%s", full));
  return result;
}
ssize_t read(int fd, void *data, size_t count) { return run_read(fd, data, count, -1); }
ssize_t pread(int fd, void *data, size_t count, off_t offset) { return run_read(fd, data, count, offset); }
ssize_t pread64(int fd, void *data, size_t count, off64_t offset) { return run_read(fd, data, count, offset); }

// --- answers

#define SENDS(name, parameters, arguments, fd) \
  ssize_t name parameters { \
    ssize_t result; \
    REAL(ssize_t, name, NAMES_OF parameters); \
    if (!control || !control->is_armed || !is_socket(fd)) return real_##name arguments; \
    RUN(SEND, #name, "", -1, result = real_##name arguments, trace("send", result, "")); \
    return result; \
  }
SENDS(send, (int fd, const void *data, size_t count, int flags), (fd, data, count, flags), fd)
SENDS(sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), fd)
