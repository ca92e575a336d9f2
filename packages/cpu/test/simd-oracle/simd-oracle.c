/*
 * Executes single vector instructions on the processor that runs this. Reads fixed-size records on standard
 * input, writes each back with the state that its instruction left; layout.ts has the same layout.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

/* The window of memory that instructions work on lies across two pages. */
#define WINDOW 0x200fe0ul
#define WINDOW_BYTES 64

struct fxsave {
  uint16_t control, status;
  uint8_t tags, reserved;
  uint16_t opcode;
  uint64_t ip, dp;
  uint32_t mxcsr, mask;
  uint8_t st[8][16], xmm[16][16], rest[96];
} __attribute__((packed, aligned(16)));

struct record {
  uint8_t code[16];
  uint8_t length, fault, reserved[6];
  uint64_t flags;
  uint64_t registers[16];
  /* An FXSAVE image, but x87 registers by their physical numbers. */
  uint8_t vectors[512];
  uint8_t memory[WINDOW_BYTES];
} __attribute__((packed));

struct fxsave in, out, clean;
uint64_t registers[16], flags, saved;
void *resume;
uint8_t *code;
static volatile int fault;

/* Loads the state, calls the instruction, saves the state. A fault goes on at `resume`. RSP stays ours. */
void execute(void);
__asm__(
    "execute:\n"
    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "mov %rsp, saved(%rip)\n"
    "lea 1f(%rip), %rax\n mov %rax, resume(%rip)\n"
    "fxrstor64 in(%rip)\n"
    "mov registers(%rip), %rax\n mov registers+8(%rip), %rcx\n mov registers+16(%rip), %rdx\n"
    "mov registers+24(%rip), %rbx\n mov registers+40(%rip), %rbp\n mov registers+48(%rip), %rsi\n"
    "mov registers+56(%rip), %rdi\n mov registers+64(%rip), %r8\n mov registers+72(%rip), %r9\n"
    "mov registers+80(%rip), %r10\n mov registers+88(%rip), %r11\n mov registers+96(%rip), %r12\n"
    "mov registers+104(%rip), %r13\n mov registers+112(%rip), %r14\n mov registers+120(%rip), %r15\n"
    "push flags(%rip)\n popfq\n"
    "call *code(%rip)\n"
    "mov %rax, registers(%rip)\n mov %rcx, registers+8(%rip)\n mov %rdx, registers+16(%rip)\n"
    "mov %rbx, registers+24(%rip)\n mov %rbp, registers+40(%rip)\n mov %rsi, registers+48(%rip)\n"
    "mov %rdi, registers+56(%rip)\n mov %r8, registers+64(%rip)\n mov %r9, registers+72(%rip)\n"
    "mov %r10, registers+80(%rip)\n mov %r11, registers+88(%rip)\n mov %r12, registers+96(%rip)\n"
    "mov %r13, registers+104(%rip)\n mov %r14, registers+112(%rip)\n mov %r15, registers+120(%rip)\n"
    "pushfq\n pop flags(%rip)\n"
    "fxsave64 out(%rip)\n"
    "1: mov saved(%rip), %rsp\n"
    "fninit\n ldmxcsr clean+24(%rip)\n cld\n"
    "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");

static const int GREGS[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)info;
  mcontext_t *user = &((ucontext_t *)context)->uc_mcontext;
  memcpy(&out, user->fpregs, sizeof out);
  memcpy(user->fpregs, &clean, 416);
  for (int i = 0; i < 16; i++) registers[i] = (uint64_t)user->gregs[GREGS[i]];
  flags = (uint64_t)user->gregs[REG_EFL];
  fault = number;
  user->gregs[REG_RIP] = (greg_t)resume;
}

/* FXSAVE starts with the register at the top of the stack: rotates by `by` registers. */
static void rotate(struct fxsave *image, int by) {
  uint8_t st[8][16];
  memcpy(st, image->st, sizeof st);
  for (int i = 0; i < 8; i++) memcpy(image->st[(i + by) & 7], st[i], 16);
}

static int top(const struct fxsave *image) { return (image->status >> 11) & 7; }

int main(void) {
  code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void *data = mmap((void *)(WINDOW & ~4095ul), 8192, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (code == MAP_FAILED || data != (void *)(WINDOW & ~4095ul)) return 1;
  static uint8_t stack[65536];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, 0);
  struct sigaction action = {.sa_sigaction = on_signal,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigaction(SIGFPE, &action, 0);
  sigaction(SIGILL, &action, 0);
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGBUS, &action, 0);
  __asm__ volatile("fninit\n fxsave64 %0" : "=m"(clean));
  clean.mxcsr = 0x1f80;
  static char buffers[2][1 << 20];
  setvbuf(stdin, buffers[0], _IOFBF, sizeof buffers[0]);
  setvbuf(stdout, buffers[1], _IOFBF, sizeof buffers[1]);
  struct record record;
  while (fread(&record, sizeof record, 1, stdin) == 1) {
    memcpy(&in, record.vectors, sizeof in);
    rotate(&in, -top(&in));
    memcpy(registers, record.registers, sizeof registers);
    memcpy((void *)WINDOW, record.memory, WINDOW_BYTES);
    memcpy(code, record.code, record.length);
    code[record.length] = 0xc3;
    flags = (record.flags & 0x8d5) | 0x202;
    fault = 0;
    execute();
    record.fault = (uint8_t)fault;
    record.flags = flags & 0x8d5;
    uint64_t rsp = record.registers[4];
    memcpy(record.registers, registers, sizeof registers);
    record.registers[4] = rsp;
    rotate(&out, top(&out));
    memcpy(record.vectors, &out, sizeof out);
    memcpy(record.memory, (void *)WINDOW, WINDOW_BYTES);
    fwrite(&record, sizeof record, 1, stdout);
  }
  return 0;
}
