/**
 * JSON with whole numbers of any size. A JavaScript number holds whole numbers up to 2^53 - 1; JSON.parse rounds larger ones
 * without a word. Here they are BigInts in both directions.
 *
 * It works on the text, as not all engines give a reviver the digits of a number (`context.source`; Node 20 does not).
 */
import { randomKey } from "./key.js";

/** A text or a number. A text is matched whole, so that digits in it are not taken for a number. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;
/** 2^53 has 16 digits. */
const LONG = /\d{16}/;

/** JSON.parse, but a whole number that is written in digits and lies beyond ±(2^53 - 1) becomes a BigInt. */
export function parse(text: string): unknown {
  if (!LONG.test(text)) return JSON.parse(text);
  // Random, so that no text of the user is the same.
  const mark = randomKey();
  let found = false;
  const marked = text.replace(TOKEN, (token) => {
    if (!/^-?\d{16,}$/.test(token) || Number.isSafeInteger(Number(token))) return token;
    found = true;
    return `"${mark}${token}"`;
  });
  // What is no JSON is an error that shows the text as it came.
  if (!found) return JSON.parse(text);
  return JSON.parse(marked, (_key, value: unknown) =>
    typeof value === "string" && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value,
  );
}

/**
 * JSON.stringify, but a BigInt is written as its digits.
 *
 * Throws a TypeError for what JSON would make something else of without a word: NaN, infinite numbers, and whole numbers
 * beyond 2^53, which may have been rounded before they came here. `what` names the value in the error.
 */
export function stringify(what: string, value: unknown): string {
  const mark = randomKey();
  let found = false;
  const text = JSON.stringify(value, (key, part: unknown) => {
    if (typeof part === "bigint") {
      found = true;
      return mark + String(part);
    }
    if (typeof part === "number") checkNumber(key === "" ? what : `${what}: ${JSON.stringify(key)}`, part);
    return part;
  }) as string | undefined;
  if (text === undefined) throw new TypeError(`${what} is ${typeof value}, which JSON can't hold`);
  return found ? text.replace(new RegExp(`"${mark}(-?\\d+)"`, "g"), "$1") : text;
}

function checkNumber(what: string, number: number): void {
  if (!Number.isFinite(number)) throw new TypeError(`${what} is ${number}, which JSON can't hold`);
  // From 1e21 on JavaScript writes numbers with an exponent, so that nobody takes them for exact.
  if (Number.isInteger(number) && !Number.isSafeInteger(number) && Math.abs(number) < 1e21) {
    throw new TypeError(`${what} is ${number}, a whole number beyond 2^53, which may have been rounded: give a BigInt or a text`);
  }
}
