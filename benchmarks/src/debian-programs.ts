import { readFileSync } from "node:fs";
import { workCase } from "./guest-work.ts";
import { Guests } from "./guests.ts";

const PACKAGES = ["openssl", "python3-minimal", "sqlite3", "xz-utils"];

/** What is compressed: the kernel's code, so the same bytes everywhere. */
const CORPUS = { from: 4 << 20, bytes: 400_000 };

const PYTHON_LOOP = `total, words = 0, {}
for i in range(120000):
    total = (total * 31 + i) % 1000003
    words[total % 997] = words.get(total % 997, "") + "x" if i % 64 else ""
print(total, len(words))
`;

/** Rows one by one in a transaction, and a query by an index. */
function inserts(rows: number): string {
  const row = (i: number): string =>
    `insert into t values (${i}, ${(i * 7919) % 10007}, 'row number ${i}');`;
  return [
    "create table t (a integer primary key, b integer, c text); create index i on t (b); begin;",
    ...Array.from({ length: rows }, (_, i) => row(i)),
    "commit; select count(*), sum(a * b), max(c) from t where b between 100 and 5000;",
  ].join("\n");
}

const guests = new Guests({
  packages: PACKAGES,
  files: ({ kernel }) => ({
    corpus: readFileSync(kernel).subarray(CORPUS.from, CORPUS.from + CORPUS.bytes),
    "loop.py": Buffer.from(PYTHON_LOOP),
    "inserts.sql": Buffer.from(inserts(4000)),
  }),
});

const COMMANDS: readonly (readonly [name: string, command: (folder: string) => string])[] = [
  ["xz -3", (folder) => `xz -3 -c ${folder}/corpus | sha256sum`],
  ["gzip -9", (folder) => `gzip -9 -n -c ${folder}/corpus | sha256sum`],
  ["python3, a loop", (folder) => `/usr/bin/python3 -S -E ${folder}/loop.py`],
  ["python3, its start", () => "/usr/bin/python3 -c 'print(6 * 7)'"],
  ["sqlite3, 4,000 inserts", (folder) => `sqlite3 :memory: <${folder}/inserts.sql`],
];

/** `openssl speed` counts what it gets done in a second by its own clock, which follows the host's in each guest. */
const SPEEDS: readonly (readonly [algorithm: string, unit: string, line: RegExp, scale: number])[] =
  [
    ["sha256", "MB/s", /^sha256 +([\d.]+)k$/m, 1000],
    ["aes-128-cbc", "MB/s", /^aes-128-cbc +([\d.]+)k$/m, 1000],
    ["ecdhp256", "operations/s", /^ *256 bits ecdh \(nistp256\) +\S+s +([\d.]+)/m, 1],
  ];

const needs = { native: { debian: PACKAGES } };
const common = { group: "programs", guests, needs } as const;

/** Programs as Debian ships them. */
export const debianPrograms = [
  ...SPEEDS.map(([algorithm, unit, line, scale]) =>
    workCase({
      ...common,
      name: `openssl speed ${algorithm}`,
      command: () => `openssl speed -elapsed -seconds 1 -bytes 8192 ${algorithm} 2>&1`,
      rate: {
        unit,
        parse(output) {
          const found = Number(line.exec(output)?.[1]) / scale;
          if (!(found > 0)) throw new Error(output);
          return found;
        },
      },
    }),
  ),
  ...COMMANDS.map(([name, command]) => workCase({ ...common, name, command })),
];
