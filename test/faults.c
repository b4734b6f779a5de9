// Preloaded into a test server (CLUSTER_SERVER_ENV of cluster.sh): makes the system fail, as a file says that the tests write
// while it runs. FAULTS_FILE names the file; its words are those of struct Faults, and all zeros mean no fault.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct Faults {
  int64_t clock_step_s;      // added to the wall clock
  int64_t starve_every;      // each so many-th allocation of a thread other than a process's first fails ...
  int64_t starve_from_bytes; // ... if it is at least so large
  int64_t starved;           // counts those
  int64_t disk_full;         // writes to spill files of logical decoding fail
  int64_t disk_refusals;     // counts those
};

static struct Faults none;
static volatile struct Faults *faults = &none;

__attribute__((constructor)) static void Attach(void) {
  const char *path = getenv("FAULTS_FILE");
  int fd = path == NULL ? -1 : open(path, O_RDWR);
  if (fd < 0) return;
  void *memory = mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory != MAP_FAILED) faults = memory;
  close(fd);
}

// ---- the wall clock

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*next)(clockid_t, struct timespec *);
  if (next == NULL) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = next(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += faults->clock_step_s;
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec time;
  int result = clock_gettime(CLOCK_REALTIME, &time);
  now->tv_sec = time.tv_sec;
  now->tv_usec = time.tv_nsec / 1000;
  return result;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}

// ---- memory; the C library's own entry points, because dlsym allocates

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static int Starves(size_t bytes) {
  static int64_t count;
  static __thread int other_thread;  // 1: no, 2: yes
  int64_t every = faults->starve_every;
  if (every == 0 || (int64_t)bytes < faults->starve_from_bytes) return 0;
  if (other_thread == 0) other_thread = syscall(SYS_gettid) == getpid() ? 1 : 2;
  if (other_thread == 1 || __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) % every != 0) return 0;
  __atomic_add_fetch(&faults->starved, 1, __ATOMIC_RELAXED);
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t bytes) { return Starves(bytes) ? NULL : __libc_malloc(bytes); }
void *calloc(size_t count, size_t bytes) { return Starves(count * bytes) ? NULL : __libc_calloc(count, bytes); }
void *realloc(void *old, size_t bytes) { return bytes != 0 && Starves(bytes) ? NULL : __libc_realloc(old, bytes); }

// ---- the disk

ssize_t write(int fd, const void *bytes, size_t count) {
  if (faults->disk_full) {
    char link[64] = "/proc/self/fd/";
    char path[512];
    int at = (int)strlen(link);
    char digits[16];
    int n = 0, rest = fd;
    do digits[n++] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    while (n > 0) link[at++] = digits[--n];
    link[at] = '\0';
    ssize_t length = readlink(link, path, sizeof path);
    if (length > 6 && memcmp(path + length - 6, ".spill", 6) == 0) {
      __atomic_add_fetch(&faults->disk_refusals, 1, __ATOMIC_RELAXED);
      errno = ENOSPC;
      return -1;
    }
  }
  return syscall(SYS_write, fd, bytes, count);
}
