/*
 * Executes one instruction at a time on the processor that runs this and says how it ended.
 * Input: records of 16 bytes: a length and that many instruction bytes. Output: one byte for each:
 *   'U' invalid opcode, 'M' more bytes were wanted, 'E' went on right behind the instruction, 'F' another fault or a jump, 'T' time-out.
 * The instruction ends at the end of a page that no page follows. Argument 32: executed as 32-bit code.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x10000000ul
#define CODE_END (CODE + 4096)
#define DATA 0x20000000ul
#define STACK 0x30000000ul
#define AREA (1ul << 20)

static void *resume[5];
static volatile int raised;
static volatile unsigned long fault_ip, fault_address;
static unsigned long fs_base;

static void on_signal(int number, siginfo_t *info, void *context) {
  /* The instruction may have loaded FS, on which the C library depends. */
  __asm__ volatile("wrfsbase %0" : : "r"(fs_base));
  ucontext_t *user = context;
  raised = number;
  fault_ip = user->uc_mcontext.gregs[REG_RIP];
  fault_address = (unsigned long)info->si_addr;
  __builtin_longjmp(resume, 1);
}

static void *map(unsigned long address, unsigned long size, int protection) {
  void *at = mmap((void *)address, size, protection,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at == MAP_FAILED) { perror("mmap"); exit(1); }
  return at;
}

/* Registers point into DATA, rSP into STACK, rCX is 1; flags, x87 and MXCSR are as after a reset. */
static void __attribute__((noinline)) execute(unsigned long entry, unsigned long selector) {
  static const unsigned mxcsr = 0x1f80;
  unsigned long *top = (unsigned long *)(STACK + AREA / 2);
  top[0] = CODE_END;
  /* The operands are used up before any register that may hold them is loaded. */
  __asm__ volatile(
      "push $0x202\n popfq\n fninit\n ldmxcsr %[mxcsr]\n"
      "mov %[top], %%rsp\n push %[selector]\n push %[entry]\n"
      "mov %[data], %%rbx\n mov %%rbx, %%rax\n mov %%rbx, %%rdx\n mov %%rbx, %%rsi\n"
      "mov %%rbx, %%rbp\n lea 4096(%%rbx), %%rdi\n mov $1, %%ecx\n"
      "mov %%rbx, %%r8\n mov %%rbx, %%r9\n mov %%rbx, %%r10\n mov %%rbx, %%r11\n"
      "mov %%rbx, %%r12\n mov %%rbx, %%r13\n mov %%rbx, %%r14\n mov %%rbx, %%r15\n lretq\n"
      :
      : [mxcsr] "m"(mxcsr), [top] "r"(top), [selector] "r"(selector), [entry] "r"(entry),
        [data] "i"(DATA + AREA / 2)
      : "memory");
}

int main(int count, char **arguments) {
  int narrow = count > 1 && strcmp(arguments[1], "32") == 0;
  static unsigned char records[1 << 26];
  size_t cases = fread(records, 1, sizeof records, stdin) / 16;
  map(CODE, 8192, PROT_READ | PROT_WRITE | PROT_EXEC);
  mprotect((void *)CODE_END, 4096, PROT_NONE);
  map(DATA, AREA, PROT_READ | PROT_WRITE);
  map(STACK, AREA, PROT_READ | PROT_WRITE);
  unsigned char *answers = mmap(0, cases + 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  volatile size_t *progress = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  /* A child that an instruction kills is replaced by another, which goes on behind it. */
  for (size_t first = 0; first < cases; first = *progress + 1) {
    *progress = first;
    if (fork() != 0) {
      wait(0);
      if (*progress >= cases) break;
      answers[*progress] = 'F';
      continue;
    }
    __asm__ volatile("rdfsbase %0" : "=r"(fs_base));
    stack_t stack = {.ss_sp = malloc(1 << 18), .ss_size = 1 << 18};
    sigaltstack(&stack, 0);
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    int signals[] = {SIGILL, SIGSEGV, SIGTRAP, SIGBUS, SIGFPE, SIGSYS, SIGALRM};
    for (int i = 0; i < 7; i++) sigaction(signals[i], &action, 0);
    for (volatile size_t i = first; i < cases; i++) {
      unsigned char *record = records + 16 * i;
      unsigned long entry = CODE_END - record[0];
      *progress = i;
      memset((void *)(CODE_END - 256), 0x90, 256);
      memcpy((void *)entry, record + 1, record[0]);
      memset((void *)(STACK + AREA / 2 - 4096), 0, 8192);
      struct itimerval soon = {{0, 0}, {0, 20000}};
      setitimer(ITIMER_REAL, &soon, 0);
      if (!__builtin_setjmp(resume)) {
        if (narrow) __asm__ volatile("mov %0, %%ds\n mov %0, %%es" : : "r"(0x2b));
        execute(entry, narrow ? 0x23 : 0x33);
      }
      entry = CODE_END - records[16 * i];
      answers[i] = raised == SIGILL ? 'U'
                   : raised == SIGALRM ? 'T'
                   : raised != SIGSEGV || fault_address != CODE_END ? 'F'
                   : fault_ip == entry ? 'M'
                   : fault_ip == CODE_END ? 'E' : 'F';
    }
    *progress = cases;
    _exit(0);
  }
  fwrite(answers, 1, cases, stdout);
  return 0;
}
