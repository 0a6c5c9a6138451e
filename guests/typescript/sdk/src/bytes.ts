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
  let latin = "";
  for (let i = 0; i < bytes.length; i += CHUNK) {
    latin += String.fromCharCode.apply(null, bytes.subarray(i, i + CHUNK) as unknown as number[]);
  }
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
