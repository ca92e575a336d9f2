const hex = (opcode: number): string => opcode.toString(16);

const ARITHMETIC = ["add", "mul", "com", "comp", "sub", "subr", "div", "divr"];
/** D8 computes into ST(0), DC and DE into ST(i), where the reversed operations change places. */
const REVERSED = ["add", "mul", "com", "comp", "subr", "sub", "divr", "div"];

/** The x87 escapes D8–DF (Intel SDM vol. 2, tables ). */
export const X87_OPCODES: readonly string[] = [
  ...ARITHMETIC.flatMap((name, index) => [
    `d8 mem /${index} f${name} Md`,
    `d8 reg /${index} f${name} ST,STi`,
    `da mem /${index} fi${name} Md`,
    `dc mem /${index} f${name} Mq`,
    `de mem /${index} fi${name} Mw`,
  ]),
  ...REVERSED.flatMap((name, index) =>
    index === 2 || index === 3
      ? []
      : [`dc reg /${index} f${name} STi,ST`, `de reg /${index} f${name}p STi,ST`],
  ),
  // Undocumented aliases that processors execute.
  "dc reg /2 fcom ST,STi",
  "dc reg /3 fcomp ST,STi",
  "dd reg /1 fxch ST,STi",
  "de reg /2 fcomp ST,STi",
  "df reg /0 ffreep STi",
  "df reg /1 fxch ST,STi",
  "df reg /2 fstp STi",
  "df reg /3 fstp STi",
  "d9 reg /3 fstpnce STi,ST",
  "d9 mem /0 fld Md",
  "d9 mem /2 fst Md",
  "d9 mem /3 fstp Md",
  "d9 mem /4 fldenv Me",
  "d9 mem /5 fldcw Mw",
  "d9 mem /6 fnstenv Me",
  "d9 mem /7 fnstcw Mw",
  "d9 reg /0 fld STi",
  "d9 reg /1 fxch ST,STi",
  "d9 =d0 fnop -",
  ..."fchs fabs - - ftst fxam".split(" ").map((name, i) => `d9 =${hex(0xe0 + i)} ${name} -`),
  ..."fld1 fldl2t fldl2e fldpi fldlg2 fldln2 fldz"
    .split(" ")
    .map((name, i) => `d9 =${hex(0xe8 + i)} ${name} -`),
  ..."f2xm1 fyl2x fptan fpatan fxtract fprem1 fdecstp fincstp fprem fyl2xp1 fsqrt fsincos frndint fscale fsin fcos"
    .split(" ")
    .map((name, i) => `d9 =${hex(0xf0 + i)} ${name} -`),
  "da reg /0 fcmovb ST,STi",
  "da reg /1 fcmove ST,STi",
  "da reg /2 fcmovbe ST,STi",
  "da reg /3 fcmovu ST,STi",
  "da =e9 fucompp -",
  "db mem /0 fild Md",
  "db mem /1 fisttp Md sse3",
  "db mem /2 fist Md",
  "db mem /3 fistp Md",
  "db mem /5 fld Mt",
  "db mem /7 fstp Mt",
  "db reg /0 fcmovnb ST,STi",
  "db reg /1 fcmovne ST,STi",
  "db reg /2 fcmovnbe ST,STi",
  "db reg /3 fcmovnu ST,STi",
  // No operation since the 387 (FENI, FDISI) and the 287 (FSETPM).
  "db =e0 fneni -",
  "db =e1 fndisi -",
  "db =e2 fnclex -",
  "db =e3 fninit -",
  "db =e4 fnsetpm -",
  "db reg /5 fucomi ST,STi",
  "db reg /6 fcomi ST,STi",
  "dd mem /0 fld Mq",
  "dd mem /1 fisttp Mq sse3",
  "dd mem /2 fst Mq",
  "dd mem /3 fstp Mq",
  "dd mem /4 frstor Mn",
  "dd mem /6 fnsave Mn",
  "dd mem /7 fnstsw Mw",
  "dd reg /0 ffree STi",
  "dd reg /2 fst STi",
  "dd reg /3 fstp STi",
  "dd reg /4 fucom ST,STi",
  "dd reg /5 fucomp ST,STi",
  "de =d9 fcompp -",
  "df mem /0 fild Mw",
  "df mem /1 fisttp Mw sse3",
  "df mem /2 fist Mw",
  "df mem /3 fistp Mw",
  "df mem /4 fbld Mt",
  "df mem /5 fild Mq",
  "df mem /6 fbstp Mt",
  "df mem /7 fistp Mq",
  "df =e0 fnstsw AX",
  "df reg /5 fucomip ST,STi",
  "df reg /6 fcomip ST,STi",
]
  .filter((row) => !row.endsWith(" - -"))
  .map((row) => (row.endsWith("sse3") ? row : `${row} fpu`));
