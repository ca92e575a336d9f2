import { isQueztlError } from "@queztl/errors";
import { expect, test } from "vitest";
import { parseCommandLine } from "./command-line.ts";

const run = (...args: string[]) => {
  const line = parseCommandLine(["run", "--kernel", "k", ...args]);
  if (line.command !== "run") throw new Error("not a run");
  return line.run;
};

test("only a kernel → the defaults", () => {
  expect(run()).toEqual({
    kernel: "k",
    initrds: [],
    append: undefined,
    memoryMib: 512,
    cpus: 1,
    disks: [],
    network: undefined,
    serial: "stdio",
    debugExit: false,
    engine: "auto",
    seed: undefined,
    timeoutSeconds: undefined,
    statsFile: undefined,
  });
});

test("every flag → what it says", () => {
  const args =
    "--initrd a --initrd b --memory 1024 --cpus 4 --disk d.img --disk e,format=raw,readonly " +
    "--net user,hostfwd=tcp:2222:22,hostfwd=tcp:8080:80 --serial out.log --debug-exit " +
    "--engine emulator --seed 7 --timeout 30 --stats s.json";
  expect(run(...args.split(" "), "--append", "quiet x=1,2")).toEqual({
    kernel: "k",
    initrds: ["a", "b"],
    append: "quiet x=1,2",
    memoryMib: 1024,
    cpus: 4,
    disks: [
      { path: "d.img", readOnly: false },
      { path: "e", readOnly: true },
    ],
    network: {
      forwards: [
        { hostPort: 2222, guestPort: 22 },
        { hostPort: 8080, guestPort: 80 },
      ],
    },
    serial: { file: "out.log" },
    debugExit: true,
    engine: "emulator",
    seed: 7,
    timeoutSeconds: 30,
    statsFile: "s.json",
  });
});

test.for([
  [[], "help"],
  [["--help"], "help"],
  [["run", "--help"], "help"],
  [["run", "-h"], "help"],
  [["help", "run"], "help"],
  [["--version"], "version"],
] as const)("%j → %s", ([args, command]) => {
  expect(parseCommandLine(args).command).toBe(command);
});

test.for([
  ["no kernel", ["run"], "QZ_HYPERVISOR_USAGE"],
  ["another command", ["frobnicate"], "QZ_HYPERVISOR_USAGE"],
  ["an unknown flag", ["run", "--kernel", "k", "--frob"], "QZ_HYPERVISOR_USAGE"],
  ["a value that is missing", ["run", "--kernel"], "QZ_HYPERVISOR_USAGE"],
  ["a word too many", ["run", "--kernel", "k", "x"], "QZ_HYPERVISOR_USAGE"],
] as const)("%s → %3$s", ([, args, code]) => {
  expect(() => parseCommandLine(args)).toThrow(expect.toSatisfy((e) => isQueztlError(e, code)));
});

test.for([
  ["--cpus", "0"],
  ["--cpus", "65"],
  ["--cpus", "two"],
  ["--cpus", "1e1"],
  ["--memory", "0"],
  ["--memory", "-1"],
  ["--memory", "99999999999999999999"],
  ["--disk", ""],
  ["--disk", "d,format=qcow2"],
  ["--disk", "d,cache=none"],
  ["--net", "tap"],
  ["--net", "none,hostfwd=tcp:1:1"],
  ["--net", "user,hostfwd=udp:1:1"],
  ["--net", "user,hostfwd=tcp:0:1"],
  ["--net", "user,hostfwd=tcp:1:65536"],
  ["--engine", "xen"],
  ["--seed", "4294967296"],
  ["--timeout", "0"],
  ["--timeout", "1.5"],
])("%s %j → QZ_HYPERVISOR_OPTIONS", ([flag, value]) => {
  expect(() => run(`${flag}=${value}`)).toThrow(
    expect.toSatisfy((e) => isQueztlError(e, "QZ_HYPERVISOR_OPTIONS")),
  );
});
