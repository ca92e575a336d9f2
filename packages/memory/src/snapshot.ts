import { hostEntropy } from "./entropy.ts";
import type { Entropy } from "./entropy.ts";
import { memoryError } from "./errors.ts";
import { PAGE_BYTES, PageAttribute } from "./guest-memory.ts";
import type { GuestMemory } from "./guest-memory.ts";
import {
  HEADER_BYTES,
  PageState,
  bad,
  checkShape,
  checkTable,
  createTable,
  decodeHeader,
  encodeHeader,
  fromHex,
  imageOffsetOf,
  stateOf,
  toHex,
} from "./snapshot-layout.ts";
import type { MemorySnapshot } from "./snapshot-layout.ts";

/** The most bytes of one read or write of the image. */
const RUN_PAGES = 1024;

/** Where a snapshot is written to. */
export interface SnapshotSink {
  /** Writes all of `bytes` at `position`; what is never written reads as zeros. `bytes` may alias guest memory. */
  write(position: number, bytes: Uint8Array): void | Promise<void>;
}

/** Where a snapshot is read from. */
export interface SnapshotSource {
  /** Fills all of `target`, which may alias guest memory, from `position`, or throws. */
  read(position: number, target: Uint8Array): void | Promise<void>;
}

/** How to save a memory. */
export interface SaveMemoryOptions {
  /**
   * Saves only what changed since the snapshot `parent`: `pages` are guest-physical page addresses, as
   * `takeDirtyPages` returns them.
   */
  readonly increment?: { readonly parent: string; readonly pages: readonly number[] };
  /** Where the snapshot's id comes from; default the host. */
  readonly entropy?: Entropy;
}

/**
 * Saves the RAM: header, page table, and the pages that are not zero, each at its own place in a page-aligned
 * image, so that the image can be mapped over a memory. The memory must not change until the promise
 * resolves. The header comes last: a snapshot that was cut off is not taken for a whole one.
 * @throws QZ_MEMORY_SNAPSHOT for a parent that is no id, QZ_MEMORY_OUT_OF_RANGE for a page that is not in RAM;
 * and what the sink throws.
 */
export async function saveMemory(
  memory: GuestMemory,
  sink: SnapshotSink,
  options: SaveMemoryOptions = {},
): Promise<MemorySnapshot> {
  const { increment, entropy = hostEntropy } = options;
  if (increment) fromHex(increment.parent);
  const table = classify(memory, increment?.pages);
  const imageOffset = imageOffsetOf(memory.ramBytes);
  let storedPages = 0;
  for (const run of runsOf(table, (entry) => stateOf(entry) === PageState.Stored)) {
    storedPages += run.pages;
    const start = memory.ramOffset + run.first * PAGE_BYTES;
    const bytes = memory.bytes.subarray(start, start + run.pages * PAGE_BYTES);
    await sink.write(imageOffset + run.first * PAGE_BYTES, bytes);
  }
  const randomId = (id: Uint8Array) => (entropy.fill(id), toHex(id));
  const snapshot: MemorySnapshot = {
    id: randomId(new Uint8Array(16)),
    ...(increment && { parent: increment.parent }),
    ramBytes: memory.ramBytes,
    storedPages,
    imageOffset,
    bytes: imageOffset + memory.ramBytes,
  };
  await sink.write(HEADER_BYTES, table);
  await sink.write(0, encodeHeader(snapshot, table));
  return snapshot;
}

/**
 * Restores the RAM from a snapshot, or from one and its increments, oldest first. Cached code is dropped, every
 * page counts as written, read-only pages are as they were. After an error the memory's contents are
 * undefined if reading had begun; bad headers and tables are found before.
 * @returns what the last snapshot says about itself.
 * @throws QZ_MEMORY_SNAPSHOT when they are damaged, of another size, or do not follow each other; and what
 * the sources throw.
 */
export async function restoreMemory(
  memory: GuestMemory,
  sources: SnapshotSource | readonly SnapshotSource[],
): Promise<MemorySnapshot> {
  const chain = await openChain(memory, "read" in sources ? [sources] : sources);
  memory.beforeWrite(memory.ramOffset, memory.ramBytes);
  await readPages(memory, chain, 0);
  return finish(memory, chain);
}

