/** Times and spans for people. */

/** A span of milliseconds: `340 ms`, `2.4 s`, `3 min 20 s`, `5 h 3 min`, `12 d`. */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const parts: [number, string][] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = parts.findIndex(([unit]) => seconds >= unit);
  const [unit, name] = parts[first] ?? [1, "s"];
  const [next, nextName] = parts[first + 1] ?? [1, "s"];
  const rest = Math.floor((seconds % unit) / next);
  return `${Math.floor(seconds / unit)} ${name}${rest > 0 ? ` ${rest} ${nextName}` : ""}`;
}

/** How long ago, or in how long: `5 min ago`, `in 2 h`. */
export function relative(at: number, now: number): string {
  const ms = now - at;
  if (Math.abs(ms) < 1_500) return "now";
  // Only the larger unit: nobody reads seconds of hours.
  const text = span(Math.abs(ms)).split(" ").slice(0, 2).join(" ").replace(/\.\d/, "");
  return ms > 0 ? `${text} ago` : `in ${text}`;
}

/** A moment in the user's time zone, to the second. */
export function moment(at: number): string {
  return new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** The time of day in the user's time zone, to the millisecond: `14:03:59.120`. */
export function clock(at: number): string {
  return new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
}

/** The positions of about `wanted` lines on a scale of so many milliseconds, at round values. */
export function ticks(total: number, wanted = 6): number[] {
  if (total <= 0) return [0];
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5];
  const step = steps.find((one) => total / one <= wanted) ?? Math.ceil(total / wanted / 864e5) * 864e5;
  return Array.from({ length: Math.floor(total / step) + 1 }, (_, index) => index * step);
}
