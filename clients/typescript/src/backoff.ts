/** Pauses between the tries of a request. */

const FIRST_MS = 200;
const LONGEST_MS = 5_000;
/** The longest pause that a gateway may ask for. */
const LONGEST_ASKED_MS = 60_000;

/** The pause before the n-th further try, from 0 on: up to twice the one before. Half of it is random, so that clients spread out. */
export function pause(n: number): number {
  const full = Math.min(FIRST_MS * 2 ** n, LONGEST_MS);
  return full / 2 + (Math.random() * full) / 2;
}

/** The pause that the header `Retry-After` asks for, in milliseconds; `undefined` if there is none. */
export function askedPause(headers: Headers): number | undefined {
  const seconds = headers.get("retry-after");
  return seconds !== null && /^\d+$/.test(seconds) ? Math.min(Number(seconds) * 1000, LONGEST_ASKED_MS) : undefined;
}
