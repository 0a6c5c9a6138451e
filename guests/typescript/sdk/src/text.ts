/** The web's `TextEncoder` and `TextDecoder`. */
import { decodeUtf8, decodeUtf8Lossy, encodeUtf8, joined, wellFormed } from "./bytes.ts";

export class Utf8Encoder {
  readonly encoding = "utf-8";

  encode(text = ""): Uint8Array {
    return encodeUtf8(String(text));
  }

  /** As many whole characters as there is room for. */
  encodeInto(text: string, target: Uint8Array): { read: number; written: number } {
    let read = 0;
    let written = 0;
    for (const character of text) {
      const bytes = encodeUtf8(character);
      if (written + bytes.length > target.length) break;
      target.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
}

/** Names of encodings, as the web's standard has them. */
const LABELS: Record<string, string> = {
  "utf-8": "utf-8", utf8: "utf-8", "unicode-1-1-utf-8": "utf-8",
  "utf-16le": "utf-16le", "utf-16": "utf-16le", "ucs-2": "utf-16le",
  "windows-1252": "windows-1252", latin1: "windows-1252", "iso-8859-1": "windows-1252", ascii: "windows-1252", "us-ascii": "windows-1252",
};

/** What windows-1252 has from 0x80 to 0x9f, where Latin-1 has control characters. */
const WINDOWS = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

export class Decoder {
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  /** Bytes of a character that was cut between two calls. */
  #rest: Uint8Array = new Uint8Array(0);
  /** Has anything been decoded since the last end? */
  #started = false;

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false }: { fatal?: boolean; ignoreBOM?: boolean } = {}) {
    const encoding = LABELS[String(label).trim().toLowerCase()];
    if (encoding === undefined) throw new RangeError(`TextDecoder knows UTF-8, UTF-16LE and windows-1252, not ${JSON.stringify(label)}`);
    this.encoding = encoding;
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }

  decode(data: ArrayBuffer | ArrayBufferView = new Uint8Array(0), { stream = false }: { stream?: boolean } = {}): string {
    let bytes = asBytes(data);
    if (this.#rest.length > 0) bytes = joined([this.#rest, bytes]);
    const end = stream ? bytes.length - cutOff(bytes, this.encoding) : bytes.length;
    this.#rest = bytes.slice(end);
    let text = this.#text(bytes.subarray(0, end));
    if (!this.#started && !this.ignoreBOM && text.startsWith("\ufeff")) text = text.slice(1);
    this.#started = stream && (this.#started || end > 0);
    return text;
  }

  #text(bytes: Uint8Array): string {
    if (this.encoding === "utf-8") return this.fatal ? decodeUtf8(bytes) : decodeUtf8Lossy(bytes);
    if (this.encoding === "windows-1252") {
      const latin = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
      return latin.replace(/[\x80-\x9f]/g, (character) => WINDOWS[character.charCodeAt(0) - 0x80]!);
    }
    const unit = (_: unknown, i: number) => String.fromCharCode(bytes[2 * i]! | (bytes[2 * i + 1]! << 8));
    const text = Array.from({ length: bytes.length >> 1 }, unit).join("");
    const whole = wellFormed(text) + (bytes.length % 2 ? "\ufffd" : "");
    if (this.fatal && whole !== text) throw new TypeError("not valid UTF-16");
    return whole;
  }
}

/** Bytes at the end that are the beginning of a character. */
function cutOff(bytes: Uint8Array, encoding: string): number {
  if (encoding === "utf-16le") return bytes.length % 2;
  if (encoding !== "utf-8") return 0;
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

export function asBytes(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}
