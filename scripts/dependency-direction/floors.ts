/**
 * The floors of the house (ARCHITECTURE.md): a package may import only packages of lower floors.
 * `isomorphic` packages also run in a browser, so their `node:` imports live in `src/node.ts` or
 * `src/node/`. A package that is not listed here fails the check: give it a floor first.
 */
export interface Storey {
  readonly floor: number;
  readonly isomorphic: boolean;
}

export const floors: Readonly<Record<string, Storey>> = {
  "packages/errors": { floor: 0, isomorphic: true },
  "packages/memory": { floor: 1, isomorphic: true },
  "packages/boot": { floor: 2, isomorphic: true },
  "packages/cpu": { floor: 2, isomorphic: true },
  "packages/chipset": { floor: 3, isomorphic: true },
  "packages/gpu": { floor: 3, isomorphic: true },
  "packages/images": { floor: 3, isomorphic: true },
  "packages/kvm": { floor: 3, isomorphic: false },
  "packages/skills": { floor: 3, isomorphic: true },
  "packages/virtio": { floor: 3, isomorphic: true },
  "packages/brain": { floor: 4, isomorphic: true },
  "packages/hypervisor": { floor: 4, isomorphic: true },
  "packages/api": { floor: 5, isomorphic: true },
  "apps/server": { floor: 6, isomorphic: false },
  "apps/dashboard": { floor: 7, isomorphic: false },
  "packages/qctl": { floor: 7, isomorphic: false },
  benchmarks: { floor: 8, isomorphic: false },
};

/** The storey of a folder; examples stand on top of everything. */
export function storeyOf(folder: string): Storey | undefined {
  return folder.startsWith("examples/") ? { floor: 8, isomorphic: false } : floors[folder];
}