/** What a snapshot says about itself. @throws QZ_MEMORY_SNAPSHOT when it is none. */
export async function inspectSnapshot(source: SnapshotSource): Promise<MemorySnapshot> {
  return (await open(source)).snapshot;
}

/** A snapshot whose header and page table were read and checked. */
export interface OpenSnapshot {
  readonly source: SnapshotSource;
  readonly snapshot: MemorySnapshot;
  readonly table: Uint8Array<ArrayBuffer>;
}

/** Opens a snapshot and its increments and checks that they belong together and to this memory. */
export async function openChain(
  memory: GuestMemory,
  sources: readonly SnapshotSource[],
): Promise<readonly OpenSnapshot[]> {
  if (sources.length === 0 || sources.length > 255)
    throw bad(`a chain has 1 to 255 snapshots, this one has ${sources.length}`);
  const chain: OpenSnapshot[] = [];
  for (const source of sources) {
    const next = await open(source, memory);
    const before = chain.at(-1)?.snapshot.id;
    const { parent } = next.snapshot;
    if (parent !== before) {
      throw bad(
        parent === undefined
          ? "a whole snapshot follows another one: give only the last whole one and its increments"
          : `an increment of ${parent} follows ${before ?? "nothing"}`,
      );
    }
    chain.push(next);
  }
  return chain;
}

/** Maps a run of a snapshot's pages instead of reading it; false where that cannot be. */
export type MapRun = (index: number, offset: number, length: number, position: number) => boolean;

/**
 * Reads each page from the last snapshot that has it. With `mapped` 1 the first snapshot's image is the RAM
 * already, and `mapRun` may map what others have.
 */
export async function readPages(
  memory: GuestMemory,
  chain: readonly OpenSnapshot[],
  mapped: 0 | 1,
  mapRun: MapRun = () => false,
): Promise<void> {
  if (chain.length === mapped) return;
  const owner = new Uint8Array(memory.pageAttributes.length);
  chain.forEach(({ table }, i) => {
    for (let page = 0; page < table.length; page++)
      if (stateOf(table[page]) !== PageState.Unchanged) owner[page] = i;
  });
  const words = new Int32Array(memory.wasm.buffer);
  for (let i: number = mapped; i < chain.length; i++) {
    const { source, snapshot, table } = chain[i] as OpenSnapshot;
    const has = (state: number) => (entry: number, page: number) =>
      owner[page] === i && stateOf(entry) === state;
    for (const run of runsOf(table, has(PageState.Stored))) {
      const start = memory.ramOffset + run.first * PAGE_BYTES;
      const length = run.pages * PAGE_BYTES;
      const position = snapshot.imageOffset + run.first * PAGE_BYTES;
      if (mapRun(i, start, length, position)) continue;
      await source.read(position, memory.bytes.subarray(start, start + length));
    }
    for (const run of runsOf(table, has(PageState.Zero))) {
      for (let page = run.first; page < run.first + run.pages; page++) {
        // Reading first keeps pages that were never touched from being committed.
        const start = memory.ramOffset + page * PAGE_BYTES;
        if (!isZero(words, start)) memory.bytes.fill(0, start, start + PAGE_BYTES);
      }
    }
  }
}

/** The guest-physical addresses of the pages that increments of a chain hold. */
export function pagesOfIncrements(
  memory: GuestMemory,
  chain: readonly OpenSnapshot[],
): readonly number[] {
  const pages = new Set<number>();
  for (const { table } of chain.slice(1)) {
    for (let page = 0; page < table.length; page++) {
      if (stateOf(table[page]) === PageState.Unchanged) continue;
      pages.add(memory.addressOf(memory.ramOffset + page * PAGE_BYTES));
    }
  }
  return [...pages];
}

