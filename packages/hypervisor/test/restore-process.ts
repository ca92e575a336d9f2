/**
 * Restores a snapshot's folder in this process and types a command into the guest's shell:
 * `node restore-process.ts FOLDER COMMAND`. Prints what the command printed.
 */
import { restoreMachine } from "../src/node/index.ts";
import { Console, Guest, imageOf, kernelOf } from "./guest.ts";

const [folder = "", command = ""] = process.argv.slice(2);
const image = await imageOf("cloud");
if (typeof image === "string") throw new Error(image);
const serial = new Console();
await using machine = await restoreMachine(folder, {
  ...(await kernelOf(image)),
  onSerial: serial.take,
});
machine.start();
process.stdout.write(await Guest.at(machine, serial).run(command));
