import fc from "fast-check";
import { isQueztlError } from "@queztl/errors";
import { expect, test } from "vitest";
import { loadOrder, modulesAlias, modulesDep, parseModule } from "./modules.ts";
import type { KernelModule } from "./modules.ts";
import { makeModule } from "./testing/packages.ts";

const module = (name: string, ...depends: string[]): KernelModule => ({
  name,
  path: `kernel/${name}.ko`,
  data: new Uint8Array(0),
  depends,
  aliases: [`virtio:${name}`],
});

test("a module's .modinfo → its name, dependencies and aliases, dashes turned", () => {
  const fields = [
    "license=GPL",
    "alias=virtio:d00000004v*",
    "depends=virtio-ring,virtio",
    "alias=other",
    "name=virtio_rng",
  ];
  expect(parseModule("kernel/char/virtio-rng.ko", makeModule(fields))).toMatchObject({
    name: "virtio_rng",
    path: "kernel/char/virtio-rng.ko",
    depends: ["virtio_ring", "virtio"],
    aliases: ["virtio:d00000004v*", "other"],
  });
  expect(parseModule("kernel/a.ko", makeModule(["depends="])).depends).toEqual([]);
});

test("a 32-bit module → the same of it", () => {
  const fields = ["license=GPL", "alias=virtio:d00000004v*", "depends=virtio"];
  const read = (bits: 32 | 64) => {
    const { data: _, ...said } = parseModule("kernel/char/virtio-rng.ko", makeModule(fields, bits));
    return said;
  };
  expect(read(32)).toEqual(read(64));
  expect(read(32).depends).toEqual(["virtio"]);
});

test("files that are no modules → QZ_IMAGES_BAD_MODULE", () => {
  const none = makeModule([]);
  none.set(new TextEncoder().encode(".other\0"), none.length - 3 * 64 - 24);
  for (const bytes of [
    new Uint8Array(0),
    new Uint8Array(300),
    none,
    makeModule(["a=b"]).subarray(0, 100),
  ]) {
    expect(() => parseModule("x.ko", bytes)).toThrow(
      expect.objectContaining({ code: "QZ_IMAGES_BAD_MODULE" }),
    );
  }
});

test.each([32, 64] as const)(
  "a %i-bit module with any bytes altered → read, or a coded error",
  (bits) => {
    const sample = makeModule(["depends=a,b", "alias=c"], bits);
    const change = fc.tuple(fc.nat(sample.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 8 }), fc.nat(sample.length), (changes, length) => {
        const bytes = sample.slice(0, length);
        for (const [at, value] of changes) if (at < length) bytes[at] = value;
        try {
          parseModule("x.ko", bytes);
        } catch (error) {
          expect(isQueztlError(error, "QZ_IMAGES_BAD_MODULE"), String(error)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  },
);

test("modules in any order → each after all it depends on", () => {
  const net = [
    module("virtio_net", "net_failover", "virtio", "virtio_ring"),
    module("virtio", "virtio_ring"),
    module("net_failover", "failover"),
    module("failover"),
    module("virtio_ring"),
  ];
  expect(loadOrder(net).map((m) => m.name)).toEqual([
    "failover",
    "net_failover",
    "virtio_ring",
    "virtio",
    "virtio_net",
  ]);
  fc.assert(
    fc.property(fc.shuffledSubarray(net, { minLength: 5 }), (shuffled) => {
      const order = loadOrder(shuffled).map((m) => m.name);
      for (const m of net) {
        for (const name of m.depends)
          expect(order.indexOf(name)).toBeLessThan(order.indexOf(m.name));
      }
    }),
  );
});

test("modules.dep → what is needed, the first to load last; modules.alias → patterns", () => {
  const modules = [module("c", "b"), module("b", "a"), module("a")];
  expect(modulesDep(modules)).toBe(
    "kernel/a.ko:\nkernel/b.ko: kernel/a.ko\nkernel/c.ko: kernel/b.ko kernel/a.ko\n",
  );
  expect(modulesAlias([module("a")])).toBe("alias virtio:a a\n");
});

test("a missing dependency, and a circle → coded errors", () => {
  expect(() => loadOrder([module("a", "b")])).toThrow(
    expect.objectContaining({ code: "QZ_IMAGES_MODULE_MISSING" }),
  );
  expect(() => loadOrder([module("a", "b"), module("b", "a")])).toThrow(
    expect.objectContaining({
      code: "QZ_IMAGES_MODULE_CYCLE",
      message: expect.stringContaining("a → b → a"),
    }),
  );
});