/** Sets the read-only pages as the last snapshot has them. */
export function finish(memory: GuestMemory, chain: readonly OpenSnapshot[]): MemorySnapshot {
  const { snapshot, table } = chain.at(-1) as OpenSnapshot;
  const { pageAttributes } = memory;
  const none =
    !hasBit(table, PageState.ReadOnly) && !hasBit(pageAttributes, PageAttribute.ReadOnly);
  for (let page = none ? pageAttributes.length : 0; page < pageAttributes.length; page++) {
    const others = (pageAttributes[page] as number) & ~PageAttribute.ReadOnly;
    const readOnly = (table[page] as number) & PageState.ReadOnly ? PageAttribute.ReadOnly : 0;
    pageAttributes[page] = others | readOnly;
  }
  // No more pages to protect; but who caches permissions must hear of those above.
  memory.protect(0, 0);
  return snapshot;
}

async function open(source: SnapshotSource, memory?: GuestMemory): Promise<OpenSnapshot> {
  const header = new Uint8Array(HEADER_BYTES);
  await source.read(0, header);
  const snapshot = decodeHeader(header);
  // Before the table is made: a header may say any size.
  if (memory) checkShape(snapshot, memory);
  else if (snapshot.ramBytes > Number.MAX_SAFE_INTEGER) throw bad("its size is not possible");
  if (!memory) return { source, snapshot, table: createTable(0) };
  const table = createTable(snapshot.ramBytes / PAGE_BYTES);
  await source.read(HEADER_BYTES, table);
  checkTable(header, snapshot, table);
  return { source, snapshot, table };
}

/** The page table of a memory as it is: of all pages, or of the changed ones. */
function classify(memory: GuestMemory, changed?: readonly number[]): Uint8Array<ArrayBuffer> {
  const pages = memory.ramBytes / PAGE_BYTES;
  const table = createTable(pages);
  const words = new Int32Array(memory.wasm.buffer);
  const look = (page: number) => {
    const zero = isZero(words, memory.ramOffset + page * PAGE_BYTES);
    table[page] = zero ? PageState.Zero : PageState.Stored;
  };
  if (changed) {
    table.fill(PageState.Unchanged);
    for (const address of changed) {
      const offset = memory.offsetOf(address, PAGE_BYTES);
      if (offset < 0 || address % PAGE_BYTES !== 0) {
        throw memoryError("QZ_MEMORY_OUT_OF_RANGE", {
          address: `0x${address.toString(16)}`,
          length: PAGE_BYTES,
        });
      }
      look((offset - memory.ramOffset) / PAGE_BYTES);
    }
  } else {
    for (let page = 0; page < pages; page++) look(page);
  }
  for (let page = 0; page < pages; page++) {
    if ((memory.pageAttributes[page] as number) & PageAttribute.ReadOnly)
      table[page] = (table[page] as number) | PageState.ReadOnly;
  }
  return table;
}

/** Whether any byte has this bit: four bytes at a time, since restoring a mapped memory is little else. */
function hasBit(bytes: Uint8Array, bit: number): boolean {
  const tail = bytes.length & ~3;
  const mask = Math.imul(bit, 0x01010101);
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, tail / 4);
  for (let i = 0; i < words.length; i++) if ((words[i] as number) & mask) return true;
  return bytes.subarray(tail).some((byte) => (byte & bit) !== 0);
}

function isZero(words: Int32Array, offset: number): boolean {
  const end = (offset + PAGE_BYTES) / 4;
  for (let i = offset / 4; i < end; i += 4) {
    const some =
      (words[i] as number) |
      (words[i + 1] as number) |
      (words[i + 2] as number) |
      (words[i + 3] as number);
    if (some !== 0) return false;
  }
  return true;
}

/** Runs of adjacent pages whose entries match, of at most `RUN_PAGES`. */
function* runsOf(
  table: Uint8Array,
  matches: (entry: number, page: number) => boolean,
): Generator<{ first: number; pages: number }> {
  for (let page = 0; page < table.length; page++) {
    if (!matches(table[page] as number, page)) continue;
    const first = page;
    while (
      page + 1 < table.length &&
      page + 1 - first < RUN_PAGES &&
      matches(table[page + 1] as number, page + 1)
    )
      page++;
    yield { first, pages: page + 1 - first };
  }
}
