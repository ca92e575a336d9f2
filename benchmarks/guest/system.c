/* Loops whose time goes into the kernel: each way between a program and it, many times over. */
#include "linux.h"

static void prepare(void) {}

static u64 syscalls(void) {
  u64 sum = 0;
  for (int i = 0; i < 10000; i++) sum += call3(GETPPID, 0, 0, 0) > 0;
  return sum;
}

/* Fresh zeroed pages, each touched once and given back. */
static u64 faults(void) {
  enum { PAGES = 1024 };
  u64 sum = 0;
  u8 *pages = (u8 *)call(MMAP, 0, PAGES * 4096, 3, 0x22, -1, 0);
  for (int i = 0; i < PAGES; i++) sum += pages[i * 4096] = i;
  call3(MUNMAP, (long)pages, PAGES * 4096, 0);
  return sum;
}

/* Two processes hand each other a byte: two switches a turn. */
static u64 switches(void) {
  static int ping[2], pong[2];
  static u8 byte;
  if (ping[1] == 0) {
    if (call3(PIPE, (long)ping, 0, 0) || call3(PIPE, (long)pong, 0, 0)) quit(3);
    if (call3(FORK, 0, 0, 0) == 0) {
      call3(CLOSE, ping[1], 0, 0);
      while (call3(READ, ping[0], (long)&byte, 1) == 1) {
        byte++;
        call3(WRITE, pong[1], (long)&byte, 1);
      }
      quit(0);
    }
  }
  u64 sum = 0;
  for (int i = 0; i < 1000; i++) {
    call3(WRITE, ping[1], (long)&byte, 1);
    sum += call3(READ, pong[0], (long)&byte, 1);
  }
  return sum * 256 + byte;
}

static u64 forks(void) {
  u64 sum = 0;
  for (int i = 0; i < 20; i++) {
    int status = 0;
    long child = call3(FORK, 0, 0, 0);
    if (child == 0) quit(i);
    call(WAIT4, child, (long)&status, 0, 0, 0, 0);
    sum += status >> 8;
  }
  return sum;
}

static loop *const list_of[] = {syscalls, faults, switches, forks};
