import { expect, test } from "vitest";
import { Reservations } from "./capacity.ts";

const small = { cpu: 1, memoryMib: 256 };
const large = { cpu: 3, memoryMib: 1024 };
const signal = new AbortController().signal;

function waiting(reservations: Reservations, wishes: [string, typeof small, number][]): string[] {
  const granted: string[] = [];
  for (const [holder, amount, priority] of wishes) {
    void reservations.take(holder, amount, { priority, signal }).then(() => granted.push(holder));
  }
  return granted;
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("more wishes than room → by priority, then in their order", async () => {
  const reservations = new Reservations({ cpu: 1, memoryMib: 4096 });
  expect(reservations.tryTake("first", small)).toBe(true);
  const granted = waiting(reservations, [
    ["a", small, 0],
    ["b", small, 5],
    ["c", small, 5],
  ]);
  for (const holder of ["first", "b", "c"]) {
    reservations.release(holder);
    await settled();
  }
  expect(granted).toEqual(["b", "c", "a"]);
  expect(reservations.used).toEqual(small);
});

test("a large wish first in line → small ones do not overtake it, so it gets its turn", async () => {
  const reservations = new Reservations({ cpu: 4, memoryMib: 4096 });
  reservations.tryTake("x", { cpu: 2, memoryMib: 256 });
  const granted = waiting(reservations, [
    ["large", large, 0],
    ["small", small, 0],
  ]);
  await settled();
  expect(granted).toEqual([]);
  reservations.release("x");
  await settled();
  expect(granted).toEqual(["large", "small"]);
});

test("a wish that is given up → leaves the line, and the next one is looked at", async () => {
  const reservations = new Reservations({ cpu: 4, memoryMib: 4096 });
  reservations.tryTake("x", { cpu: 2, memoryMib: 256 });
  const stop = new AbortController();
  const given = reservations.take("large", large, { priority: 9, signal: stop.signal });
  const granted = waiting(reservations, [["small", small, 0]]);
  stop.abort(new Error("enough"));
  await expect(given).rejects.toThrow("enough");
  await settled();
  expect(granted).toEqual(["small"]);
});

test("a cordoned node → nothing is given, also where there is room", async () => {
  const reservations = new Reservations({ cpu: 4, memoryMib: 4096 });
  reservations.closed = true;
  expect(reservations.tryTake("a", small)).toBe(false);
  const granted = waiting(reservations, [["b", small, 0]]);
  await settled();
  expect(granted).toEqual([]);
  reservations.closed = false;
  await settled();
  expect(granted).toEqual(["b"]);
});
