/*
 * A library for LD_PRELOAD: stands between Node and the C library for the calls that change what is below one folder, counts them over
 * all processes of a command, and lets one of them fail, write less than it should, or be the last that is made. It also writes down
 * what was done, for a model of what a power cut would have left. The environment says what:
 *
 *   STRAKE_FAULT_ROOT   the folder, absolute, without links
 *   STRAKE_FAULT_STATE  a file of 24 bytes: calls counted, whether all is over, calls that a fault met
 *   STRAKE_FAULT_AT     the call that it is about, from 1; 0: none
 *   STRAKE_FAULT_KIND   crash | after (crash when it was done) | short (half of a write) | a number (that errno)
 *   STRAKE_FAULT_STICKY writes behind it meet the fault too, as on a full disk
 *   STRAKE_FAULT_READS  reads count instead of changes
 *   STRAKE_FAULT_TRACE  a file that takes a line a call: number, name, paths, and of descriptors the inode
 *   STRAKE_FAULT_GRAVES a folder in which files that are removed, replaced or moved are kept, by the number of the call
 *   STRAKE_FAULT_BOOT   a file that is read in place of the kernel's boot_id
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define ROOM 4400

struct state {
  unsigned long long count, over, met;
};

static struct state *state;
static char root[ROOM];
static size_t root_length;
static unsigned long long at;
static int code; /* errno, or one of these */
enum { CRASH = -1, AFTER = -2, SHORT = -3 };
static int sticky, reads;
static const char *trace, *graves, *boot;

__attribute__((constructor)) static void start(void) {
  const char *folder = getenv("STRAKE_FAULT_ROOT"), *file = getenv("STRAKE_FAULT_STATE");
  if (!folder || !file) return;
  int fd = syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *map = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  syscall(SYS_close, fd);
  if (map == MAP_FAILED) return;
  snprintf(root, sizeof root, "%s", folder);
  root_length = strlen(root);
  const char *number = getenv("STRAKE_FAULT_AT"), *kind = getenv("STRAKE_FAULT_KIND");
  at = number ? strtoull(number, NULL, 10) : 0;
  code = !kind ? 0 : !strcmp(kind, "crash") ? CRASH : !strcmp(kind, "after") ? AFTER : !strcmp(kind, "short") ? SHORT : atoi(kind);
  sticky = getenv("STRAKE_FAULT_STICKY") != NULL;
  reads = getenv("STRAKE_FAULT_READS") != NULL;
  trace = getenv("STRAKE_FAULT_TRACE");
  graves = getenv("STRAKE_FAULT_GRAVES");
  boot = getenv("STRAKE_FAULT_BOOT");
  state = map;
}

static void die(void) {
  for (;;) syscall(SYS_exit_group, 137);
}

static int below(const char *path) {
  return !strncmp(path, root, root_length) && (path[root_length] == '/' || path[root_length] == 0);
}

static int path_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, ROOM - 1);
  path[length > 0 ? length : 0] = 0;
  return length > 0 && path[0] == '/';
}

/* The path of NAME as seen from FOLDER; whether it is one of ours. */
static int whole(int folder, const char *name, char *path) {
  path[0] = 0;
  if (!state || !name) return 0;
  if (name[0] == '/') snprintf(path, ROOM, "%s", name);
  else if (folder == AT_FDCWD) return 0;
  else {
    char start[ROOM];
    if (!path_of(folder, start)) return 0;
    snprintf(path, ROOM, "%.2200s/%.2190s", start, name);
  }
  return below(path);
}

static void note(unsigned long long number, const char *name, const char *path, const char *other, int fd, long result) {
  if (!trace) return;
  int saved = errno;
  char line[3 * ROOM];
  struct stat facts;
  long long inode = 0;
  if (fd >= 0 && fstat(fd, &facts) == 0) inode = facts.st_ino;
  int length = snprintf(line, sizeof line, "%llu\t%s\t%ld\t%lld\t%s\t%s\n", number, name, result, inode, path, other ? other : "");
  int out = syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (out >= 0) {
    syscall(SYS_write, out, line, length);
    syscall(SYS_close, out);
  }
  errno = saved;
}

/* Keeps what a call will take away. */
static void bury(unsigned long long number, const char *which, const char *path) {
  if (!graves) return;
  char grave[ROOM];
  snprintf(grave, sizeof grave, "%.4000s/%llu%s", graves, number, which);
  int saved = errno;
  syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, grave, 0);
  errno = saved;
}

