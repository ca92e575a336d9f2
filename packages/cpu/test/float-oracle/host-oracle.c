/*
 * Executes one instruction after another on the host's own processor and reports what they did to the
 * x87 and SSE state. Reads fixed-size records on standard input, writes one result for each on standard
 * output; host-oracle.ts has the same layout.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct record {
  uint8_t length, code[13];
  uint16_t fault;       /* out: signal number, or 0 */
  uint64_t gpr;         /* rax */
  uint32_t eflags, mxcsr;
  uint16_t cw, sw, tags, fop;
  uint64_t fip, fdp;
  uint8_t st[8][10];
  uint8_t xmm[3][16];
  uint8_t memory[128];
  uint32_t offset;      /* out: fip relative to the instruction, or garbage */
  uint32_t fdpOffset;   /* out: fdp relative to the memory operand */
} __attribute__((packed));

struct fxsave {
  uint16_t fcw, fsw;
  uint8_t ftw, reserved;
  uint16_t fop;
  uint64_t fip, fdp;
  uint32_t mxcsr, mask;
  uint8_t st[8][16], xmm[16][16], rest[96];
} __attribute__((packed, aligned(16)));

struct fxsave in, out, clean;
uint8_t *code;
void *resume;
uint64_t rax, flags, saved;
uint8_t memory[128] __attribute__((aligned(64)));
static volatile int fault;

/* Loads the state, calls the instruction, saves the state. A fault continues at `resume`. */
void execute(void);
__asm__(
    "execute:\n"
    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "mov %rsp, saved(%rip)\n"
    "lea 1f(%rip), %rax\n mov %rax, resume(%rip)\n"
    "lea memory(%rip), %rdi\n"
    "fxrstor64 in(%rip)\n"
    "push flags(%rip)\n popfq\n"
    "mov rax(%rip), %rax\n"
    "call *code(%rip)\n"
    "pushfq\n pop flags(%rip)\n mov %rax, rax(%rip)\n"
    "fxsave64 out(%rip)\n"
    "1: mov saved(%rip), %rsp\n"
    "fninit\n ldmxcsr clean+24(%rip)\n cld\n"
    "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");

static void onSignal(int number, siginfo_t *info, void *opaque) {
  (void)info;
  ucontext_t *context = opaque;
  memcpy(&out, context->uc_mcontext.fpregs, sizeof out);
  memcpy(context->uc_mcontext.fpregs, &clean, 416);
  rax = (uint64_t)context->uc_mcontext.gregs[REG_RAX];
  flags = (uint64_t)context->uc_mcontext.gregs[REG_EFL];
  fault = number;
  context->uc_mcontext.gregs[REG_RIP] = (greg_t)resume;
}

int main(void) {
  code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  static uint8_t stack[65536];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, 0);
  struct sigaction action = {.sa_sigaction = onSignal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigaction(SIGFPE, &action, 0);
  sigaction(SIGILL, &action, 0);
  sigaction(SIGSEGV, &action, 0);
  __asm__ volatile("fninit\n fxsave64 %0" : "=m"(clean));
  clean.mxcsr = 0x1f80;
  struct record record;
  static char buffer[1 << 20];
  setvbuf(stdin, buffer, _IOFBF, sizeof buffer);
  while (fread(&record, sizeof record, 1, stdin) == 1) {
    memset(&in, 0, sizeof in);
    in.fcw = record.cw;
    in.fsw = record.sw;
    in.ftw = (uint8_t)record.tags;
    in.fop = record.fop;
    in.fip = record.fip;
    in.fdp = record.fdp;
    in.mxcsr = record.mxcsr;
    for (int i = 0; i < 8; i++) memcpy(in.st[i], record.st[i], 10);
    for (int i = 0; i < 3; i++) memcpy(in.xmm[i], record.xmm[i], 16);
    memcpy(memory, record.memory, 128);
    memcpy(code, record.code, record.length);
    code[record.length] = 0xc3;
    fault = 0;
    rax = record.gpr;
    flags = (record.eflags & 0x8d5) | 0x202;
    execute();
    record.fault = (uint16_t)fault;
    record.gpr = rax;
    record.eflags = (uint32_t)flags & 0x8d5;
    record.mxcsr = out.mxcsr;
    record.cw = out.fcw;
    record.sw = out.fsw;
    record.tags = out.ftw;
    record.fop = out.fop;
    record.fip = out.fip;
    record.fdp = out.fdp;
    record.offset = (uint32_t)(out.fip - (uint64_t)code);
    record.fdpOffset = (uint32_t)(out.fdp - (uint64_t)memory);
    for (int i = 0; i < 8; i++) memcpy(record.st[i], out.st[i], 10);
    for (int i = 0; i < 3; i++) memcpy(record.xmm[i], out.xmm[i], 16);
    memcpy(record.memory, memory, 128);
    fwrite(&record, sizeof record, 1, stdout);
  }
  return 0;
}
