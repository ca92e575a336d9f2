/** Width of every vector in the brain: descriptions, identifiers and the recall index. */
export const vectorDimensions = 256;

/** Adds a feature to a vector at a place and with a sign that its text alone decides. */
export function addHashed(
  vector: Float32Array,
  feature: string,
  weight: number,
  start = 0,
  width = vector.length - start,
): void {
  const hash = hashText(feature);
  const place = start + ((hash >>> 1) % width);
  vector[place] = (vector[place] ?? 0) + ((hash & 1) === 0 ? weight : -weight);
}

/** FNV-1a over UTF-16 units with a final avalanche, 32 bits. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Scales a vector to length 1 in place; a zero vector stays zero. */
export function normalise(vector: Float32Array): Float32Array {
  let square = 0;
  for (const value of vector) square += value * value;
  if (square > 0) {
    const scale = 1 / Math.sqrt(square);
    for (let at = 0; at < vector.length; at++) vector[at] = (vector[at] ?? 0) * scale;
  }
  return vector;
}
