/**
 * UTF-8 without TextEncoder, which QuickJS does not have. `encodeURIComponent` and `unescape` are native there, so this
 * is several times faster than a loop over code points.
 */

const ASCII = /^[\x00-\x7f]*$/;

/** Code units a call of `fromCharCode.apply`: more arguments could overflow QuickJS's stack. */
const CHUNK = 4096;

/** The UTF-8 bytes of `text`. A lone surrogate becomes U+FFFD, as in TextEncoder. */
export function encodeUtf8(text: string): Uint8Array {
  const latin = ASCII.test(text) ? text : unescape(encodeURIComponent(wellFormed(text)));
  const bytes = new Uint8Array(latin.length);
  for (let i = 0; i < latin.length; i++) bytes[i] = latin.charCodeAt(i);
  return bytes;
}

/** The text of UTF-8 bytes. Throws a TypeError when they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  return decodeLatin(latinOf(bytes));
}

const SEQUENCE =
  /[\x00-\x7f]+|[\xc2-\xdf][\x80-\xbf]|(?:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f])[\x80-\xbf]|(?:\xf0[\x90-\xbf]|[\xf1-\xf3][\x80-\xbf]|\xf4[\x80-\x8f])[\x80-\xbf]{2}|[^]/g;

/** The same of bytes from outside: what is not UTF-8 becomes U+FFFD. */
export function decodeUtf8Lossy(bytes: Uint8Array): string {
  const latin = latinOf(bytes);
  if (ASCII.test(latin)) return latin;
  return decodeLatin(latin.replace(SEQUENCE, (found) => (found.length === 1 && found > "\x7f" ? "\xef\xbf\xbd" : found)));
}

/** A text with a code unit for each byte. */
function latinOf(bytes: Uint8Array): string {
  let latin = "";
  for (let i = 0; i < bytes.length; i += CHUNK) {
    latin += String.fromCharCode.apply(null, bytes.subarray(i, i + CHUNK) as unknown as number[]);
  }
  return latin;
}

function decodeLatin(latin: string): string {
  if (ASCII.test(latin)) return latin;
  try {
    return decodeURIComponent(escape(latin));
  } catch {
    throw new TypeError("not valid UTF-8");
  }
}

/** `String.prototype.toWellFormed`, which older engines lack. */
function wellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}
