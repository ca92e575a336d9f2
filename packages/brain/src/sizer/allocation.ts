/** The steps in which memory is given: every answer is a multiple of `stepMib` within the bounds. */
export interface AllocationGrid {
  readonly floorMib: number;
  readonly stepMib: number;
  readonly capMib: number;
}

export const DEFAULT_GRID: AllocationGrid = { floorMib: 64, stepMib: 16, capMib: 128 * 1024 };

/** What a task gets where neither its user nor experience says anything. */
export const COLD_START_MIB = 4096;

/** The smallest step of the grid that holds `mib`. */
export function onGrid(mib: number, grid: AllocationGrid = DEFAULT_GRID): number {
  // Half a byte of slack keeps 320.0000001 (a product that was meant to be 320) from taking another step.
  const stepped = Math.ceil(mib / grid.stepMib - 1e-9) * grid.stepMib;
  return Math.min(Math.max(stepped, grid.floorMib), grid.capMib);
}
