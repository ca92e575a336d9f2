import type { QueztlError } from "@queztl/errors";
import { apiErrors } from "../errors.ts";
import type { Situation } from "./operation.ts";

/** Refuses GPUs where there is no engine for them: a VM without what it was promised helps nobody. */
export function refuseGpus(gpu: number | undefined, { gpus }: Situation): QueztlError | undefined {
  if (gpu === undefined || gpu === 0 || gpus) return undefined;
  return apiErrors("QZ_API_GPU_UNAVAILABLE", { gpu });
}
