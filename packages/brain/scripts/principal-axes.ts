/**
 * The first axes of a centred row-major matrix by orthogonal iteration on its covariance; each is a
 * unit vector, the widest spread first. Deterministic: it starts from fixed pseudo-random vectors.
 */
export function principalAxes(rows: Float32Array, width: number, count: number): Float64Array[] {
  const covariance = Array.from({ length: width }, () => new Float64Array(width));
  for (let start = 0; start < rows.length; start += width) {
    for (let i = 0; i < width; i++) {
      const line = covariance[i] as Float64Array;
      const factor = rows[start + i] ?? 0;
      for (let j = i; j < width; j++) line[j] = (line[j] ?? 0) + factor * (rows[start + j] ?? 0);
    }
  }
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < i; j++) (covariance[i] as Float64Array)[j] = covariance[j]?.[i] ?? 0;
  }
  let seed = 1;
  let axes = Array.from({ length: count }, () =>
    Float64Array.from({ length: width }, () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed / 2 ** 32 - 0.5;
    }),
  );
  for (let round = 0; round < 40; round++) {
    axes = axes.map((axis) => Float64Array.from(covariance, (line) => dot(line, axis)));
    axes.forEach((axis, at) => {
      for (const earlier of axes.slice(0, at)) {
        const shared = dot(axis, earlier);
        for (let i = 0; i < width; i++) axis[i] = (axis[i] ?? 0) - shared * (earlier[i] ?? 0);
      }
      const length = Math.sqrt(dot(axis, axis));
      for (let i = 0; i < width; i++) axis[i] = (axis[i] ?? 0) / length;
    });
  }
  return axes;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += (a[at] ?? 0) * (b[at] ?? 0);
  return sum;
}
