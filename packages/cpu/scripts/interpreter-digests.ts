/** What `src/interpreter/compiled-interpreter.ts` knows of the interpreter before it writes it, once the package is built. */
import { createHash } from "node:crypto";
import { enumerateShapes } from "../src/interpreter/enumerate.ts";
import { writeInterpreter } from "../src/interpreter/interpreter.ts";

const shapes = enumerateShapes();
const digest = (wide: boolean): string =>
  createHash("sha256").update(writeInterpreter(shapes, wide)).digest("hex");

export default {
  INTERPRETER_DIGESTS: JSON.stringify({ narrow: digest(false), wide: digest(true) }),
};
