import { fileExtension } from "./text-features.ts";

type Evidence = Readonly<Partial<Record<string, number>>>;

// Log-odds that a file type adds to a domain. Formats that several domains share stay low or absent.
const byExtension: Readonly<Record<string, Evidence>> = {
  segy: { geophysics: 2.5 },
  sgy: { geophysics: 2.5 },
  segd: { geophysics: 2.5 },
  mseed: { geophysics: 2.5 },
  sac: { geophysics: 1.5 },
  dlis: { geophysics: 2 },
  las: { geophysics: 0.8, "3d-generation": 0.3 },
  laz: { "3d-generation": 1 },
  xyz: { mining: 0.6, geophysics: 0.6, "3d-generation": 0.3 },
  dxf: { mining: 0.4, "3d-generation": 0.6 },
  obj: { "3d-generation": 2 },
  stl: { "3d-generation": 2.5 },
  ply: { "3d-generation": 2 },
  glb: { "3d-generation": 2.5 },
  gltf: { "3d-generation": 2.5 },
  fbx: { "3d-generation": 2.5 },
  blend: { "3d-generation": 2.5 },
  usd: { "3d-generation": 2 },
  usdz: { "3d-generation": 2 },
  step: { "3d-generation": 2 },
  stp: { "3d-generation": 2 },
  e57: { "3d-generation": 1.5 },
  ifc: { "3d-generation": 1.5 },
  onnx: { inference: 1.5 },
  gguf: { inference: 2 },
  tflite: { inference: 1.5 },
  safetensors: { inference: 0.8, "ml-training": 0.6 },
  pt: { inference: 0.5, "ml-training": 0.5 },
  ckpt: { inference: 0.4, "ml-training": 0.7 },
  tfrecord: { "ml-training": 1.5 },
  sh: { general: 1.5 },
  sql: { general: 1.5 },
  tex: { general: 2 },
  fastq: { general: 2 },
  fasta: { general: 2 },
  bam: { general: 2 },
  tar: { general: 0.8 },
  zip: { general: 0.3 },
  mp4: { general: 0.4, inference: 0.3 },
};

// The same for data keys whose meaning does not depend on the text around them.
const byKey: Readonly<Record<string, Evidence>> = {
  survey_id: { mining: 1, geophysics: 0.4 },
  flight_lines: { mining: 1, geophysics: 0.5 },
  cutoff_grade: { mining: 2.5 },
  drill_holes: { mining: 2.5 },
  assays: { mining: 2 },
  traces: { geophysics: 1.5 },
  stations: { geophysics: 0.8 },
  electrodes: { geophysics: 2 },
  vertices: { "3d-generation": 2 },
  faces: { "3d-generation": 1 },
  epochs: { "ml-training": 2.5 },
  learning_rate: { "ml-training": 2.5 },
  optimizer: { "ml-training": 2 },
  validation_split: { "ml-training": 2 },
  episodes: { "ml-training": 1.5 },
  max_tokens: { inference: 2.5 },
  max_new_tokens: { inference: 2.5 },
  temperature: { inference: 0.5 },
  prompts: { inference: 1.2 },
  model_path: { inference: 1 },
  script: { general: 1 },
  command: { general: 1 },
};

const mostEvidence = 3;

/** What file types and data keys say, in log-odds per domain, each at most 3. */
export function taskEvidence(
  domains: readonly string[],
  keys: readonly string[],
  files: readonly string[],
): { scores: number[]; named: string[] } {
  const sums = new Map<string, number>();
  const named: string[] = [];
  const add = (evidence: Evidence | undefined, what: string) => {
    if (evidence === undefined || named.includes(what)) return;
    named.push(what);
    for (const [domain, value] of Object.entries(evidence)) {
      sums.set(domain, (sums.get(domain) ?? 0) + (value ?? 0));
    }
  };
  for (const file of files.slice(0, 64)) {
    const extension = fileExtension(file);
    if (Object.hasOwn(byExtension, extension)) add(byExtension[extension], `.${extension} file`);
  }
  for (const key of keys) {
    const plain = key
      .slice(0, 64)
      .replace(/([a-z])([A-Z])/g, "$1_$2")
      .toLowerCase();
    if (Object.hasOwn(byKey, plain)) add(byKey[plain], plain);
  }
  return {
    scores: domains.map((domain) => Math.min(mostEvidence, sums.get(domain) ?? 0)),
    named,
  };
}
