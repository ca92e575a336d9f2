/*
 * Executes instances of single instructions on the processor that runs this, one after the other, and writes
 * what each did. Usage: host-oracle INPUT OUTPUT; both are files laid out as in layout.ts.
 *
 * Each instance runs in user mode until it faults: going on behind the instruction is a fault too, because
 * nothing but HLT or an unmapped page follows. The signal handler reads the outcome from its context and replaces
 * that context by the next instance, so that an instance costs one fault and one return from a signal.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x10000000ul
#define DATA 0x20000000ul
#define STACK 0x30000000ul
#define PAGE 4096ul
#define CODE_BYTES (2 * PAGE)
#define DATA_BYTES (4 * PAGE)
#define STACK_BYTES (2 * PAGE)
/* The last page of DATA cannot be written. */
#define WRITABLE_BYTES (3 * PAGE)
#define TIMEOUT 255
#define KILLED 254

struct vectors {
  uint8_t xmm[16][16];
  /* Physical x87 registers in stack order, the low 80 bits of each. */
  uint8_t st[8][16];
  uint32_t mxcsr;
  uint16_t control, status;
  /* Abridged tags as FXSAVE writes them. */
  uint16_t tags;
  uint16_t opcode;
  uint32_t reserved;
  uint64_t ip, dp;
};

struct input {
  uint8_t mode, length;
  uint16_t entry;
  uint32_t operand_length;
  uint8_t code[16];
  uint64_t rflags;
  uint64_t registers[16];
  uint64_t fs_base, gs_base;
  uint64_t operand_address;
  uint8_t operand[64];
  uint8_t reserved[8];
};

struct output {
  uint8_t trap;
  uint8_t reserved[3];
  uint32_t error;
  uint64_t cr2, rip, rflags;
  uint64_t registers[16];
  uint64_t fs_base, gs_base;
  uint16_t selectors[6];
  uint32_t changed;
  uint64_t first_changed;
  uint8_t bytes[48];
  uint64_t digest;
};

static uint32_t count;
static uint32_t with_vectors;
static const uint8_t *image, *inputs;
static uint8_t *outputs;
static size_t input_stride, output_stride;
static uint8_t *code_alias;
static uint8_t expected_data[WRITABLE_BYTES], expected_stack[STACK_BYTES];
static volatile uint32_t *progress;
static volatile uint32_t ticks;
static uint32_t ticked;

uint64_t own_fs, seen_fs, seen_gs;
uint16_t seen_selectors[6];