/* Whether the call is to be made: 1; SHORT: half of it; 0: errno is set. NUMBER is which one it is, IS_WRITE whether it needs room. */
static int admit(unsigned long long *number, int is_write, int is_read) {
  if (__atomic_load_n(&state->over, __ATOMIC_SEQ_CST)) die();
  *number = 0;
  if (is_read != reads) return 1;
  *number = __atomic_add_fetch(&state->count, 1, __ATOMIC_SEQ_CST);
  if (!at || (*number != at && !(sticky && *number > at && is_write))) return 1;
  __atomic_add_fetch(&state->met, 1, __ATOMIC_SEQ_CST);
  if (code == CRASH) {
    __atomic_store_n(&state->over, 1, __ATOMIC_SEQ_CST);
    die();
  }
  if (code == SHORT) return is_write || is_read ? SHORT : 1;
  if (code == AFTER) return AFTER;
  errno = code;
  return 0;
}

static void settle(int admitted) {
  if (admitted != AFTER) return;
  __atomic_store_n(&state->over, 1, __ATOMIC_SEQ_CST);
  die();
}

#define REAL(type, name, ...)                                       \
  static type (*real)(__VA_ARGS__);                                 \
  if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* A call on one path. */
#define ON_PATH(label, folder, name, is_write, taken, call)         \
  char path[ROOM];                                                  \
  if (!whole(folder, name, path) || reads) return call;             \
  unsigned long long number;                                        \
  int admitted = admit(&number, is_write, 0);                       \
  if (!admitted) {                                                  \
    note(number, "!" label, path, NULL, -1, -errno);                \
    return -1;                                                      \
  }                                                                 \
  if (taken) bury(number, "", path);                                   \
  int result = call;                                                \
  note(number, label, path, NULL, -1, result < 0 ? -errno : 0);     \
  settle(admitted);                                                 \
  return result

/* A call on two. */
#define ON_PATHS(label, folder, name, folder2, name2, taken, call)  \
  char path[ROOM], other[ROOM];                                     \
  whole(folder, name, path);                                        \
  if (!whole(folder2, name2, other) || reads) return call;          \
  unsigned long long number;                                        \
  int admitted = admit(&number, 1, 0);                              \
  if (!admitted) {                                                  \
    note(number, "!" label, path, other, -1, -errno);               \
    return -1;                                                      \
  }                                                                 \
  if (taken) bury(number, "", other), bury(number, "from", path);   \
  int result = call;                                                \
  note(number, label, path, other, -1, result < 0 ? -errno : 0);    \
  settle(admitted);                                                 \
  return result

/* A call on a descriptor. HALF is the same call for half of the bytes. */
#define ON_FILE(label, fd, is_write, is_read, call, half)           \
  char path[ROOM];                                                  \
  if (!state || is_read != reads || !path_of(fd, path) || !below(path)) return call; \
  unsigned long long number;                                        \
  int admitted = admit(&number, is_write, is_read);                 \
  if (!admitted) {                                                  \
    note(number, "!" label, path, NULL, fd, -errno);                \
    return -1;                                                      \
  }                                                                 \
  ssize_t result = admitted == SHORT ? half : call;                 \
  note(number, label, path, NULL, fd, result < 0 ? -errno : result); \
  settle(admitted);                                                 \
  return result

static int opened(int folder, const char *name, int flags, mode_t mode, int (*real)(int, const char *, int, ...)) {
  char path[ROOM];
  int changes = (flags & (O_CREAT | O_TRUNC)) != 0;
  if (boot && !strcmp(name, "/proc/sys/kernel/random/boot_id")) name = boot;
  if (!whole(folder, name, path) || changes == reads) return real(folder, name, flags, mode);
  unsigned long long number;
  int admitted = admit(&number, changes, !changes);
  if (!admitted) {
    note(number, "!open", path, NULL, -1, -errno);
    return -1;
  }
  int there = syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
  int fd = real(folder, name, flags, mode);
  note(number, !changes ? "open" : there ? flags & O_TRUNC ? "truncate" : "open" : "create", path, NULL, fd, fd < 0 ? -errno : 0);
  settle(admitted);
  return fd;
}

#define MODE(flags)                                                 \
  mode_t mode = 0;                                                  \
  if ((flags) & (O_CREAT | O_TMPFILE)) {                            \
    va_list list;                                                   \
    va_start(list, flags);                                          \
    mode = va_arg(list, mode_t);                                    \
    va_end(list);                                                   \
  }

