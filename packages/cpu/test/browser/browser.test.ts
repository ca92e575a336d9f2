import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { serve } from "./serve.ts";

const CHROMIUM = "/usr/bin/chromium";

const PAGE = `<!doctype html>
<script type="importmap">
{ "imports": { "@queztl/errors": "/errors/src/index.ts", "@queztl/memory": "/memory/src/index.ts" } }
</script>
<body><pre id="result">waiting</pre>
<script type="module">
import { createFlatProcessor } from "/cpu/src/index.ts";
const { memory, vcpu } = createFlatProcessor();
memory.writeBytes(0x1000, Uint8Array.of(0xb9, 10, 0, 0, 0, 0x31, 0xc0, 0x01, 0xc8, 0xe2, 0xfc, 0xf4));
vcpu.rip = 0x1000n;
const end = vcpu.run(1000);
document.getElementById("result").textContent = end + " " + vcpu.registers[0] + " " + vcpu.instructions;
</script>`;

// Debian's package `chromium`; where it is not installed there is no browser to try.
test.skipIf(!existsSync(CHROMIUM))(
  "the README's program in headless Chromium → the same result",
  { timeout: 60_000 },
  async () => {
    const profile = mkdtempSync(join(tmpdir(), "queztl-chromium-"));
    const { server, url } = await serve(PAGE);
    try {
      const options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        `--user-data-dir=${profile}`,
        "--virtual-time-budget=30000",
        "--dump-dom",
      ];
      const { stdout } = await promisify(execFile)(CHROMIUM, [...options, url], {
        timeout: 50_000,
      });
      expect(stdout).toContain('<pre id="result">halt 55 23</pre>');
    } finally {
      server.close();
      rmSync(profile, { recursive: true, force: true });
    }
  },
);