/* Order of the general registers in the context, by their number in instructions. */
static const int GREGS[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static const struct input *input_at(uint32_t index) {
  return (const struct input *)(inputs + index * input_stride);
}

static void differ(struct output *out, const uint8_t *now, const uint8_t *expected, size_t bytes,
                   uint64_t address) {
  if (memcmp(now, expected, bytes) == 0) return;
  uint32_t digest = (uint32_t)out->digest;
  for (size_t i = 0; i < bytes; i++) {
    if (now[i] == expected[i]) continue;
    if (out->changed == 0) out->first_changed = address + i;
    out->changed++;
    digest = (digest ^ (uint32_t)(address + i)) * 0x01000193u;
    digest = (digest ^ now[i]) * 0x01000193u;
    uint64_t distance = address + i - out->first_changed;
    if (distance < sizeof out->bytes) out->bytes[distance] = now[i] ^ expected[i];
  }
  out->digest = digest;
}

static void record(const ucontext_t *user) {
  const greg_t *gregs = user->uc_mcontext.gregs;
  struct output *out = (struct output *)(outputs + *progress * output_stride);
  memset(out, 0, sizeof *out);
  out->trap = (uint8_t)gregs[REG_TRAPNO];
  out->error = (uint32_t)gregs[REG_ERR];
  out->cr2 = (uint64_t)gregs[REG_CR2];
  out->rip = (uint64_t)gregs[REG_RIP];
  out->rflags = (uint64_t)gregs[REG_EFL];
  for (int i = 0; i < 16; i++) out->registers[i] = (uint64_t)gregs[GREGS[i]];
  out->fs_base = seen_fs;
  out->gs_base = seen_gs;
  uint64_t selectors = (uint64_t)gregs[REG_CSGSFS];
  memcpy(out->selectors, seen_selectors, sizeof seen_selectors);
  out->selectors[1] = (uint16_t)selectors;
  out->selectors[2] = (uint16_t)(selectors >> 48);
  differ(out, (const uint8_t *)DATA, expected_data, WRITABLE_BYTES, DATA);
  differ(out, (const uint8_t *)STACK, expected_stack, STACK_BYTES, STACK);
  if (with_vectors) {
    struct vectors *v = (struct vectors *)(out + 1);
    const struct _libc_fpstate *fp = user->uc_mcontext.fpregs;
    memcpy(v->xmm, fp->_xmm, sizeof v->xmm);
    for (int i = 0; i < 8; i++) {
      memset(v->st[i], 0, 16);
      memcpy(v->st[i], &fp->_st[i], 10);
    }
    v->mxcsr = fp->mxcsr;
    v->control = fp->cwd;
    v->status = fp->swd;
    v->tags = fp->ftw & 0xff;
    v->opcode = fp->fop;
    v->ip = fp->rip;
    v->dp = fp->rdp;
    v->reserved = 0;
  }
}

static void restore(const struct input *in) {
  memset(code_alias + in->entry, 0xf4, in->length);
  if (memcmp((void *)DATA, image, WRITABLE_BYTES) != 0) memcpy((void *)DATA, image, WRITABLE_BYTES);
  if (memcmp((void *)STACK, image + DATA_BYTES, STACK_BYTES) != 0)
    memcpy((void *)STACK, image + DATA_BYTES, STACK_BYTES);
}

static void place(uint8_t *base, uint64_t start, uint64_t bytes, const struct input *in) {
  for (uint32_t i = 0; i < in->operand_length; i++) {
    uint64_t at = in->operand_address + i - start;
    if (at < bytes) base[at] = in->operand[i];
  }
}

static void prepare(ucontext_t *user) {
  const struct input *in = input_at(*progress);
  greg_t *gregs = user->uc_mcontext.gregs;
  memcpy(code_alias + in->entry, in->code, in->length);
  memcpy(expected_data, image, WRITABLE_BYTES);
  memcpy(expected_stack, image + DATA_BYTES, STACK_BYTES);
  place(expected_data, DATA, WRITABLE_BYTES, in);
  place(expected_stack, STACK, STACK_BYTES, in);
  place((uint8_t *)DATA, DATA, WRITABLE_BYTES, in);
  place((uint8_t *)STACK, STACK, STACK_BYTES, in);
  for (int i = 0; i < 16; i++) gregs[GREGS[i]] = (greg_t)in->registers[i];
  gregs[REG_RIP] = (greg_t)(CODE + in->entry);
  gregs[REG_EFL] = (greg_t)in->rflags;
  uint64_t cs = in->mode == 64 ? 0x33 : 0x23;
  gregs[REG_CSGSFS] = (greg_t)(cs | (0x2bull << 48));
  if (with_vectors) {
    const struct vectors *v = (const struct vectors *)(in + 1);
    struct _libc_fpstate *fp = user->uc_mcontext.fpregs;
    memcpy(fp->_xmm, v->xmm, sizeof v->xmm);
    for (int i = 0; i < 8; i++) memcpy(&fp->_st[i], v->st[i], 10);
    fp->mxcsr = v->mxcsr;
    fp->cwd = v->control;
    fp->swd = v->status;
    fp->ftw = v->tags;
    fp->fop = v->opcode;
    fp->rip = v->ip;
    fp->rdp = v->dp;
    /* The extended header behind the legacy area: x87 and SSE state are not in their initial state. */
    uint64_t *present = (uint64_t *)((uint8_t *)fp + 512);
    *present |= 3;
  }
  __asm__ volatile("mov %0, %%fs\n mov %0, %%gs\n wrfsbase %1\n wrgsbase %2"
                   : : "r"(0x2b), "r"(in->fs_base), "r"(in->gs_base));
}

__attribute__((used)) static void handle(int number, siginfo_t *info, void *context) {
  (void)info;
  ucontext_t *user = context;
  if (number == SIGALRM) {
    /* The same instance at three ticks in a row: it does not end. */
    ticks++;
    if (*progress != ticked) {
      ticked = *progress;
      ticks = 0;
    }
    restore(input_at(*progress));
    if (ticks >= 3) {
      outputs[*progress * output_stride] = TIMEOUT;
      ++*progress;
    }
  } else if (number != SIGUSR1) {
    record(user);
    restore(input_at(*progress));
    ++*progress;
  }
  if (*progress >= count) _exit(0);
  prepare(user);
}

/* What the C compiler takes for granted is restored first: FS base, data segments, neither AC nor NT nor ID. */
__asm__(
    "on_signal:\n"
    "pushfq\n andl $~0x244000, (%rsp)\n popfq\n"
    "mov %ds, seen_selectors+6(%rip)\n mov %es, seen_selectors(%rip)\n"
    "mov %fs, seen_selectors+8(%rip)\n mov %gs, seen_selectors+10(%rip)\n"
    "rdfsbase %rax\n mov %rax, seen_fs(%rip)\n rdgsbase %rax\n mov %rax, seen_gs(%rip)\n"
    "mov $0x2b, %eax\n mov %eax, %ds\n mov %eax, %es\n"
    "mov own_fs(%rip), %rax\n wrfsbase %rax\n"
    "jmp handle\n");
void on_signal(int, siginfo_t *, void *);

static void *map(unsigned long address, unsigned long bytes, int protection) {
  void *at = mmap((void *)address, bytes, protection,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
  if (at != (void *)address) {
    perror("mmap");
    exit(1);
  }
  return at;
}

static void *open_shared(const char *path, int flags, size_t *bytes, size_t wanted) {
  int file = open(path, flags, 0600);
  struct stat status;
  if (file < 0 || (wanted && ftruncate(file, (off_t)wanted) != 0) || fstat(file, &status) != 0) {
    perror(path);
    exit(1);
  }
  *bytes = (size_t)status.st_size;
  int protection = flags == O_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE;
  void *at = mmap(0, *bytes, protection, MAP_SHARED, file, 0);
  if (at == MAP_FAILED) {
    perror(path);
    exit(1);
  }
  return at;
}

static void run_child(void) {
  __asm__ volatile("rdfsbase %0" : "=r"(own_fs));
  stack_t stack = {.ss_sp = malloc(1 << 18), .ss_size = 1 << 18};
  sigaltstack(&stack, 0);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  int signals[] = {SIGILL, SIGSEGV, SIGTRAP, SIGBUS, SIGFPE, SIGSYS, SIGALRM, SIGUSR1};
  sigfillset(&action.sa_mask);
  for (int i = 0; i < 8; i++) sigaction(signals[i], &action, 0);
  struct itimerval tick = {{0, 100000}, {0, 100000}};
  setitimer(ITIMER_REAL, &tick, 0);
  raise(SIGUSR1);
  _exit(1);
}

int main(int arguments, char **values) {
  if (arguments != 3) return 2;
  size_t bytes;
  const uint8_t *file = open_shared(values[1], O_RDONLY, &bytes, 0);
  memcpy(&count, file, 4);
  memcpy(&with_vectors, file + 4, 4);
  image = file + 64;
  inputs = image + DATA_BYTES + STACK_BYTES;
  input_stride = sizeof(struct input) + (with_vectors ? sizeof(struct vectors) : 0);
  output_stride = sizeof(struct output) + (with_vectors ? sizeof(struct vectors) : 0);
  if (count == 0) return 0;
  outputs = open_shared(values[2], O_RDWR | O_CREAT | O_TRUNC, &bytes, count * output_stride);

  int code = memfd_create("code", 0);
  if (code < 0 || ftruncate(code, CODE_BYTES) != 0) return 1;
  code_alias = mmap(0, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, code, 0);
  memset(code_alias, 0xf4, CODE_BYTES);
  void *mapped = mmap((void *)CODE, CODE_BYTES, PROT_READ | PROT_EXEC,
                      MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, code, 0);
  if (mapped != (void *)CODE) {
    perror("mmap code");
    return 1;
  }
  map(DATA, DATA_BYTES, PROT_READ | PROT_WRITE);
  map(STACK, STACK_BYTES, PROT_READ | PROT_WRITE);
  memcpy((void *)DATA, image, DATA_BYTES);
  memcpy((void *)STACK, image + DATA_BYTES, STACK_BYTES);
  mprotect((void *)(DATA + WRITABLE_BYTES), DATA_BYTES - WRITABLE_BYTES, PROT_READ);
  progress = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  /* A child that an instance kills is replaced by another, which goes on behind it. */
  while (*progress < count) {
    pid_t child = fork();
    if (child == 0) run_child();
    int status;
    waitpid(child, &status, 0);
    if (*progress >= count) break;
    if (WIFEXITED(status)) return 1;
    outputs[*progress * output_stride] = KILLED;
    memset(code_alias, 0xf4, CODE_BYTES);
    ++*progress;
  }
  return 0;
}
