const hex = (opcode: number): string => opcode.toString(16).padStart(2, "0");

/** Rows for an instruction that works on MMX registers without a prefix and on XMM registers with 66. */
function mmxAndXmm(
  opcode: string,
  name: string,
  features: readonly [string, string],
  source = "q",
): string[] {
  return [
    `${opcode} np ${name} Pq,Q${source} ${features[0]}`,
    `${opcode} 66 ${name} Vx,Wx ${features[1]}`,
  ];
}

/** Names for consecutive opcodes; a name is marked `+` where the MMX form came with SSE, `*` where with SSE2. */
function mmxRun(opcode: number, names: string): string[] {
  return names.split(" ").flatMap((name, index) => {
    const feature = name.endsWith("+") ? "sse" : name.endsWith("*") ? "sse2" : "mmx";
    const source = name.startsWith("punpckl") ? "d" : "q";
    return name === "-"
      ? []
      : mmxAndXmm(`0f${hex(opcode + index)}`, name.replace(/[+*]/, ""), [feature, "sse2"], source);
  });
}

/** MMX and its 128-bit counterparts of SSE2 (Intel SDM vol. 2, tables ). */
export const MMX_OPCODES: readonly string[] = [
  ...mmxRun(
    0x60,
    "punpcklbw punpcklwd punpckldq packsswb pcmpgtb pcmpgtw pcmpgtd packuswb punpckhbw punpckhwd punpckhdq packssdw",
  ),
  "0f6c 66 punpcklqdq Vx,Wx sse2",
  "0f6d 66 punpckhqdq Vx,Wx sse2",
  "0f6e np movd/movq Pq,Ey mmx",
  "0f6e 66 movd/movq Vx,Ey sse2",
  "0f6f np movq Pq,Qq mmx",
  "0f6f 66 movdqa Vx,Wx sse2",
  "0f6f f3 movdqu Vx,Wx unaligned sse2",
  "0f70 np pshufw Pq,Qq,Ib sse",
  "0f70 66 pshufd Vx,Wx,Ib sse2",
  "0f70 f3 pshufhw Vx,Wx,Ib sse2",
  "0f70 f2 pshuflw Vx,Wx,Ib sse2",
  ...["0f71 /2 psrlw", "0f71 /4 psraw", "0f71 /6 psllw", "0f72 /2 psrld", "0f72 /4 psrad"]
    .concat("0f72 /6 pslld", "0f73 /2 psrlq", "0f73 /6 psllq")
    .flatMap((row) => [
      `${row.replace(" ", " np ")} Nq,Ib mmx`,
      `${row.replace(" ", " 66 ")} Ux,Ib sse2`,
    ]),
  "0f73 66 /3 psrldq Ux,Ib sse2",
  "0f73 66 /7 pslldq Ux,Ib sse2",
  ...mmxRun(0x74, "pcmpeqb pcmpeqw pcmpeqd"),
  "0f77 np emms - mmx",
  "0f7e np movd/movq Ey,Pq mmx",
  "0f7e 66 movd/movq Ey,Vx sse2",
  "0f7e f3 movq Vx,Wq sse2",
  "0f7f np movq Qq,Pq mmx",
  "0f7f 66 movdqa Wx,Vx sse2",
  "0f7f f3 movdqu Wx,Vx unaligned sse2",
  "0fc4 np pinsrw Pq,Mw/Rd,Ib sse",
  "0fc4 66 pinsrw Vx,Mw/Rd,Ib sse2",
  "0fc5 np pextrw Gd,Nq,Ib sse",
  "0fc5 66 pextrw Gd,Ux,Ib sse2",
  ...mmxRun(0xd1, "psrlw psrld psrlq paddq* pmullw"),
  "0fd6 66 movq Wq,Vx sse2",
  "0fd6 f3 movq2dq Vx,Nq sse2",
  "0fd6 f2 movdq2q Pq,Ux sse2",
  "0fd7 np pmovmskb Gd,Nq sse",
  "0fd7 66 pmovmskb Gd,Ux sse2",
  ...mmxRun(0xd8, "psubusb psubusw pminub+ pand paddusb paddusw pmaxub+ pandn"),
  ...mmxRun(0xe0, "pavgb+ psraw psrad pavgw+ pmulhuw+ pmulhw"),
  "0fe7 np movntq Mq,Pq sse",
  "0fe7 66 movntdq Mx,Vx sse2",
  ...mmxRun(0xe8, "psubsb psubsw pminsw+ por paddsb paddsw pmaxsw+ pxor"),
  ...mmxRun(0xf1, "psllw pslld psllq pmuludq* pmaddwd psadbw+"),
  "0ff7 np maskmovq Pq,Nq sse",
  "0ff7 66 maskmovdqu Vx,Ux sse2",
  ...mmxRun(0xf8, "psubb psubw psubd psubq* paddb paddw paddd"),
];

