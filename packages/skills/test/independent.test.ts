import { validateBytes } from "gltf-validator";
import { InferenceSession, Tensor, env } from "onnxruntime-web";
import { expect, test } from "vitest";
import { hasPythonLibraries, runProgram } from "../src/testing/python.ts";

const without = !hasPythonLibraries();
env.logLevel = "error";

test.skipIf(without).each([
  ["an example, decimated", { example: "bracket", resolution: 16, triangles: 800 }],
  ["a sphere", { scene: { shape: "sphere", radius: 1 }, resolution: 12 }],
])(
  "shape-to-mesh of %s → Khronos' validator has nothing to say",
  async (_name, data) => {
    const left = await runProgram("shape-to-mesh", data);
    const report = await validateBytes(new Uint8Array(left.get("mesh.glb") ?? []));
    expect(report.issues).toMatchObject({ numErrors: 0, numWarnings: 0, messages: [] });
    expect(report.info.totalTriangleCount).toBe(
      JSON.parse(String(left.get("result.json"))).triangles,
    );
  },
  120_000,
);

// Rows whose class a straight line does not tell, so that no model is trivial.
const rows = Array.from({ length: 120 }, (_, i) => {
  const [a, b] = [Math.sin(i * 12.9898) * 2, Math.cos(i * 78.233) * 2];
  return [a, b, a * a + b > 1 ? "in" : a > b ? "left" : "right"] as const;
});
const table = ["a,b,side", ...rows.map((row) => row.join(","))].join("\n");

test.skipIf(without).each(["linear", "trees", "mlp"])(
  "train-model's %s → ONNX Runtime computes from the file what the trainer wrote",
  async (model) => {
    const options = { model, rounds: 12, epochs: 12 };
    const left = await runProgram("train-model", options, { "t.csv": table });
    const labels: string[] = JSON.parse(String(left.get("result.json"))).classes;
    const session = await InferenceSession.create(new Uint8Array(left.get("model.onnx") ?? []));
    const input = new Tensor(
      "float32",
      Float32Array.from(rows.flatMap(([a, b]) => [a, b])),
      [120, 2],
    );
    const { y } = await session.run({ x: input });
    const output = y?.data as Float32Array;
    const lines = String(left.get("test-predictions.csv")).trim().split(/\r?\n/).slice(1);
    expect(lines.length).toBeGreaterThan(20);
    for (const line of lines) {
      const [row = "", , prediction = "", probability = ""] = line.split(",");
      const place = (Number(row) - 1) * labels.length + labels.indexOf(prediction);
      expect(output[place]).toBeCloseTo(Number(probability), 4);
    }
    await session.release();
  },
  120_000,
);
