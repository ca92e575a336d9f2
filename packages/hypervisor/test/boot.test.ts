import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { Guest, imageOf, kernelOf } from "./guest.ts";

const image = await imageOf("cloud");
if (typeof image === "string") console.log(`boot test skipped, no image: ${image}`);

/** The one boot of `npm test`; `pnpm test:boot` has the others. */
test.skipIf(typeof image === "string")(
  "the stock Debian cloud kernel → a shell that works, and off",
  { timeout: 240_000 },
  async () => {
    if (typeof image === "string") return;
    // The crypto self-tests are half of this kernel's boot; `pnpm test:boot` has them.
    const kernel = await kernelOf(image, "cryptomgr.notests=1");
    await using guest = await Guest.boot({ ...kernel, memoryMib: 256 }, 200_000);
    const booted = guest.machine.statistics;
    expect(await guest.run("uname -r")).toBe(image.release);
    expect(await guest.run("awk 'BEGIN { printf \"%.6f\", 355 / 113 }'")).toBe("3.141593");
    const zeros = createHash("sha256").update(Buffer.alloc(1_000_000)).digest("hex");
    expect(await guest.run("head -c 1000000 /dev/zero | sha256sum")).toBe(`${zeros}  -`);
    const date = Number(await guest.run("date +%s"));
    expect(Math.abs(date - Date.now() / 1000)).toBeLessThan(60);
    await guest.type("poweroff");
    expect(await guest.machine.ended).toEqual({ reason: "power-off" });
    const { init, prompt } = guest.seconds;
    const millions = Math.round(booted.instructions / 1e6);
    console.log(
      `cloud kernel: init after ${init} s, prompt after ${prompt} s, ${millions} M instructions`,
    );
  },
);
