/** A wire into an interrupt controller: level-triggered devices hold it, edge-triggered ones pulse it. */
export interface InterruptLine {
  set(asserted: boolean): void;
}

/** Where message-signalled interrupts go: a 32-bit write of `data` to `address` (PCI 3.0, 6.8). */
export interface MsiSink {
  deliver(address: number, data: number): void;
}

/**
 * Anything that can be saved and put back: to a plain object of numbers, booleans, strings, bigints, byte
 * arrays, lists and nested plain objects, with the version of its layout, from which `restore` continues exactly.
 * `restore` throws a coded error when the object is not of a version it knows.
 */
export interface Snapshottable<State extends { readonly version: number }> {
  save(): State;
  restore(state: State): void;
}
