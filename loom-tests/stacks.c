// Keeps the stacks of the actors of one execution for the next: without it, half of a model's time is the kernel's, for a hundred
// thousand times the same stacks. For LD_PRELOAD; .ci/run does that (`with_stacks`), and the models need it for nothing.
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROOM = 64, LARGEST = 1 << 20 };
static struct { void *at; size_t size; int used; } stacks[ROOM];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// Only what the crate `generator` asks for with just these flags. Its guard page stays one: it is protected again.
void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset) {
  int stack = !at && size <= LARGEST && file == -1 && protection == (PROT_READ | PROT_WRITE)
    && flags == (MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK);
  void *got = NULL;
  if (stack) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < ROOM && !got; i++)
      if (stacks[i].at && !stacks[i].used && stacks[i].size == size) stacks[i].used = 1, got = stacks[i].at;
    pthread_mutex_unlock(&lock);
    if (got) return got;
  }
  got = (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
  if (stack && got != MAP_FAILED) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < ROOM; i++)
      if (!stacks[i].at) { stacks[i].at = got, stacks[i].size = size, stacks[i].used = 1; break; }
    pthread_mutex_unlock(&lock);
  }
  return got;
}

int munmap(void *at, size_t size) {
  int kept = 0;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < ROOM && !kept; i++)
    if (stacks[i].at == at && stacks[i].size == size) stacks[i].used = 0, kept = 1;
  pthread_mutex_unlock(&lock);
  return kept ? 0 : syscall(SYS_munmap, at, size);
}
