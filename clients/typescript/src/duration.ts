/** Lengths of time with their unit, so that nobody has to know whether a number means seconds or milliseconds. */

type Unit = "ms" | "s" | "m" | "h" | "d";
type Part = `${number}${Unit}`;

/**
 * A length of time: a number and its unit, such as `"500ms"`, `"5s"`, `"1.5h"` or `"7d"`, two of them (`"1h 30m"`), or
 * milliseconds by name: `{ ms: 500 }`.
 */
export type Duration = Part | `${Part} ${Part}` | { readonly ms: number };

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const PART = "(\\d+(?:\\.\\d+)?)(ms|s|m|h|d)";
const DURATION = new RegExp(`^${PART}(?: ?${PART})*$`);

/**
 * The milliseconds of a duration. `what` names it in the error.
 *
 * Throws a TypeError that says how a duration is written.
 */
export function milliseconds(what: string, duration: Duration): number {
  // Programs in plain JavaScript come here too, with any value.
  const given: unknown = duration;
  let ms = NaN;
  if (typeof given === "string" && DURATION.test(given)) {
    ms = 0;
    for (const [, number, unit] of given.matchAll(new RegExp(PART, "g"))) ms += Number(number) * (UNITS[unit ?? ""] ?? NaN);
    ms = Math.round(ms);
  } else if (typeof given === "object" && given !== null && "ms" in given && typeof given.ms === "number") {
    ms = Math.ceil(given.ms);
  }
  if (Number.isSafeInteger(ms) && ms >= 0) return ms;
  const shown = typeof given === "object" ? JSON.stringify(given) : typeof given === "string" ? `"${given}"` : String(given);
  const hint = typeof given === "number" ? `. For milliseconds: { ms: ${given} }` : "";
  throw new TypeError(`${what} is a text like "5s", "1.5h" or "1h 30m" (units: ms, s, m, h, d), not ${shown}${hint}`);
}

/** A duration as the gateway reads it. */
export function durationText(what: string, duration: Duration): string {
  return `${milliseconds(what, duration)}ms`;
}

/**
 * A time as the gateway reads it. A duration means so long before `now`, which is in milliseconds. `what` names it in the error.
 *
 * Throws a TypeError for what is no time.
 */
export function timeText(what: string, time: Date | Duration, now: number): string {
  const ago = !(time instanceof Date);
  const at = ago ? new Date(now - milliseconds(what, time)) : time;
  if (!Number.isNaN(at.getTime())) return at.toISOString();
  throw new TypeError(`${what} is ${ago ? `too long ago (${JSON.stringify(time)}); leave it out` : "an invalid Date"}`);
}
