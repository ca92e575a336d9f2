import { expect, test, vi } from "vitest";
import { type Pool, StandingPool } from "./standing-pool.ts";

/** Pools that open when they are told to; what was done, in order. */
function pools() {
  const did: string[] = [];
  const opening: (() => void)[] = [];
  const standing = new StandingPool(async (count, signal): Promise<Pool> => {
    did.push(`open ${count}`);
    await new Promise<void>((resolve) => opening.push(resolve));
    did.push(`opened ${count}${signal.aborted ? ", unwanted" : ""}`);
    return { close: async () => void did.push(`close ${count}`) };
  });
  const begins = () => vi.waitUntil(() => opening.length > 0, { interval: 1 });
  const opens = async () => {
    await begins();
    opening.shift()?.();
  };
  return { standing, did, begins, opens };
}

test("another number → the pool before is closed first; the same number again → nothing", async () => {
  const { standing, did, opens } = pools();
  await Promise.all([standing.resize(2), opens()]);
  await standing.resize(2);
  await Promise.all([standing.resize(1), opens()]);
  await standing.resize(0);
  expect(did).toEqual(["open 2", "opened 2", "close 2", "open 1", "opened 1", "close 1"]);
});

test("closed while a pool opens → waits for it, and it is closed too", async () => {
  const { standing, did, begins, opens } = pools();
  const opening = standing.resize(1);
  await begins();
  const closed = standing.close().then(() => did.push("closed"));
  await opens();
  await Promise.all([opening, closed]);
  expect(did).toEqual(["open 1", "opened 1, unwanted", "close 1", "closed"]);
});

test("closed while the pool before is closing for another number → no other is opened", async () => {
  const { standing, did, opens } = pools();
  await Promise.all([standing.resize(1), opens()]);
  await Promise.all([standing.resize(3), standing.close()]);
  await standing.resize(2);
  expect(did).toEqual(["open 1", "opened 1", "close 1"]);
});

test("a pool that cannot be opened → said to who asked; the next number is tried", async () => {
  let tries = 0;
  const standing = new StandingPool(async () => {
    tries += 1;
    if (tries === 1) throw new Error("no template");
    return { close: async () => undefined };
  });
  await expect(standing.resize(1)).rejects.toThrow("no template");
  await standing.resize(1);
  expect(tries).toBe(2);
  await standing.close();
});
