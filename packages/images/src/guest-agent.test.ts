import { buildInitramfs } from "./initramfs.ts";
import { readCpio } from "@queztl/boot";
import { expect, test } from "vitest";
import { AGENT_PACKAGES, guestAgentFiles, isAgentPart } from "./guest-agent.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const parts = new Map([
  [
    "perl-base",
    new Map([
      ["usr/bin/perl", bytes("perl")],
      ["usr/lib/x86_64-linux-gnu/perl-base/strict.pm", bytes("strict")],
      ["usr/lib/x86_64-linux-gnu/perl-base/warnings.pm", bytes("warnings")],
    ]),
  ],
  [
    "libc6",
    new Map(
      ["ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6"].map((name) => [
        `lib/x86_64-linux-gnu/${name}`,
        bytes(name),
      ]),
    ),
  ],
  ["libcrypt1", new Map([["lib/x86_64-linux-gnu/libcrypt.so.1.1.0", bytes("crypt")]])],
]);

test("the packages' files → an agent that is started before the guest is ready", () => {
  const files = guestAgentFiles(bytes("agent"), parts);
  const initramfs = buildInitramfs({ release: "6.1.0", modules: [], busybox: bytes("b"), files });
  const entries = new Map(readCpio(initramfs).map((entry) => [entry.path, entry]));
  const start = entries.get("queztl/start.d/agent");
  expect(start?.mode).toBe(0o755);
  // Everything that the start names is there.
  const named = new TextDecoder().decode(start?.data).matchAll(/\$agent\/([\w.-]+)/g);
  const names = [...named].map((match) => match[1]);
  expect(names).toEqual(["ld-linux-x86-64.so.2", "perl", "queztl-agent.pl"]);
  for (const name of [...names, "strict.pm", "libcrypt.so.1"])
    expect(entries.get(`queztl/agent/${name}`)?.mode).toBe(0o755);
});

test("a package without one of the files → QZ_IMAGES_BAD_PACKAGE", () => {
  for (const name of AGENT_PACKAGES) {
    const without = new Map([...parts, [name, new Map<string, Uint8Array>()]]);
    expect(() => guestAgentFiles(bytes("agent"), without)).toThrow(
      expect.objectContaining({ code: "QZ_IMAGES_BAD_PACKAGE" }),
    );
  }
});

test("files of the packages → only what the agent needs", () => {
  expect(isAgentPart("perl-base", "usr/bin/perl")).toBe(true);
  expect(isAgentPart("perl-base", "usr/bin/perl5.36.0")).toBe(false);
  expect(isAgentPart("bash", "usr/bin/perl")).toBe(false);
});
