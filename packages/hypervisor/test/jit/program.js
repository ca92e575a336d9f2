// What V8 has several compilers for: hot loops, typed arrays, objects that change shape, regular expressions, WebAssembly.
function sha(rounds) {
  const w = new Int32Array(64);
  let h = 0x6a09e667;
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < 64; i++)
      w[i] = i < 16 ? Math.imul(h + i, 0x9e3779b1) : (w[i - 16] ^ w[i - 7]) + (w[i - 2] >>> 3);
    for (const word of w) h = ((h << 5) | (h >>> 27)) ^ word;
  }
  return h >>> 0;
}

class Vector {
  constructor(x, y, z) {
    Object.assign(this, { x, y, z });
  }
  length() {
    return Math.hypot(this.x, this.y, this.z);
  }
}

function lengths(n) {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const v = i % 1000 === 999 ? { length: () => i } : new Vector(i, i / 3, Math.sqrt(i));
    sum += v.length();
  }
  return sum.toFixed(6);
}

const text = Array.from({ length: 2000 }, (_, i) => `key${i % 37}=${(i * 7919) % 1009};`).join("");
const found = [...text.matchAll(/key(\d+)=([1-9]\d{2});/g)].reduce(
  (sum, [, key, value]) => sum + key * value,
  0,
);

// f(n): s = 0; do s = s * 31 + n; while (--n); return s.
const encoded =
  "0061736d0100000001060160017f017f03020100070501016600000a1e011c01017f03402001411f6c20006a21012000417f6a22000d000b20010b";
const wasm = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(encoded, "hex")));
console.log(sha(400), lengths(20000), found, wasm.exports.f(300000));

// Functions that are made from text, as CommonJS and as a module alike.
async function generated() {
  const { runInThisContext } = await import("node:vm");
  const made = Array.from({ length: 150 }, (_, i) => {
    const f = runInThisContext(
      `(a) => { let s = a; for (let i = 0; i < 400; i++) s = (s * ${31 + i} + i) % ${10007 + i}; return s; }`,
    );
    let s = 0;
    for (let call = 0; call < 20; call++) s = f(s + call);
    return s;
  });
  console.log(made.reduce((a, b) => (a * 31 + b) % 1000003, 7));
}
void generated();
