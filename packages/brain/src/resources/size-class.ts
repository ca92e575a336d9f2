/** A kind of VM kept ready as a template: few of them, so that templates are few. */
export interface SizeClass {
  readonly name: string;
  readonly vcpus: number;
  readonly memoryMib: number;
}

/** The classes unless told others, the smallest first. */
export const DEFAULT_SIZE_CLASSES: readonly SizeClass[] = [
  { name: "nano", vcpus: 1, memoryMib: 256 },
  { name: "micro", vcpus: 1, memoryMib: 512 },
  { name: "small", vcpus: 1, memoryMib: 1024 },
  { name: "medium", vcpus: 2, memoryMib: 2048 },
  { name: "large", vcpus: 2, memoryMib: 4096 },
  { name: "xlarge", vcpus: 4, memoryMib: 8192 },
  { name: "2xlarge", vcpus: 8, memoryMib: 16_384 },
  { name: "4xlarge", vcpus: 16, memoryMib: 32_768 },
];

/** The class with the least memory, then the fewest vCPUs, that holds both; undefined where none does. */
export function smallestClass(
  classes: readonly SizeClass[],
  need: { readonly vcpus: number; readonly memoryMib: number },
): SizeClass | undefined {
  let best: SizeClass | undefined;
  for (const candidate of classes) {
    if (candidate.vcpus < need.vcpus || candidate.memoryMib < need.memoryMib) continue;
    const smaller =
      best === undefined ||
      candidate.memoryMib < best.memoryMib ||
      (candidate.memoryMib === best.memoryMib && candidate.vcpus < best.vcpus);
    if (smaller) best = candidate;
  }
  return best;
}
