/** The web's `Request`: what `fetch` sends. */
import { AbortSignal } from "./abort.ts";
import { Body, bodyBytes, type BodyInit } from "./body.ts";
import { Headers, type HeadersInit } from "./headers.ts";
import { URL } from "./url.ts";

export interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: BodyInit | null;
  redirect?: "follow" | "error" | "manual";
  signal?: AbortSignal | null;
}

/** Written in any case by users, in this one on the wire. */
const NORMALISED = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);

export class Request extends Body {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly redirect: "follow" | "error" | "manual";
  readonly signal: AbortSignal;
  /** Is there a body? An empty one is one. */
  readonly hasBody: boolean;

  constructor(input: string | URL | Request, init: RequestInit = {}) {
    const from = input instanceof Request ? input : undefined;
    const body = init.body == null ? undefined : bodyBytes(init.body);
    super(body ? async () => body.bytes : (from?.share() ?? (async () => new Uint8Array(0))));
    this.url = from ? from.url : absolute(input as string | URL);
    this.method = methodName(init.method ?? from?.method ?? "GET");
    this.headers = new Headers(init.headers ?? from?.headers);
    if (body?.type && !this.headers.has("content-type")) this.headers.set("content-type", body.type);
    this.redirect = init.redirect ?? from?.redirect ?? "follow";
    this.signal = init.signal ?? from?.signal ?? new AbortSignal();
    this.hasBody = body !== undefined || (from?.hasBody ?? false);
    if (this.hasBody && (this.method === "GET" || this.method === "HEAD")) {
      throw new TypeError(`a ${this.method} request has no body`);
    }
  }

  clone(): Request {
    return new Request(this);
  }
}

function methodName(method: string): string {
  const upper = method.toUpperCase();
  if (upper === "CONNECT" || upper === "TRACE") throw new TypeError(`a handler may not send a ${upper} request`);
  return NORMALISED.has(upper) ? upper : method;
}

function absolute(input: string | URL): string {
  let url: URL;
  try {
    url = new URL(String(input));
  } catch {
    throw new TypeError(`${JSON.stringify(String(input))} is not an absolute URL`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new TypeError(`fetch speaks http and https, not ${url.protocol}`);
  if (url.username || url.password) {
    throw new TypeError(`the URL of ${url.host} has credentials in it: send them in the header "authorization"`);
  }
  return url.href;
}
