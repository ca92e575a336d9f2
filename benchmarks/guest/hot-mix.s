# The hot mix: what compiled integer loops are made of, through memory. Twelve instructions a round.
# Assembled by the benchmark as a static Linux program; its one input is the number of rounds, patched at `rounds`.
        .globl _start
        .text
_start:
        movl    rounds(%rip), %ecx
        leaq    table(%rip), %rsi
        xorl    %eax, %eax
        xorl    %edx, %edx
again:
        movl    %ecx, %ebx
        andl    $1023, %ebx
        movq    (%rsi,%rbx,8), %rdi
        addq    %rdi, %rax
        leaq    3(%rax,%rbx,2), %r8
        xorq    %r8, %rdx
        shrq    $1, %rdx
        movq    %rdx, (%rsi,%rbx,8)
        cmpq    %rax, %rdx
        jne     on
        incl    %eax
on:
        decl    %ecx
        jne     again
        movl    $60, %eax
        xorl    %edi, %edi
        syscall
        .data
        .balign 4096
rounds: .long   0
        .balign 4096
table:  .fill   8192, 1, 0x5a
