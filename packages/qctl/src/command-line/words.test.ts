import fc from "fast-check";
import { expect, test } from "vitest";
import { parsePlace } from "../vm/place.ts";
import { editDistance, nearest } from "./nearest.ts";
import { parsePairs } from "./pairs.ts";
import { splitPassthrough } from "./passthrough.ts";
import { parsePort } from "./ports.ts";

test.each([
  ["80", { guest: 80, protocol: "tcp" }],
  ["8080:80", { host: 8080, guest: 80, protocol: "tcp" }],
  ["53/udp", { guest: 53, protocol: "udp" }],
  ["0.0.0.0:8080:80", { address: "0.0.0.0", host: 8080, guest: 80, protocol: "tcp" }],
  ["[::1]:8080:80/tcp", { address: "::1", host: 8080, guest: 80, protocol: "tcp" }],
])("the port %s → understood", (text, port) => {
  expect(parsePort(text)).toEqual(port);
});

test.each([
  "",
  "0",
  "65536",
  "a:80",
  "1.2.3:1:2",
  "300.1.1.1:1:2",
  "80/icmp",
  "1:2:3",
  "[1.2.3.4]:1:2",
])("the port %j → refused", (text) => {
  expect(() => parsePort(text)).toThrow(expect.objectContaining({ code: "QZ_QCTL_INPUT_INVALID" }));
});

test.each([
  ["web:/etc/hosts", { vm: "web", path: "/etc/hosts" }],
  ["web:notes", { vm: "web", path: "/root/notes" }],
  ["web:/srv/", { vm: "web", path: "/srv/" }],
  ["web:", { vm: "web", path: "/root" }],
  ["./a:b", { path: "./a:b" }],
  ["/a:b", { path: "/a:b" }],
  ["-", { path: "-" }],
  ["C:\\x", { path: "C:\\x" }],
])("the place %s → understood", (text, place) => {
  expect(parsePlace(text)).toEqual(place);
});

const flags = {
  terminal: { type: "boolean", char: "t" },
  interactive: { type: "boolean", char: "i" },
  user: { type: "option", char: "u" },
} as const;

test.each([
  [["web", "ls", "-la"], ["web"], ["ls", "-la"]],
  [["-it", "web", "sh"], ["-it", "web"], ["sh"]],
  [
    ["web", "-u", "app", "ls", "-u"],
    ["web", "-u", "app"],
    ["ls", "-u"],
  ],
  [["web", "-itu", "app", "ls"], ["web", "-itu", "app"], ["ls"]],
  [["web", "--user=app", "ls"], ["web", "--user=app"], ["ls"]],
  [["web", "--", "--user", "x"], ["web"], ["--user", "x"]],
  [["web"], ["web"], []],
  [["web", "echo", "--", "x"], ["web"], ["echo", "--", "x"]],
])("vm exec %j → its own words and the program's", (argv, own, rest) => {
  expect(splitPassthrough(argv, flags, 1)).toEqual({ own, rest });
});

test("any line → every word is in one of the parts, in its order", () => {
  const word = fc.constantFrom("web", "-t", "-u", "--user", "--user=a", "-", "-itu", "x");
  fc.assert(
    fc.property(fc.array(word), fc.nat(3), (argv, positionals) => {
      const { own, rest } = splitPassthrough(argv, flags, positionals);
      expect([...own, ...rest]).toEqual(argv);
    }),
  );
});

test("KEY=VALUE pairs → a record, the value as it is; others are refused", () => {
  expect(parsePairs(["a=b=c", "d="], "--label")).toEqual({ a: "b=c", d: "" });
  expect(Object.keys(parsePairs(["__proto__=x"], "--label"))).toEqual(["__proto__"]);
  expect(() => parsePairs(["=x"], "--label")).toThrow("KEY=VALUE");
});

test("a mistyped word → the one that was meant, none where nothing is near", () => {
  const known = ["vm:list", "vm:stop", "task:list", "up"];
  expect(nearest("vm:lst", known)).toBe("vm:list");
  expect(nearest("vm:sotp", known)).toBe("vm:stop");
  expect(nearest("tsak:list", known)).toBe("task:list");
  expect(nearest("frobnicate", known)).toBeUndefined();
});

test("distances → symmetric, none to itself, never above the limit", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      expect(editDistance(a, b, 5)).toBe(editDistance(b, a, 5));
      expect(editDistance(a, a, 5)).toBe(0);
      expect(editDistance(a, b, 5)).toBeLessThanOrEqual(5);
    }),
  );
});