/** Rows for `addps`, `addpd`, `addss`, `addsd` and their like; `kinds` picks a subset. */
function floating(opcode: string, name: string, kinds = "ps pd ss sd", tail = ""): string[] {
  const prefix: Record<string, string> = { ps: "np", pd: "66", ss: "f3", sd: "f2" };
  return kinds.split(" ").map((kind) => {
    const feature = kind.endsWith("s") ? "sse" : "sse2";
    return `${opcode} ${prefix[kind] ?? ""} ${name}${kind} V${kind},W${kind}${tail} ${feature}`;
  });
}

/** SSE, SSE2 and SSE3 floating point (Intel SDM vol. 2, tables ). */
export const SSE_OPCODES: readonly string[] = [
  "0f10 np movups Vps,Wps unaligned sse",
  "0f10 66 movupd Vpd,Wpd unaligned sse2",
  "0f10 f3 movss Vss,Wss sse",
  "0f10 f2 movsd Vsd,Wsd sse2",
  "0f11 np movups Wps,Vps unaligned sse",
  "0f11 66 movupd Wpd,Vpd unaligned sse2",
  "0f11 f3 movss Wss,Vss sse",
  "0f11 f2 movsd Wsd,Vsd sse2",
  "0f12 np mem movlps Vx,Mq sse",
  "0f12 np reg movhlps Vx,Ux sse",
  "0f12 66 movlpd Vx,Mq sse2",
  "0f12 f3 movsldup Vx,Wx sse3",
  "0f12 f2 movddup Vx,Wq sse3",
  "0f13 np movlps Mq,Vx sse",
  "0f13 66 movlpd Mq,Vx sse2",
  ...floating("0f14", "unpckl", "ps pd"),
  ...floating("0f15", "unpckh", "ps pd"),
  "0f16 np mem movhps Vx,Mq sse",
  "0f16 np reg movlhps Vx,Ux sse",
  "0f16 66 movhpd Vx,Mq sse2",
  "0f16 f3 movshdup Vx,Wx sse3",
  "0f17 np movhps Mq,Vx sse",
  "0f17 66 movhpd Mq,Vx sse2",
  ...floating("0f28", "mova", "ps pd"),
  "0f29 np movaps Wps,Vps sse",
  "0f29 66 movapd Wpd,Vpd sse2",
  "0f2a np cvtpi2ps Vx,Qq sse",
  "0f2a 66 cvtpi2pd Vx,Qq sse2",
  "0f2a f3 cvtsi2ss Vss,Ey sse",
  "0f2a f2 cvtsi2sd Vsd,Ey sse2",
  "0f2b np movntps Mps,Vps sse",
  "0f2b 66 movntpd Mpd,Vpd sse2",
  "0f2c np cvttps2pi Pq,Wq sse",
  "0f2c 66 cvttpd2pi Pq,Wpd sse2",
  "0f2c f3 cvttss2si Gy,Wss sse",
  "0f2c f2 cvttsd2si Gy,Wsd sse2",
  "0f2d np cvtps2pi Pq,Wq sse",
  "0f2d 66 cvtpd2pi Pq,Wpd sse2",
  "0f2d f3 cvtss2si Gy,Wss sse",
  "0f2d f2 cvtsd2si Gy,Wsd sse2",
  "0f2e np ucomiss Vss,Wss sse",
  "0f2e 66 ucomisd Vsd,Wsd sse2",
  "0f2f np comiss Vss,Wss sse",
  "0f2f 66 comisd Vsd,Wsd sse2",
  "0f50 np movmskps Gd,Ux sse",
  "0f50 66 movmskpd Gd,Ux sse2",
  ...floating("0f51", "sqrt"),
  ...floating("0f52", "rsqrt", "ps ss"),
  ...floating("0f53", "rcp", "ps ss"),
  ...floating("0f54", "and", "ps pd"),
  ...floating("0f55", "andn", "ps pd"),
  ...floating("0f56", "or", "ps pd"),
  ...floating("0f57", "xor", "ps pd"),
  ...floating("0f58", "add"),
  ...floating("0f59", "mul"),
  "0f5a np cvtps2pd Vx,Wq sse2",
  "0f5a 66 cvtpd2ps Vx,Wx sse2",
  "0f5a f3 cvtss2sd Vsd,Wss sse2",
  "0f5a f2 cvtsd2ss Vss,Wsd sse2",
  "0f5b np cvtdq2ps Vx,Wx sse2",
  "0f5b 66 cvtps2dq Vx,Wx sse2",
  "0f5b f3 cvttps2dq Vx,Wx sse2",
  ...floating("0f5c", "sub"),
  ...floating("0f5d", "min"),
  ...floating("0f5e", "div"),
  ...floating("0f5f", "max"),
  "0f7c 66 haddpd Vx,Wx sse3",
  "0f7c f2 haddps Vx,Wx sse3",
  "0f7d 66 hsubpd Vx,Wx sse3",
  "0f7d f2 hsubps Vx,Wx sse3",
  ...floating("0fc2", "cmp", undefined, ",Ib"),
  ...floating("0fc6", "shuf", "ps pd", ",Ib"),
  "0fd0 66 addsubpd Vx,Wx sse3",
  "0fd0 f2 addsubps Vx,Wx sse3",
  "0fe6 66 cvttpd2dq Vx,Wx sse2",
  "0fe6 f2 cvtpd2dq Vx,Wx sse2",
  "0fe6 f3 cvtdq2pd Vx,Wq sse2",
  "0ff0 f2 lddqu Vx,Mx unaligned sse3",
];