#define OPENAT static int (*real)(int, const char *, int, ...); if (!real) real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat64")

int open(const char *name, int flags, ...) { MODE(flags) OPENAT; return opened(AT_FDCWD, name, flags, mode, real); }
int open64(const char *name, int flags, ...) { MODE(flags) OPENAT; return opened(AT_FDCWD, name, flags, mode, real); }
int openat(int folder, const char *name, int flags, ...) { MODE(flags) OPENAT; return opened(folder, name, flags, mode, real); }
int openat64(int folder, const char *name, int flags, ...) { MODE(flags) OPENAT; return opened(folder, name, flags, mode, real); }

ssize_t write(int fd, const void *data, size_t size) {
  REAL(ssize_t, write, int, const void *, size_t);
  ON_FILE("write", fd, 1, 0, real(fd, data, size), real(fd, data, (size + 1) / 2));
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t where) {
  REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
  ON_FILE("write", fd, 1, 0, real(fd, data, size, where), real(fd, data, (size + 1) / 2, where));
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t where) {
  REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
  ON_FILE("write", fd, 1, 0, real(fd, data, size, where), real(fd, data, (size + 1) / 2, where));
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(ssize_t, writev, int, const struct iovec *, int);
  ON_FILE("write", fd, 1, 0, real(fd, parts, count), real(fd, parts, 1));
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t where) {
  REAL(ssize_t, pwritev, int, const struct iovec *, int, off_t);
  ON_FILE("write", fd, 1, 0, real(fd, parts, count, where), real(fd, parts, 1, where));
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t where) {
  REAL(ssize_t, pwritev64, int, const struct iovec *, int, off64_t);
  ON_FILE("write", fd, 1, 0, real(fd, parts, count, where), real(fd, parts, 1, where));
}
ssize_t read(int fd, void *data, size_t size) {
  REAL(ssize_t, read, int, void *, size_t);
  ON_FILE("read", fd, 0, 1, real(fd, data, size), real(fd, data, (size + 1) / 2));
}
ssize_t pread(int fd, void *data, size_t size, off_t where) {
  REAL(ssize_t, pread, int, void *, size_t, off_t);
  ON_FILE("read", fd, 0, 1, real(fd, data, size, where), real(fd, data, (size + 1) / 2, where));
}
ssize_t pread64(int fd, void *data, size_t size, off64_t where) {
  REAL(ssize_t, pread64, int, void *, size_t, off64_t);
  ON_FILE("read", fd, 0, 1, real(fd, data, size, where), real(fd, data, (size + 1) / 2, where));
}
ssize_t copy_file_range(int from, off64_t *start, int fd, off64_t *where, size_t size, unsigned flags) {
  REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
  ON_FILE("write", fd, 1, 0, real(from, start, fd, where, size, flags), real(from, start, fd, where, (size + 1) / 2, flags));
}
ssize_t sendfile(int fd, int from, off_t *start, size_t size) {
  REAL(ssize_t, sendfile, int, int, off_t *, size_t);
  ON_FILE("write", fd, 1, 0, real(fd, from, start, size), real(fd, from, start, (size + 1) / 2));
}
ssize_t sendfile64(int fd, int from, off64_t *start, size_t size) {
  REAL(ssize_t, sendfile64, int, int, off64_t *, size_t);
  ON_FILE("write", fd, 1, 0, real(fd, from, start, size), real(fd, from, start, (size + 1) / 2));
}
int fsync(int fd) {
  REAL(int, fsync, int);
  ON_FILE("sync", fd, 0, 0, real(fd), real(fd));
}
int fdatasync(int fd) {
  REAL(int, fdatasync, int);
  ON_FILE("sync", fd, 0, 0, real(fd), real(fd));
}
int ftruncate(int fd, off_t size) {
  REAL(int, ftruncate, int, off_t);
  ON_FILE("write", fd, 0, 0, real(fd, size), real(fd, size));
}
int ftruncate64(int fd, off64_t size) {
  REAL(int, ftruncate64, int, off64_t);
  ON_FILE("write", fd, 0, 0, real(fd, size), real(fd, size));
}

