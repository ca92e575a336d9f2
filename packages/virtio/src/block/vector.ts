/** Something that bytes are read from and written to at an offset, perhaps several buffers at once. */
interface Store {
  read(offset: number, target: Uint8Array): Promise<void>;
  write(offset: number, source: Uint8Array): Promise<void>;
  readVector?(offset: number, targets: readonly Uint8Array[]): Promise<void>;
  writeVector?(offset: number, sources: readonly Uint8Array[]): Promise<void>;
}

/** Fills all of the buffers from one place on, through a copy where the store takes one buffer only. */
export async function readVector(
  store: Store,
  offset: number,
  targets: readonly Uint8Array[],
): Promise<void> {
  if (store.readVector) return store.readVector(offset, targets);
  const copy = new Uint8Array(bytesOf(targets));
  await store.read(offset, copy);
  let at = 0;
  for (const target of targets) {
    target.set(copy.subarray(at, at + target.length));
    at += target.length;
  }
}

/** Writes what all of the buffers hold to one place on, through a copy where the store takes one buffer only. */
export function writeVector(
  store: Store,
  offset: number,
  sources: readonly Uint8Array[],
): Promise<void> {
  if (store.writeVector) return store.writeVector(offset, sources);
  return store.write(offset, joined(sources));
}

/** How many bytes the buffers have together. */
export function bytesOf(buffers: readonly Uint8Array[]): number {
  let sum = 0;
  for (const { length } of buffers) sum += length;
  return sum;
}

/** A copy of what all of the buffers hold. */
export function joined(buffers: readonly Uint8Array[]): Uint8Array {
  const copy = new Uint8Array(bytesOf(buffers));
  let at = 0;
  for (const buffer of buffers) {
    copy.set(buffer, at);
    at += buffer.length;
  }
  return copy;
}

/** `length` bytes of the buffers from `at` on, as views. */
export function part(buffers: readonly Uint8Array[], at: number, length: number): Uint8Array[] {
  const views: Uint8Array[] = [];
  for (const buffer of buffers) {
    if (length === 0) break;
    if (at >= buffer.length) {
      at -= buffer.length;
      continue;
    }
    const view = buffer.subarray(at, at + length);
    views.push(view);
    length -= view.length;
    at = 0;
  }
  return views;
}
