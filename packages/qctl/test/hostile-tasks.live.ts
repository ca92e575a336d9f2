import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, test, vi } from "vitest";
import { type Outcome, qctl } from "./support/cli.ts";
import { PATIENCE, Running } from "./support/live.ts";
import { liveServer, namesIn, processesOf } from "./support/live-server.ts";

const server = liveServer(["images", "templates"]);

/** What a server without work has not: VMs, files on their way, processes beside those that stand by. */
const left = () => {
  const standby = namesIn(join(server.home, "standby")).length;
  return {
    vms: namesIn(join(server.home, "vms")),
    files: namesIn(join(server.home, "files")),
    strays: Math.max(0, processesOf(`${server.home}/`).length - standby),
  };
};
const quiet = { vms: [], files: [], strays: 0 };
beforeAll(async () => {
  // It is made after the start.
  await vi.waitUntil(() => namesIn(join(server.home, "standby")).length > 0, PATIENCE);
});

function file(name: string, content: string | Uint8Array): string {
  const path = join(server.home, "inputs", name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

/** A file that claims a size, and holds nothing. */
function claim(name: string, bytes: number): string {
  const path = file(name, "x,y,field\n");
  truncateSync(path, bytes);
  return path;
}

const submit = (...words: string[]): Promise<Outcome> =>
  qctl("task", "submit", ...words, "--wait", "--out", join(server.home, "out"));

const tasks = () => namesIn(join(server.home, "tasks")).length;

const MAG = ["Process mining MAG survey", "--data", '{"inclination":60,"declination":2}'];
const table = (rows: number) => `x,y,field\n${"1,2,48000\n".repeat(rows)}`;
const segy = () => {
  const bytes = Buffer.alloc(5000);
  bytes.writeUInt16BE(2000, 3216);
  bytes.writeUInt16BE(65_000, 3220);
  bytes.writeUInt16BE(5, 3224);
  return bytes;
};
const png = () => {
  const bytes = Buffer.alloc(64);
  bytes.writeUInt32BE(0x89504e47, 0);
  bytes.writeUInt32BE(4_000_000_000, 16);
  bytes.writeUInt32BE(4_000_000_000, 20);
  return bytes;
};

const USAGE = 2;
const LIMIT = 9;

const REFUSED: readonly [string, () => readonly string[], number, RegExp][] = [
  [
    "a name that leads upwards",
    () => [...MAG, "--file", `../../evil.csv=${file("a.csv", table(200))}`],
    USAGE,
    /name|path/,
  ],
  [
    "an absolute name",
    () => [...MAG, "--file", `/etc/evil.csv=${file("a.csv", table(200))}`],
    USAGE,
    /name|path/,
  ],
  [
    "a name with a backslash",
    () => [...MAG, "--file", `..\\evil.csv=${file("a.csv", table(200))}`],
    USAGE,
    /name|path/,
  ],
  ["an empty file", () => [...MAG, "--file", file("empty.csv", "")], USAGE, /it is empty/],
  ["a header alone", () => [...MAG, "--file", file("head.csv", "x,y,field\n")], USAGE, /no row/],
  ["a picture for a table", () => [...MAG, "--file", file("picture.csv", png())], USAGE, /binary/],
  [
    "a kind that it does not take",
    () => [...MAG, "--file", file("notes.txt", "hello")],
    USAGE,
    /it takes/,
  ],
  ["a folder for a file", () => [...MAG, "--file", server.home], 3, /directory/],
  ["a file that is not there", () => [...MAG, "--file", "/nowhere.csv"], 3, /nowhere/],
  ["data that is no JSON", () => ["Process mining MAG survey", "--data", "{"], USAGE, /JSON/],
  ["NaN as data", () => ["Process mining MAG survey", "--data", '{"points":NaN}'], USAGE, /JSON/],
  [
    "words for a number",
    () => ["Process mining MAG survey", "--data", '{"points":"many"}'],
    USAGE,
    /points/,
  ],
  [
    "a key that it does not know",
    () => ["Process mining MAG survey", "--data", '{"pionts":5}'],
    USAGE,
    /pionts/,
  ],
  [
    "ten billion points",
    () => ["Process mining MAG survey", "--data", '{"points":10000000000}'],
    USAGE,
    /points/,
  ],
  ...(
    [
      ["Reduce the gravity survey", "stations"],
      ["Process the seismic traces", "traces"],
      ["Generate a 3D mesh", "resolution"],
      ["Train a classifier", "rows"],
      ["Train a classifier", "epochs"],
    ] as const
  ).map(([sentence, key]): (typeof REFUSED)[number] => [
    `ten billion ${key}`,
    () => [sentence, "--data", `{"${key}":10000000000}`],
    USAGE,
    new RegExp(key),
  ]),
  [
    "NaN in a survey's cell",
    () => [...MAG, "--file", file("nan.csv", `${table(150)}1,NaN,3\n`)],
    USAGE,
    /row 151: y is "NaN", not a finite number/,
  ],
  [
    "a station without gravity",
    () => [
      "Reduce the gravity survey",
      "--data",
      '{"latitude":40}',
      "--file",
      file("g.csv", "x,y,height\n1,2,3\n"),
    ],
    USAGE,
    /no column gravity/,
  ],
  [
    "a point that is infinitely far",
    () => ["Generate a 3D mesh", "--file", file("p.xyz", "x y z\n1 2 3\n1 inf 3\n")],
    USAGE,
    /row 2: y is "inf"/,
  ],
  [
    "a scene that is no JSON",
    () => ["Generate a 3D mesh", "--file", file("scene.json", '{"shape":')],
    USAGE,
    /not JSON/,
  ],
  [
    "an array whose name leads upwards",
    () => ["Train a classifier", "--file", file("up.npz", claimedArray("../../x.npy"))],
    USAGE,
    /no array's name/,
  ],
  [
    "an array that claims 80 GB",
    () => ["Train a classifier", "--file", file("claim.npz", claimedArray("x.npy"))],
    USAGE,
    /claims 10000000000 numbers/,
  ],
  [
    "a model that is none",
    () => ["Run inference with the trained model", "--file", file("m.onnx", "\x7fELF")],
    USAGE,
    /not an ONNX model/,
  ],
  [
    "ten billion predictions",
    () => [
      "Run inference with the trained model",
      "--data",
      '{"rows":10000000000}',
      "--file",
      file("claim.onnx", Uint8Array.of(8, 7)),
    ],
    USAGE,
    /rows/,
  ],
  [
    "a command's file with a name that leads upwards",
    () => ["Count", "--file", `../../up.txt=${file("up.txt", "x")}`, "--command", "true"],
    USAGE,
    /name|path/,
  ],
  [
    "traces that the file does not hold",
    () => ["Process the seismic traces", "--file", file("a.sgy", segy())],
    USAGE,
    /claims 65000 samples/,
  ],
  [
    "a picture of 16 exapixels",
    () => ["Make a 3D model of this terrain", "--file", file("h.png", png())],
    USAGE,
    /pixels/,
  ],
  ["40 MB of nothing", () => [...MAG, "--file", claim("hollow.csv", 40_000_000)], USAGE, /binary/],
  [
    "a file of 11 GiB",
    () => [...MAG, "--file", claim("huge.csv", 11 * 2 ** 30)],
    LIMIT,
    /limits\.filesMib/,
  ],
  [
    "a thousand files",
    () => [
      "Count",
      ...Array.from({ length: 1000 }, (_, at) => [
        "--file",
        `${at}.csv=${file("a.csv", table(1))}`,
      ]).flat(),
    ],
    USAGE,
    /256|files/,
  ],
  [
    "two files of one name",
    () => [
      ...MAG,
      "--file",
      file("a.csv", table(200)),
      "--file",
      `a.csv=${file("b.csv", table(200))}`,
    ],
    USAGE,
    /same name/,
  ],
  [
    "a hundred thousand levels of data",
    () => [
      "Mesh this scene",
      "--data",
      `@${file("deep.json", `${"[".repeat(100_000)}${"]".repeat(100_000)}`)}`,
    ],
    USAGE,
    /./,
  ],
  [
    "a million keys",
    () => [
      "Mesh this scene",
      "--data",
      `@${file("keys.json", JSON.stringify(Object.fromEntries(Array.from({ length: 1e6 }, (_, at) => [`k${at}`, at]))))}`,
    ],
    USAGE,
    /./,
  ],
  ["a terabyte of memory", () => ["Count", "--memory", "1T", "--", "true"], LIMIT, /MiB/],
  [
    "no model to predict with",
    () => ["Run inference with the trained model", "--file", file("r.csv", "a,b\n1,2\n")],
    USAGE,
    /\.onnx/,
  ],
];

test.each(REFUSED)(
  "%s → refused before anything is made, with code and words; nothing is left",
  async (_name, words, code, says) => {
    const before = tasks();
    const started = performance.now();
    const outcome = await submit(...words());
    expect(outcome).toMatchObject({ code, stdout: "" });
    expect(outcome.stderr).toMatch(says);
    expect(outcome.stderr).toMatch(/QZ_|--/);
    expect(outcome.stderr.length).toBeLessThan(3000);
    expect(performance.now() - started).toBeLessThan(PATIENCE.timeout);
    expect(tasks()).toBe(before);
    expect(left()).toEqual(quiet);
  },
);

/** A NumPy archive whose array claims more than any computer has. */
function claimedArray(name: string): Uint8Array {
  const script = `import struct, sys, zipfile
head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000,), }"
head += b" " * (63 - (len(head) + 10) % 64) + b"\\n"
with zipfile.ZipFile(sys.stdout.buffer, "w") as file:
    file.writestr(sys.argv[1], b"\\x93NUMPY\\x01\\x00" + struct.pack("<H", len(head)) + head)
`;
  return execFileSync("python3", ["-c", script, name]);
}

const REFUSED_INSIDE: readonly [string, () => readonly string[], RegExp][] = [
  [
    "NaN in a cell far down",
    () => [...MAG, "--file", file("nan.csv", `${table(9000)}1,NaN,3\n`)],
    /row 9001 holds something that is not a finite number/,
  ],
  [
    "a scene that is none",
    () => ["Generate a 3D mesh", "--file", file("scene.json", '{"shape":"teapot"}')],
    /teapot/,
  ],
];

test.each(REFUSED_INSIDE)(
  "%s → refused in the guest with the skill's words, once; no VM is left",
  async (_name, words, says) => {
    const outcome = await submit(...words());
    expect(outcome).toMatchObject({ code: 7, stdout: "" });
    expect(outcome.stderr).toMatch(says);
    const { items } = JSON.parse(
      (await qctl("task", "list", "--limit", "1", "-o", "json")).stdout,
    ) as {
      items: { state: string; attempt: number }[];
    };
    expect(items[0]).toMatchObject({ state: "failed", attempt: 1 });
    await vi.waitFor(() => expect(left()).toEqual(quiet), PATIENCE);
  },
);

test("a program that leaves files of every name → honest ones come out, where they belong", async () => {
  const command = [
    'cd "$QUEZTL_OUT"',
    "mkdir -p 'sub/deep'",
    "echo fine > sub/deep/fine.txt",
    "echo bad > '..\\evil.txt'",
    "echo bad > \"$(printf 'new\\nline')\"",
    "echo bad > \"$(printf 'esc\\033[31m')\"",
    "ln -s /etc/passwd link",
    "mkfifo pipe",
    "echo '{' > result.json",
  ].join(" && ");
  const out = join(server.home, "named");
  const done = await qctl(
    "task",
    "submit",
    "Leave files",
    "--image",
    "base",
    "--command",
    command,
    "--out",
    out,
  );
  expect(done.code).toBe(0);
  expect(readdirSync(out, { recursive: true, encoding: "utf8" }).toSorted()).toEqual([
    "result.json",
    "sub",
    "sub/deep",
    "sub/deep/fine.txt",
  ]);
  const id = (await qctl("task", "list", "--limit", "1", "-o", "name")).stdout.trim();
  const logs = await qctl("task", "logs", id, "--stream", "system");
  expect(logs.stdout).toContain("a file with an unusable name was left out");
  expect(logs.stdout).not.toMatch(/[^\P{C}\n]/u);
  await vi.waitFor(() => expect(left()).toEqual(quiet), PATIENCE);
});

test("a program that does not end, one that takes all memory → ended, told, nothing left", async () => {
  const endless = await submit(
    "Spin",
    "--image",
    "base",
    "--max-time",
    "3s",
    "--attempts",
    "1",
    "--command",
    "while :; do :; done",
  );
  expect(endless).toMatchObject({ code: 7, stderr: expect.stringMatching(/3 s/) });
  const hungry = "x=a; while :; do x=$x$x; done";
  const greedy = await submit(
    "Grow",
    "--image",
    "base",
    "--max-memory",
    "96",
    "--attempts",
    "1",
    "--command",
    hungry,
  );
  expect(greedy).toMatchObject({ code: 7, stderr: expect.stringMatching(/memory/) });
  await vi.waitFor(() => expect(left()).toEqual(quiet), PATIENCE);
});

test("a skill of one's own, dropped into the home → chosen by its words; its progress is shown", async () => {
  const folder = join(server.home, "skills/count-lines");
  mkdirSync(folder, { recursive: true });
  const manifest = {
    name: "count-lines",
    version: "1.0.0",
    title: "Counts lines",
    summary: "Counts the lines of texts.",
    domain: "text",
    keywords: ["count the lines", "lines", "tally"],
    image: "base",
    command: ["sh", "main.sh"],
    parameters: {
      properties: { seconds: { type: "integer", minimum: 0, maximum: 60 } },
      additionalProperties: false,
    },
    files: [{ pattern: "*.txt", description: "A text", required: true }],
    outputs: [{ name: "result.json", type: "application/json", description: "The count" }],
    sizing: { memoryMib: 64 },
  };
  const program = `lines=$(cat "$QUEZTL_IN"/files/*.txt | wc -l)
echo 'queztl:{"done":0.5,"step":"count","message":"half \\u001b[31mway"}'
echo plain words
sleep $(sed 's/[^0-9]//g' "$QUEZTL_IN/data.json")
echo "{\\"lines\\": $lines}" > "$QUEZTL_OUT/result.json"
`;
  writeFileSync(join(folder, "main.sh"), program);
  writeFileSync(join(folder, "skill.json"), "{");
  const text = file("poem.txt", "one\ntwo\nthree\n");
  const sentence = [
    "Please count the lines and tally them",
    "--file",
    text,
    "--data",
    '{"seconds":8}',
  ];
  const broken = await submit(...sentence, "--kind", "count-lines");
  expect(broken).toMatchObject({ code: USAGE, stderr: expect.stringContaining("skill.json") });

  writeFileSync(join(folder, "skill.json"), JSON.stringify(manifest));
  const id = (await qctl("task", "submit", ...sentence, "-o", "name")).stdout.trim();
  const waiting = new Running("task", "wait", id);
  await vi.waitFor(
    async () =>
      expect((await qctl("task", "get", id)).stdout).toMatch(/Progress +50% count: half .*way/),
    PATIENCE,
  );
  expect(await waiting.ends()).toBe(0);
  expect(waiting.stderr).toContain("50% count: half");
  expect(JSON.parse(waiting.stdout)).toEqual({ lines: 3 });
  const logs = await qctl("task", "logs", id);
  expect(logs.stdout).toMatch(/50% count: half .*way\n/);
  expect(logs.stdout).toContain("plain words\n");
  expect(logs.stdout).not.toContain("queztl:");
  expect((await qctl("task", "get", id)).stdout).toMatch(/Kind +count-lines/);
  expect((await qctl("task", "get", id)).stdout).not.toContain("Progress");
  await vi.waitFor(() => expect(left()).toEqual(quiet), PATIENCE);
});
