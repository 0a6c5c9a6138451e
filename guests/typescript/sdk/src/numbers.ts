/**
 * Numbers that JavaScript can't hold: JSON.parse makes other numbers of them without a word. They are refused, and their
 * place is named.
 */
import { NotJson, place } from "./json.ts";

/**
 * JSON.parse; throws a NotJson for a number that would come out as another one. `root` gives the part of the whole from
 * which places are counted.
 */
export function parseExact(text: string, root = (value: unknown) => value): unknown {
  const value: unknown = JSON.parse(text);
  // Only a number as large as that can be another one than in the text. There hardly ever is one.
  if (mayHaveLarge(value, text)) refuseInexact(text, root);
  return value;
}

/** Characters of text for each value up to which a walk over the values is quicker than a search of the text. */
const SEARCHED = 64;

/** Is there a number of more digits than JavaScript holds, or what looks like one? By a walk over the values if they are few. */
function mayHaveLarge(value: unknown, text: string): boolean {
  let left = text.length / SEARCHED;
  const walk = (value: unknown): boolean => {
    left -= 1;
    if (typeof value === "number") return value > Number.MAX_SAFE_INTEGER || value < -Number.MAX_SAFE_INTEGER;
    if (typeof value !== "object" || value === null || left < 0) return false;
    const parts: unknown[] = Array.isArray(value) ? value : Object.values(value);
    return parts.some(walk);
  };
  return walk(value) || (left < 0 && /\d{16}|e\+?\d{3}/i.test(text));
}

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;

/** A text that no JSON of a user has. */
const MARK = "\u0000brrr number ";

function refuseInexact(text: string, root: (value: unknown) => unknown): void {
  const marked = text.replace(TOKEN, (token) => (isInexact(token) ? JSON.stringify(MARK + token) : token));
  if (marked !== text) refuse(root(JSON.parse(marked)), []);
}

/** A whole number that JavaScript would write with other digits, or a number that is too large for it. */
function isInexact(token: string): boolean {
  if (token.startsWith('"')) return false;
  const number = Number(token);
  if (Math.abs(number) === Infinity) return true;
  return Math.abs(number) > Number.MAX_SAFE_INTEGER && /^-?\d+$/.test(token) && String(number) !== token;
}

function refuse(value: unknown, path: (string | number)[]): void {
  if (typeof value === "string" && value.startsWith(MARK)) {
    throw new NotJson(`${place(path)} is ${value.slice(MARK.length)}, which a JavaScript number can't hold: pass it as text`);
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, part] of Object.entries(value)) refuse(part, [...path, Array.isArray(value) ? Number(key) : key]);
}
