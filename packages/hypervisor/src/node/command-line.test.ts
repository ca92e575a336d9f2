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
    networks: [],
    serial: "stdio",
    console: "none",
    balloon: false,
    debugExit: false,
    engine: "auto",
    tier: "auto",
    seed: undefined,
    timeoutSeconds: undefined,
    statsFile: undefined,
  });
});

test("every flag → what it says", () => {
  const args =
    "--initrd a --initrd b --memory 1024 --cpus 4 --disk d.img --disk e,format=raw,readonly " +
    "--disk f,format=qcow2,overlay=g --net user,hostfwd=tcp:2222:22,hostfwd=udp:8080:80 " +
    "--net user,allow=127.0.0.1:80,allow=10.0.0.0/8,deny=10.1.0.0/16,mac=52:54:00:00:00:02 --net none " +
    "--net switch,listen=/s --net switch,connect=/t,mac=52:54:00:00:00:03 " +
    "--serial out.log --console stdio --balloon --debug-exit " +
    "--engine emulator --tier 0 --seed 7 --timeout 30 --stats s.json";
  expect(run(...args.split(" "), "--append", "quiet x=1,2")).toEqual({
    kernel: "k",
    initrds: ["a", "b"],
    append: "quiet x=1,2",
    memoryMib: 1024,
    cpus: 4,
    disks: [
      { path: "d.img", readOnly: false },
      { path: "e", readOnly: true },
      { path: "f", readOnly: false, format: "qcow2", overlay: "g" },
    ],
    networks: [
      {
        forwards: [
          { hostPort: 2222, guestPort: 22 },
          { protocol: "udp", hostPort: 8080, guestPort: 80 },
        ],
      },
      {
        forwards: [],
        allow: ["127.0.0.1:80", "10.0.0.0/8"],
        deny: ["10.1.0.0/16"],
        mac: "52:54:00:00:00:02",
      },
      { switch: { listen: "/s" } },
      { switch: { connect: "/t" }, mac: "52:54:00:00:00:03" },
    ],
    serial: { file: "out.log" },
    console: "stdio",
    balloon: true,
    debugExit: true,
    engine: "emulator",
    tier: 0,
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
  ["a value like an option", ["run", "--kernel", "k", "--seed", "-1"], "QZ_HYPERVISOR_USAGE"],
  ["a word too many", ["run", "--kernel", "k", "x"], "QZ_HYPERVISOR_USAGE"],
] as const)("$0 → $2", ([, args, code]) => {
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
  ["--disk", "d,format=vmdk"],
  ["--disk", "d,cache=none"],
  ["--disk", "d,overlay="],
  ["--disk", "d,overlay=e,readonly"],
  ["--net", "tap"],
  ["--net", "none,hostfwd=tcp:1:1"],
  ["--net", "user,hostfwd=sctp:1:1"],
  ["--net", "user,allow="],
  ["--net", "user,mac=1:2:3:4:5:6"],
  ["--net", "switch"],
  ["--net", "switch,listen="],
  ["--net", "switch,listen=/a,connect=/b"],
  ["--net", "user,hostfwd=tcp:0:1"],
  ["--net", "user,hostfwd=tcp:1:65536"],
  ["--engine", "xen"],
  ["--tier", "1"],
  ["--seed", "4294967296"],
  ["--timeout", "0"],
  ["--timeout", "1.5"],
])("%s %j → QZ_HYPERVISOR_OPTIONS", ([flag, value]) => {
  expect(() => run(`${flag}=${value}`)).toThrow(
    expect.toSatisfy((e) => isQueztlError(e, "QZ_HYPERVISOR_OPTIONS")),
  );
});

test("a value like an option → one sentence that says so", () => {
  expect(() => run("--seed", "-1")).toThrow(
    "Option '--seed' needs a value that is no other option; see queztl-vm run --help",
  );
});

test("--console stdio alone → the serial port leads nowhere; both at the terminal → refused", () => {
  expect(run("--console", "stdio")).toMatchObject({ console: "stdio", serial: "none" });
  expect(run("--console", "c.log")).toMatchObject({ console: { file: "c.log" }, serial: "stdio" });
  expect(() => run("--console", "stdio", "--serial", "stdio")).toThrow(
    expect.toSatisfy((e) => isQueztlError(e, "QZ_HYPERVISOR_OPTIONS")),
  );
});
