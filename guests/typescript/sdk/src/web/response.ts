/** The web's `Response`. */
import { encodeUtf8 } from "../bytes.ts";
import { Body, bodyBytes, type BodyInit } from "./body.ts";
import { Headers, type HeadersInit } from "./headers.ts";

export interface ResponseInit {
  status?: number;
  statusText?: string;
  headers?: HeadersInit;
}

export class Response extends Body {
  readonly status: number;
  /** Empty in what `fetch` gives: HTTP has given the phrase up, and WASI doesn't pass it on. */
  readonly statusText: string;
  readonly headers: Headers;
  /** Where it came from in the end. */
  url = "";
  /** Did it come from elsewhere than was asked for? */
  redirected = false;

  constructor(body: BodyInit | null = null, init: ResponseInit = {}) {
    const given = body === null ? undefined : bodyBytes(body);
    super(async () => given?.bytes ?? new Uint8Array(0));
    this.status = init.status ?? 200;
    this.statusText = init.statusText ?? "";
    this.headers = new Headers(init.headers);
    if (given?.type && !this.headers.has("content-type")) this.headers.set("content-type", given.type);
  }

  /** A response with `value` as JSON. */
  static json(value: unknown, init: ResponseInit = {}): Response {
    const response = new Response(encodeUtf8(JSON.stringify(value)), init);
    if (!response.headers.has("content-type")) response.headers.set("content-type", "application/json");
    return response;
  }

  /** Not for users: what came over the network. */
  static received(init: ResponseInit, url: string, redirected: boolean, source: () => Promise<Uint8Array>): Response {
    const response = new Response(null, init);
    response.source = source;
    return Object.assign(response, { url, redirected });
  }

  /** Is the status one of success, 200 to 299? */
  get ok(): boolean {
    return this.status >= 200 && this.status <= 299;
  }

  clone(): Response {
    const { status, statusText, headers } = this;
    return Response.received({ status, statusText, headers }, this.url, this.redirected, this.share());
  }
}
