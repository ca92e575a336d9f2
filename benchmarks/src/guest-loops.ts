import { readFileSync } from "node:fs";
import { guestProgram } from "./guest-program.ts";
import { workCase } from "./guest-work.ts";
import { Guests } from "./guests.ts";

/**
 * The loops of `guest/`: group, program, place in its list, name, and how often each runs in a sample: so often that a sample takes
 * a quarter of a second at least, of which the program's start is a small part.
 */
const LOOPS = [
  ["integer", "loops", 0, "sieve", 500],
  ["integer", "loops", 1, "sort", 200],
  ["integer", "loops", 2, "matrix multiply, integer", 1200],
  ["integer", "loops", 3, "CRC-32, bit by bit", 2000],
  ["integer", "loops", 4, "SHA-256", 1500],
  ["integer", "loops", 5, "compression, LZ", 1200],
  ["integer", "loops", 6, "linked list", 1200],
  ["integer", "loops", 7, "bytecode interpreter", 1000],
  ["double", "loops", 8, "matrix multiply, double", 240],
  ["double", "loops", 9, "n-body, double", 3200],
  ["double", "loops", 10, "FFT, double", 32_000],
  ["kernel", "system", 0, "system calls", 20],
  ["kernel", "system", 1, "page faults", 10],
  ["kernel", "system", 2, "context switches over pipes", 8],
  ["kernel", "system", 3, "fork and wait", 10],
] as const;

const guests = new Guests({
  files: () => ({
    loops: readFileSync(guestProgram("loops.c")),
    system: readFileSync(guestProgram("system.c")),
  }),
});

/** Loops in integers and doubles, and such as spend their time in the kernel. */
export const guestLoops = LOOPS.map(([group, program, index, name, rounds]) =>
  workCase({
    name,
    group,
    guests,
    needs: { build: { debian: ["gcc", "binutils"] } },
    nativeTimes: 8,
    command: (folder, times) => `${folder}/${program} ${index} ${rounds * times}`,
  }),
);
