/**
 * What a load costs through a 64-bit WebAssembly memory against a 32-bit one, both shared, in one run:
 * `node bench/memory64.ts`. Two loops over 16 MiB: one whose address is computed, as translated code does, and
 * one whose next address is what was loaded.
 */
const PAGES = 1024;
const ITERATIONS = 1_000_000;
const ROUNDS = 100;

function leb(value: number): number[] {
  const bytes: number[] = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    const last = (value === 0 && !(low & 0x40)) || (value === -1 && (low & 0x40) !== 0);
    bytes.push(last ? low : low | 0x80);
    if (last) return bytes;
  }
}
const unsigned = (n: number): number[] =>
  n < 128 ? [n] : [(n & 0x7f) | 0x80, ...unsigned(n >>> 7)];
const section = (id: number, bytes: number[]) => [id, ...unsigned(bytes.length), ...bytes];

/** (func (param $n index) (result i32) (local $a index) (local $sum i32) (loop …)) */
function build(wide: boolean, chained: boolean): WebAssembly.Module {
  const type = wide ? 0x7e : 0x7f;
  const constant = (n: number) => [wide ? 0x42 : 0x41, ...leb(n)];
  const op = (narrow: number, broad: number) => (wide ? broad : narrow);
  const [add, sub, and, eqz] = [op(0x6a, 0x7c), op(0x6b, 0x7d), op(0x71, 0x83), op(0x45, 0x50)];
  const load = [0x20, 1, 0x28, 2, 0];
  // The address is 32 bits wide in the guest, whatever the index type is.
  const widen = wide ? [0xad] : [];
  const step = chained
    ? [...load, ...widen, 0x20, 1, add, ...constant(72), add, ...constant(0xfffffc), and, 0x21, 1]
    : [
        0x20,
        2,
        ...load,
        0x6a,
        0x21,
        2,
        0x20,
        1,
        ...constant(72),
        add,
        ...constant(0xfffffc),
        and,
        0x21,
        1,
      ];
  const loop = [
    0x03,
    0x40,
    ...step,
    0x20,
    0,
    ...constant(1),
    sub,
    0x22,
    0,
    eqz,
    0x45,
    0x0d,
    0,
    0x0b,
  ];
  const body = [2, 1, type, 1, 0x7f, ...loop, 0x20, 2, 0x0b];
  const limits = [wide ? 7 : 3, ...unsigned(PAGES), ...unsigned(PAGES)];
  return new WebAssembly.Module(
    new Uint8Array([
      0,
      0x61,
      0x73,
      0x6d,
      1,
      0,
      0,
      0,
      ...section(1, [1, 0x60, 1, type, 1, 0x7f]),
      ...section(2, [1, 1, 0x6d, 1, 0x6d, 2, ...limits]),
      ...section(3, [1, 0]),
      ...section(7, [1, 1, 0x66, 0, 0]),
      ...section(10, [1, ...unsigned(body.length), ...body]),
    ]),
  );
}

/** The options of a 64-bit memory are newer than the types. */
interface WideMemory {
  address: "i64";
  initial: bigint;
  maximum: bigint;
  shared: true;
}

function prepare(wide: boolean, chained: boolean): () => void {
  const options: WideMemory = {
    address: "i64",
    initial: BigInt(PAGES),
    maximum: BigInt(PAGES),
    shared: true,
  };
  const memory = wide
    ? new WebAssembly.Memory(options as unknown as WebAssembly.MemoryDescriptor)
    : new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
  const { exports } = new WebAssembly.Instance(build(wide, chained), { m: { m: memory } });
  const run = exports["f"] as (n: number | bigint) => number;
  return () => run(wide ? BigInt(ITERATIONS) : ITERATIONS);
}

console.log(`Node ${process.version}, V8 ${process.versions.v8}, ${process.execArgv.join(" ")}`);
for (const chained of [false, true]) {
  const runs = [prepare(false, chained), prepare(true, chained)];
  const best = [Infinity, Infinity];
  for (let round = -5; round < ROUNDS; round++) {
    runs.forEach((run, i) => {
      const start = performance.now();
      run();
      if (round >= 0) best[i] = Math.min(best[i] as number, performance.now() - start);
    });
  }
  const [narrow = 0, wide = 0] = best.map((ms) => (ms * 1e6) / ITERATIONS);
  console.log(
    `${chained ? "dependent loads " : "computed address"}: 32-bit ${narrow.toFixed(2)} ns, ` +
      `64-bit ${wide.toFixed(2)} ns, ratio ${(wide / narrow).toFixed(2)}`,
  );
}
