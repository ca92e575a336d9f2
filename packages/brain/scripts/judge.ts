/**
 * Prints how the built understander does on data/labelled.tsv.
 *
 *   node --conditions=@queztl/source packages/brain/scripts/judge.ts
 */
import { judge, readLabelled } from "../src/understand/testing/labelled-set.ts";

const set = readLabelled();
const { easy, hard, hardTopTwo, calibrationError } = judge(set);
console.log(
  `${set.length} descriptions: easy ${easy.toFixed(3)}, hard ${hard.toFixed(3)} (top two ${hardTopTwo.toFixed(3)}), expected calibration error ${calibrationError.toFixed(3)}`,
);
