/* Preloaded by kill_training.py: kills the process at the n-th operation on the files of checkpoints.
 *
 * Writes are cut in half, and renames and deletions count twice: the process dies before or after them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_OPERATIONS 10000

static volatile long remaining = 0; /* operations until the kill; 0: none comes */
static volatile long counted = 0;
static char kinds[MAX_OPERATIONS + 1];

/* Called by Python. */
void kill_at_arm(long operations) { remaining = operations; counted = 0; }

/* One letter for each operation since kill_at_arm: w(rite), c(lose), s(ync), r(ename), d(elete). */
const char* kill_at_operations(void) {
  kinds[counted < MAX_OPERATIONS ? counted : MAX_OPERATIONS] = 0;
  return kinds;
}

static int is_checkpoint(const char* path) { return strstr(path, ".ckpt-") || strstr(path, "/checkpoint"); }

static int is_checkpoints_file(int descriptor) {
  char name[64], path[PATH_MAX + 1];
  snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
  ssize_t size = readlink(name, path, PATH_MAX);
  if (size < 0) return 0;
  path[size] = 0;
  return is_checkpoint(path);
}

static int is_last(char kind) {
  long number = __sync_fetch_and_add(&counted, 1);
  if (number < MAX_OPERATIONS) kinds[number] = kind;
  return remaining > 0 && __sync_sub_and_fetch(&remaining, 1) == 0;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

#define ORIGINAL(type, name) \
  static type (*original)();  \
  if (!original) original = (type(*)())dlsym(RTLD_NEXT, name)

size_t fwrite(const void* data, size_t size, size_t count, FILE* file) {
  ORIGINAL(size_t, "fwrite");
  if (file != stdout && file != stderr && is_checkpoints_file(fileno(file)) && is_last('w')) {
    original(data, (size_t)1, size * count / 2, file);
    fflush(file);
    die();
  }
  return original(data, size, count, file);
}

ssize_t write(int descriptor, const void* data, size_t size) {
  ORIGINAL(ssize_t, "write");
  if (descriptor > 2 && is_checkpoints_file(descriptor) && is_last('w')) {
    original(descriptor, data, size / 2);
    die();
  }
  return original(descriptor, data, size);
}

int fclose(FILE* file) {
  ORIGINAL(int, "fclose");
  if (is_checkpoints_file(fileno(file)) && is_last('c')) die();
  return original(file);
}

int fsync(int descriptor) {
  ORIGINAL(int, "fsync");
  if (is_checkpoints_file(descriptor) && is_last('s')) die();
  return original(descriptor);
}

int rename(const char* source, const char* target) {
  ORIGINAL(int, "rename");
  int counts = is_checkpoint(target);
  if (counts && is_last('r')) die();
  int status = original(source, target);
  if (counts && is_last('r')) die();
  return status;
}

int unlink(const char* path) {
  ORIGINAL(int, "unlink");
  int counts = is_checkpoint(path);
  if (counts && is_last('d')) die();
  int status = original(path);
  if (counts && is_last('d')) die();
  return status;
}