int rename(const char *name, const char *name2) {
  REAL(int, rename, const char *, const char *);
  ON_PATHS("rename", AT_FDCWD, name, AT_FDCWD, name2, 1, real(name, name2));
}
int renameat(int folder, const char *name, int folder2, const char *name2) {
  REAL(int, renameat, int, const char *, int, const char *);
  ON_PATHS("rename", folder, name, folder2, name2, 1, real(folder, name, folder2, name2));
}
int renameat2(int folder, const char *name, int folder2, const char *name2, unsigned flags) {
  REAL(int, renameat2, int, const char *, int, const char *, unsigned);
  ON_PATHS("rename", folder, name, folder2, name2, 1, real(folder, name, folder2, name2, flags));
}
int link(const char *name, const char *name2) {
  REAL(int, link, const char *, const char *);
  ON_PATHS("link", AT_FDCWD, name, AT_FDCWD, name2, 0, real(name, name2));
}
int linkat(int folder, const char *name, int folder2, const char *name2, int flags) {
  REAL(int, linkat, int, const char *, int, const char *, int);
  ON_PATHS("link", folder, name, folder2, name2, 0, real(folder, name, folder2, name2, flags));
}
int symlink(const char *target, const char *name) {
  REAL(int, symlink, const char *, const char *);
  ON_PATH("create", AT_FDCWD, name, 1, 0, real(target, name));
}
int symlinkat(const char *target, int folder, const char *name) {
  REAL(int, symlinkat, const char *, int, const char *);
  ON_PATH("create", folder, name, 1, 0, real(target, folder, name));
}
int unlink(const char *name) {
  REAL(int, unlink, const char *);
  ON_PATH("unlink", AT_FDCWD, name, 0, 1, real(name));
}
int unlinkat(int folder, const char *name, int flags) {
  REAL(int, unlinkat, int, const char *, int);
  ON_PATH("unlink", folder, name, 0, !(flags & AT_REMOVEDIR), real(folder, name, flags));
}
int rmdir(const char *name) {
  REAL(int, rmdir, const char *);
  ON_PATH("unlink", AT_FDCWD, name, 0, 0, real(name));
}
int mkdir(const char *name, mode_t mode) {
  REAL(int, mkdir, const char *, mode_t);
  ON_PATH("mkdir", AT_FDCWD, name, 1, 0, real(name, mode));
}
int mkdirat(int folder, const char *name, mode_t mode) {
  REAL(int, mkdirat, int, const char *, mode_t);
  ON_PATH("mkdir", folder, name, 1, 0, real(folder, name, mode));
}
int chmod(const char *name, mode_t mode) {
  REAL(int, chmod, const char *, mode_t);
  ON_PATH("facts", AT_FDCWD, name, 0, 0, real(name, mode));
}
int chown(const char *name, uid_t uid, gid_t gid) {
  REAL(int, chown, const char *, uid_t, gid_t);
  ON_PATH("facts", AT_FDCWD, name, 0, 0, real(name, uid, gid));
}
int lchown(const char *name, uid_t uid, gid_t gid) {
  REAL(int, lchown, const char *, uid_t, gid_t);
  ON_PATH("facts", AT_FDCWD, name, 0, 0, real(name, uid, gid));
}
int utimensat(int folder, const char *name, const struct timespec times[2], int flags) {
  REAL(int, utimensat, int, const char *, const struct timespec *, int);
  ON_PATH("facts", folder, name, 0, 0, real(folder, name, times, flags));
}
int fchmod(int fd, mode_t mode) {
  REAL(int, fchmod, int, mode_t);
  ON_FILE("facts", fd, 0, 0, real(fd, mode), real(fd, mode));
}
int fchown(int fd, uid_t uid, gid_t gid) {
  REAL(int, fchown, int, uid_t, gid_t);
  ON_FILE("facts", fd, 0, 0, real(fd, uid, gid), real(fd, uid, gid));
}
int futimens(int fd, const struct timespec times[2]) {
  REAL(int, futimens, int, const struct timespec *);
  ON_FILE("facts", fd, 0, 0, real(fd, times), real(fd, times));
}
char *mkdtemp(char *name) {
  REAL(char *, mkdtemp, char *);
  char path[ROOM];
  if (!whole(AT_FDCWD, name, path) || reads) return real(name);
  unsigned long long number;
  int admitted = admit(&number, 1, 0);
  if (!admitted) {
    note(number, "!mkdir", path, NULL, -1, -errno);
    return NULL;
  }
  char *result = real(name);
  note(number, "mkdir", result ? result : path, NULL, -1, result ? 0 : -errno);
  settle(admitted);
  return result;
}
