/** Bodies that the survey flies over: dipoles with a place, a depth in metres and a strength in nT at 100 m. */
const BODIES = [
  { x: 420, y: 620, depth: 60, strength: 90 },
  { x: 980, y: 300, depth: 90, strength: 60 },
  { x: 1240, y: 880, depth: 45, strength: 50 },
] as const;

const LINES = 31;
const LINE_SPACING = 50;
const POINT_SPACING = 15;
const LENGTH = 1200;

/**
 * An aeromagnetic survey as a file of lines: x and y in metres, the total field in nT, with a regional slope, a drift over the
 * day and noise. It is computed, so that what the skill finds can be held against what is there; the same each time.
 */
export function magneticSurvey(): string {
  const rows = ["line,x,y,time,field"];
  let seed = 1;
  const noise = (): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647 - 0.5;
  };
  let time = 0;
  for (let line = 0; line < LINES; line += 1) {
    const x = line * LINE_SPACING;
    for (let step = 0; step <= LENGTH / POINT_SPACING; step += 1) {
      // Every second line is flown back.
      const y = (line % 2 === 0 ? step : LENGTH / POINT_SPACING - step) * POINT_SPACING;
      time += 0.3;
      const drift = 4 * Math.sin(time / 400);
      const field = 48_000 + 0.01 * x - 0.006 * y + anomalyAt(x, y) + drift + noise();
      rows.push(`${line},${x},${y},${time.toFixed(1)},${field.toFixed(3)}`);
    }
  }
  return `${rows.join("\n")}\n`;
}

/** The field of vertical dipoles at the ground (Blakely, Potential Theory, 1995, chapter 4). */
function anomalyAt(x: number, y: number): number {
  let field = 0;
  for (const body of BODIES) {
    const square = (x - body.x) ** 2 + (y - body.y) ** 2;
    const distance = Math.sqrt(square + body.depth ** 2);
    field += (body.strength * 1e6 * (2 * body.depth ** 2 - square)) / (2 * distance ** 5);
  }
  return field;
}
