/** Texts of others: payloads, names, messages. They are shown as what they are, and what can't be seen is made visible. */

export interface Piece {
  readonly text: string;
  /** What the piece stands for, if it replaces a character that can't be seen: `U+202E`. */
  readonly code?: string;
}

/**
 * Control characters except tab and line feed; marks that change the direction of text; characters without a width; line
 * separators; tags; halves of characters.
 */
const HIDDEN =
  // oxlint-disable-next-line no-control-regex -- these are what is looked for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]|\p{Surrogate}/gu;

/** The text in pieces: plain ones, and one for each character that can't be seen. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    const point = match[0].codePointAt(0) ?? 0;
    found.push({ text: symbol(point), code: name(point) });
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  return found;
}

function name(point: number): string {
  return `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
}

function symbol(point: number): string {
  if (point < 0x20) return String.fromCodePoint(0x2400 + point);
  if (point === 0x7f) return "\u2421";
  return name(point);
}

/** The begin of a text, at most `most` UTF-16 units, without half a character at its end. */
export function begin(text: string, most: number): string {
  if (text.length <= most) return text;
  const last = text.charCodeAt(most - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? most - 1 : most);
}

/** A size for people: `5.0 MB`. */
export function size(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1_000).toFixed(bytes < 10_000 ? 1 : 0)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

export function count(number: number): string {
  return number.toLocaleString("en");
}

/** `1 job`, `2 jobs`. */
export function many(number: number, one: string, more = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : more}`;
}
