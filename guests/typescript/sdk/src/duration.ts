/** Lengths of time as text with their unit, so that nobody has to know whether a number means seconds or milliseconds. */

/** A number and its unit: milliseconds, seconds, minutes, hours or days. For example `"500ms"`, `"5s"`, `"1.5h"`. */
export type Duration = `${number}${"ms" | "s" | "m" | "h" | "d"}`;

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of a duration. `what` names it in the error, and `instead` what takes a number of milliseconds. */
export function milliseconds(what: string, duration: unknown, instead?: string): number {
  const [, number, unit] = (typeof duration === "string" && /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)$/.exec(duration)) || [];
  const ms = Math.round(Number(number) * UNITS[unit!]!);
  if (Number.isSafeInteger(ms)) return ms;
  const given = typeof duration === "string" ? JSON.stringify(duration) : String(duration);
  const hint = typeof duration === "number" && instead ? `. For milliseconds there is ${instead}` : "";
  throw new TypeError(`${what} is a text like "5s" or "1.5h" (units: ms, s, m, h, d), not ${given}${hint}`);
}
