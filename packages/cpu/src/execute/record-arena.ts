import { Record } from "../state/record.ts";

/** Parts of the arena that are emptied one by one. Sets of them are bits of an integer. */
export const SEGMENTS = 8;

/** A link to a record is known by the record that has it, and by how often that one's segment had been emptied then. */
type Links = Map<number, number>;

/**
 * Room for records in a ring of segments: when all are full, the oldest is emptied. Links between segments are kept in
 * mind, for whatever leads into one that is emptied.
 */
export class RecordArena {
  readonly #view: DataView;
  readonly #start: number;
  readonly #bytes: number;
  #segment = 0;
  #next: number;
  /** How often each segment was emptied. */
  readonly #epochs = new Float64Array(SEGMENTS);
  /** Links into each segment from others. */
  readonly #links: readonly Links[] = Array.from({ length: SEGMENTS }, () => new Map());

  /** @param bytes all segments together. */
  constructor(view: DataView, start: number, bytes: number) {
    this.#view = view;
    this.#start = start;
    // Records stay aligned.
    this.#bytes = Math.floor(bytes / SEGMENTS / Record.Length) * Record.Length;
    this.#next = start;
  }

  /** Where the next record goes. */
  get next(): number {
    return this.#next;
  }

  set next(at: number) {
    this.#next = at;
  }

  /** The segment that is being filled. */
  get segment(): number {
    return this.#segment;
  }

  /** The one that is filled after it. */
  get oldest(): number {
    return (this.#segment + 1) % SEGMENTS;
  }

  /** Whether so many bytes fit into the segment that is being filled. */
  hasRoom(bytes: number): boolean {
    return this.#next + bytes <= this.startOf(this.#segment) + this.#bytes;
  }

  /** Goes on in the oldest segment, of which nothing is used any more. */
  advance(): void {
    const segment = this.oldest;
    this.#epochs[segment] = (this.#epochs[segment] as number) + 1;
    this.#unlink(segment);
    this.#segment = segment;
    this.#next = this.startOf(segment);
  }

  startOf(segment: number): number {
    return this.#start + segment * this.#bytes;
  }

  endOf(segment: number): number {
    return this.startOf(segment + 1);
  }

  segmentOf(record: number): number {
    return Math.floor((record - this.#start) / this.#bytes);
  }

  /** Has a record lead to another. */
  link(from: number, to: number): void {
    this.#view.setUint32(from + Record.Link, to, true);
    const target = this.segmentOf(to);
    const source = this.segmentOf(from);
    if (target === source) return;
    (this.#links[target] as Links).set(from, this.#epochs[source] as number);
  }

  /** Takes back what leads into a segment: the way is looked for again. */
  #unlink(segment: number): void {
    const links = this.#links[segment] as Links;
    for (const [from, epoch] of links) {
      if (this.#epochs[this.segmentOf(from)] !== epoch) continue;
      const to = this.#view.getUint32(from + Record.Link, true);
      const inside = to >= this.startOf(segment) && to < this.endOf(segment);
      if (inside) this.#view.setUint32(from + Record.Link, 0, true);
    }
    links.clear();
  }
}
