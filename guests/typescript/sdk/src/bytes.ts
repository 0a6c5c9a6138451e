/**
 * UTF-8 without TextEncoder, which QuickJS does not have. A loop over the characters costs an interpreter a hundred times
 * what its own functions do, so these are put together from functions that are native there: `btoa` and
 * `Uint8Array.fromBase64` make bytes of a text with a code unit for each byte, `encodeURIComponent` and `unescape` make
 * such a text of any other.
 */

/** Code units or bytes that are turned at once, so that what lies in between takes little memory. */
const PIECE = 1 << 18;

/** Characters up to which a loop is quicker than the way round. */
const SHORT = 16;

const ASCII = /^[\x00-\x7f]*$/;

/** Arguments of one native call: more could overflow QuickJS's stack. */
const ARGUMENTS = 4096;

/** Methods that older engines lack, Node's among them. */
interface Base64 {
  fromBase64?(text: string): Uint8Array;
}
const { fromBase64 } = Uint8Array as unknown as Base64;
const { toBase64 } = Uint8Array.prototype as unknown as { toBase64?(this: Uint8Array): string };

/** The UTF-8 bytes of `text`. A lone surrogate becomes U+FFFD, as in TextEncoder. */
export function encodeUtf8(text: string): Uint8Array {
  if (text.length <= PIECE) return encodePiece(text);
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + PIECE, text.length);
    // Not between the halves of one character.
    if (isHighSurrogate(text.charCodeAt(end - 1)) && end < text.length) end -= 1;
    pieces.push(encodePiece(text.slice(start, end)));
    start = end;
  }
  return joined(pieces);
}

/** The text of UTF-8 bytes. Throws a TypeError when they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  if (bytes.length <= ARGUMENTS) {
    // Most payloads are as short: they take the shortest way.
    const latin: string = String.fromCharCode.apply(null, bytes as unknown as number[]);
    return ASCII.test(latin) ? latin : decodeLatin(latin);
  }
  return pieces(bytes).map((piece) => (isAscii(piece) ? latinOf(piece) : decodeLatin(latinOf(piece)))).join("");
}

const SEQUENCE =
  /[\x00-\x7f]+|[\xc2-\xdf][\x80-\xbf]|(?:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f])[\x80-\xbf]|(?:\xf0[\x90-\xbf]|[\xf1-\xf3][\x80-\xbf]|\xf4[\x80-\x8f])[\x80-\xbf]{2}|[^]/g;

/** The same of bytes from outside: what is not UTF-8 becomes U+FFFD. */
export function decodeUtf8Lossy(bytes: Uint8Array): string {
  const mended = (latin: string) => latin.replace(SEQUENCE, (found) => (found.length === 1 && found > "\x7f" ? "\xef\xbf\xbd" : found));
  return pieces(bytes).map((piece) => (isAscii(piece) ? latinOf(piece) : decodeLatin(mended(latinOf(piece))))).join("");
}

const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** `String.prototype.toWellFormed`: a lone surrogate, which no text outside can have, becomes U+FFFD. */
export function wellFormed(text: string): string {
  const { toWellFormed } = text as { toWellFormed?(): string };
  return toWellFormed ? toWellFormed.call(text) : text.replace(LONE, "\ufffd");
}

/** All of several pieces of bytes. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const all = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

function encodePiece(text: string): Uint8Array {
  if (text.length <= SHORT && ASCII.test(text)) {
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }
  const latin = unescape(encodeURIComponent(wellFormed(text)));
  if (fromBase64 && typeof btoa === "function") return fromBase64.call(Uint8Array, btoa(latin));
  return Uint8Array.from(latin, (character) => character.charCodeAt(0));
}

/** `bytes` in pieces that end where a character ends, if they are UTF-8. */
function pieces(bytes: Uint8Array): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let start = 0; start < bytes.length; ) {
    let end = Math.min(start + PIECE, bytes.length);
    // A character has at most three bytes after its first.
    for (let back = 0; back < 3 && end < bytes.length && isContinuation(bytes[end]!); back++) end -= 1;
    all.push(bytes.subarray(start, end));
    start = end;
  }
  return all;
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

function isHighSurrogate(unit: number): boolean {
  return (unit & 0xfc00) === 0xd800;
}

/** Is no byte above 127? As signed numbers those are negative. */
function isAscii(bytes: Uint8Array): boolean {
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < signed.length; i += ARGUMENTS) {
    if (Math.min.apply(null, signed.subarray(i, i + ARGUMENTS) as unknown as number[]) < 0) return false;
  }
  return true;
}

/** A text with a code unit for each byte. */
function latinOf(bytes: Uint8Array): string {
  if (toBase64 && typeof atob === "function") return atob(toBase64.call(bytes));
  let latin = "";
  for (let i = 0; i < bytes.length; i += ARGUMENTS) {
    latin += String.fromCharCode.apply(null, bytes.subarray(i, i + ARGUMENTS) as unknown as number[]);
  }
  return latin;
}

function decodeLatin(latin: string): string {
  try {
    return decodeURIComponent(escape(latin));
  } catch {
    throw new TypeError("not valid UTF-8");
  }
}
