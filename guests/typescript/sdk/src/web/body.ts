/** What `Request` and `Response` share: a body, and the ways to read it. */
import { decodeUtf8Lossy, encodeUtf8 } from "../bytes.ts";
import { URLSearchParams } from "./url.ts";

export type BodyInit = string | ArrayBuffer | ArrayBufferView | URLSearchParams;

/** The bytes of a body, and the content type that it implies. */
export function bodyBytes(init: BodyInit): { readonly bytes: Uint8Array; readonly type: string | null } {
  if (typeof init === "string") return { bytes: encodeUtf8(init), type: "text/plain;charset=UTF-8" };
  if (init instanceof ArrayBuffer) return { bytes: new Uint8Array(init.slice(0)), type: null };
  if (ArrayBuffer.isView(init)) {
    return { bytes: new Uint8Array(init.buffer, init.byteOffset, init.byteLength).slice(), type: null };
  }
  if (init instanceof URLSearchParams) {
    return { bytes: encodeUtf8(init.toString()), type: "application/x-www-form-urlencoded;charset=UTF-8" };
  }
  throw new TypeError("a body is text, bytes or URLSearchParams; a Blob, FormData or stream is not supported");
}

export abstract class Body {
  /** Has it been read? It can be read once. */
  bodyUsed = false;

  /** `source` gives the bytes, once. */
  constructor(protected source: () => Promise<Uint8Array>) {}

  async bytes(): Promise<Uint8Array> {
    if (this.bodyUsed) throw new TypeError("the body has been read already");
    this.bodyUsed = true;
    return this.source();
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await this.bytes()).slice().buffer as ArrayBuffer;
  }

  async text(): Promise<string> {
    const bytes = await this.bytes();
    const mark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    return decodeUtf8Lossy(mark ? bytes.subarray(3) : bytes);
  }

  async json(): Promise<any> {
    return JSON.parse(await this.text());
  }

  /** A second source of the same bytes, for a clone. */
  protected share(): () => Promise<Uint8Array> {
    if (this.bodyUsed) throw new TypeError("a body that has been read can't be cloned");
    const source = this.source;
    let bytes: Promise<Uint8Array> | undefined;
    this.source = () => (bytes ??= source());
    return this.source;
  }
}