const SSSE3 =
  "pshufb phaddw phaddd phaddsw pmaddubsw phsubw phsubd phsubsw psignb psignw psignd pmulhrsw";
/** The packed extensions and the memory they read: half, quarter or eighth of a register. */
const EXTENSIONS = ["bw Wq", "bd Wd", "bq Ww", "wd Wq", "wq Wd", "dq Wq"];

/** SSSE3, SSE4.1, SSE4.2 and the cryptographic extensions: the 0F38 and 0F3A maps (Intel SDM vol. 2, tables ). */
export const SSE4_OPCODES: readonly string[] = [
  ...SSSE3.split(" ").flatMap((name, i) => mmxAndXmm(`0f38${hex(i)}`, name, ["ssse3", "ssse3"])),
  ...["pabsb", "pabsw", "pabsd"].flatMap((name, i) =>
    mmxAndXmm(`0f38${hex(0x1c + i)}`, name, ["ssse3", "ssse3"]),
  ),
  "0f3810 66 pblendvb Vx,Wx,XMM0 sse41",
  "0f3814 66 blendvps Vx,Wx,XMM0 sse41",
  "0f3815 66 blendvpd Vx,Wx,XMM0 sse41",
  "0f3817 66 ptest Vx,Wx sse41",
  ...EXTENSIONS.flatMap((kind, i) => {
    const [suffix = "", source = ""] = kind.split(" ");
    return [
      `0f38${hex(0x20 + i)} 66 pmovsx${suffix} Vx,${source} sse41`,
      `0f38${hex(0x30 + i)} 66 pmovzx${suffix} Vx,${source} sse41`,
    ];
  }),
  "0f3828 66 pmuldq Vx,Wx sse41",
  "0f3829 66 pcmpeqq Vx,Wx sse41",
  "0f382a 66 movntdqa Vx,Mx sse41",
  "0f382b 66 packusdw Vx,Wx sse41",
  "0f3837 66 pcmpgtq Vx,Wx sse42",
  ..."pminsb pminsd pminuw pminud pmaxsb pmaxsd pmaxuw pmaxud pmulld phminposuw"
    .split(" ")
    .map((name, i) => `0f38${hex(0x38 + i)} 66 ${name} Vx,Wx sse41`),
  "0f3a08 66 roundps Vx,Wx,Ib sse41",
  "0f3a09 66 roundpd Vx,Wx,Ib sse41",
  "0f3a0a 66 roundss Vx,Wd,Ib sse41",
  "0f3a0b 66 roundsd Vx,Wq,Ib sse41",
  "0f3a0c 66 blendps Vx,Wx,Ib sse41",
  "0f3a0d 66 blendpd Vx,Wx,Ib sse41",
  "0f3a0e 66 pblendw Vx,Wx,Ib sse41",
  "0f3a0f np palignr Pq,Qq,Ib ssse3",
  "0f3a0f 66 palignr Vx,Wx,Ib ssse3",
  "0f3a14 66 pextrb Mb/Rd,Vx,Ib sse41",
  "0f3a15 66 pextrw Mw/Rd,Vx,Ib sse41",
  "0f3a16 66 pextrd/pextrq Ey,Vx,Ib sse41",
  "0f3a17 66 extractps Ed,Vx,Ib sse41",
  "0f3a20 66 pinsrb Vx,Mb/Rd,Ib sse41",
  "0f3a21 66 insertps Vx,Wd,Ib sse41",
  "0f3a22 66 pinsrd/pinsrq Vx,Ey,Ib sse41",
  "0f3a40 66 dpps Vx,Wx,Ib sse41",
  "0f3a41 66 dppd Vx,Wx,Ib sse41",
  "0f3a42 66 mpsadbw Vx,Wx,Ib sse41",
  // REX.W makes the lengths in rAX and rDX 64 bits wide.
  "0f3a60 66 pcmpestrm Vx,Wx,Ib y unaligned sse42",
  "0f3a61 66 pcmpestri Vx,Wx,Ib y unaligned sse42",
  "0f3a62 66 pcmpistrm Vx,Wx,Ib unaligned sse42",
  "0f3a63 66 pcmpistri Vx,Wx,Ib unaligned sse42",
  // Not yet offered by the processor.
  "0f38db 66 aesimc Vx,Wx aes",
  "0f38dc 66 aesenc Vx,Wx aes",
  "0f38dd 66 aesenclast Vx,Wx aes",
  "0f38de 66 aesdec Vx,Wx aes",
  "0f38df 66 aesdeclast Vx,Wx aes",
  "0f3adf 66 aeskeygenassist Vx,Wx,Ib aes",
  "0f3a44 66 pclmulqdq Vx,Wx,Ib pclmul",
  "0f38c8 np sha1nexte Vx,Wx sha",
  "0f38c9 np sha1msg1 Vx,Wx sha",
  "0f38ca np sha1msg2 Vx,Wx sha",
  "0f38cb np sha256rnds2 Vx,Wx,XMM0 sha",
  "0f38cc np sha256msg1 Vx,Wx sha",
  "0f38cd np sha256msg2 Vx,Wx sha",
  "0f3acc np sha1rnds4 Vx,Wx,Ib sha",
  "0f38cf 66 gf2p8mulb Vx,Wx gfni",
  "0f3ace 66 gf2p8affineqb Vx,Wx,Ib gfni",
  "0f3acf 66 gf2p8affineinvqb Vx,Wx,Ib gfni",
  // AMD only.
  "0f2b f3 movntss Md,Vss sse4a",
  "0f2b f2 movntsd Mq,Vsd sse4a",
  "0f78 66 /0 extrq Ux,Ib,Ib sse4a",
  "0f78 f2 insertq Vx,Ux,Ib,Ib sse4a",
  "0f79 66 extrq Vx,Ux sse4a",
  "0f79 f2 insertq Vx,Ux sse4a",
];
