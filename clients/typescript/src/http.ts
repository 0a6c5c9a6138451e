/** Requests to one gateway: the address, the token, and further tries. */
import { Limit, sleep } from "./abort.js";
import { askedPause, pause } from "./backoff.js";
import { ApiError, apiError, BrrrError, ConnectionError, type Problem } from "./errors.js";
import { milliseconds, type Duration } from "./duration.js";
import { parse } from "./json.js";

/** What the client needs of `fetch`. The global one is one of these. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface ClientOptions {
  /** The gateway's token, or a function that gives it before each request. */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** In place of the global `fetch`. */
  readonly fetch?: Fetch | undefined;
  /** How long one try of a request may take, besides the time for which the gateway is asked to wait. `"30s"` if not given. */
  readonly requestTimeout?: Duration | undefined;
  /** How often a request is tried again after a broken connection, a 408, 502, 503 or 504. 5 if not given; 0: never. */
  readonly requestRetries?: number | undefined;
}

/** A gateway waits at most so long with an answer. */
const LONGEST_WAIT_S = 60;

/** The whole seconds for which to ask a gateway to wait. */
export function waitSeconds(ms: number): number {
  return Math.min(Math.max(Math.ceil(ms / 1000), 0), LONGEST_WAIT_S);
}

/** A request. */
export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Below `/v1`, encoded: see path.ts. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** A JSON text, or bytes whose type is in the headers. */
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** For how many seconds the gateway may wait with its answer. */
  readonly wait?: number;
  readonly signal?: AbortSignal | undefined;
  /** Not sent again after a failure that leaves open whether it was done. */
  readonly once?: boolean;
  /** The problem that a further try meets if an earlier one was done and its answer lost. Then it is no error, but an empty answer. */
  readonly doneIf?: string;
}

/** An answer that is no error. */
export interface Answer {
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

/** Tried again: the request came too slowly; the gateway is busy; a proxy before it can't reach it. */
const AGAIN = [408, 502, 503, 504];
/** The gateway says by these that it did not do it. A proxy's 502 and 504 leave it open. */
const NOT_DONE = [408, 503];

export class Http {
  readonly #base: string;
  readonly #token: ClientOptions["token"];
  readonly #fetch: Fetch;
  readonly #timeoutMs: number;
  readonly retries: number;

  constructor(url: string | URL, options: ClientOptions) {
    this.#base = baseOf(url);
    this.#token = options.token;
    // Called as a plain function: browsers refuse `fetch` as a method of something else.
    this.#fetch = options.fetch ?? ((address, init) => fetch(address, init));
    this.#timeoutMs = milliseconds("requestTimeout", options.requestTimeout ?? "30s");
    this.retries = options.requestRetries ?? 5;
    if (!Number.isSafeInteger(this.retries) || this.retries < 0) {
      throw new TypeError(`requestRetries is a whole number from 0 on, not ${this.retries}`);
    }
  }

  /** Sends a request, again where that may help, and reads the whole answer. Throws an ApiError for one that is an error. */
  async send(request: Request): Promise<Answer> {
    let maybeDone = false;
    for (let tries = 0; ; tries++) {
      const { response, bytes, failure } = await this.#try(request);
      if (response?.ok && bytes) return { headers: response.headers, bytes };
      const error =
        response && bytes ? errorOf(response, bytes) : new ConnectionError(`no answer from ${this.#base}`, { cause: failure });
      if (response && maybeDone && error.name === request.doneIf) return { headers: response.headers, bytes: new Uint8Array() };
      const done = !(response && NOT_DONE.includes(response.status));
      if (!mayTryAgain(error) || tries >= this.retries || (request.once && done)) throw error;
      maybeDone ||= done;
      await sleep((error instanceof ApiError ? error.retryAfterMs : undefined) ?? pause(tries), request.signal);
    }
  }

  /** Sends a request, and gives the JSON of the answer. */
  async json(request: Request): Promise<Readonly<Record<string, unknown>>> {
    const answer = await this.send(request);
    return this.jsonOf(answer) as Record<string, unknown>;
  }

  /** The JSON of an answer. */
  jsonOf({ headers, bytes }: Answer): unknown {
    if (!isOf(headers, "application/json")) throw this.#foreign(headers);
    return parse(new TextDecoder().decode(bytes));
  }

  /** The value that an answer holds: JSON or bytes. */
  value(answer: Answer): unknown {
    return isOf(answer.headers, "application/octet-stream") ? answer.bytes : this.jsonOf(answer);
  }

  #foreign(headers: Headers): Error {
    return new BrrrError(
      `${this.#base} answers with ${headers.get("content-type") ?? "nothing"}: is it the address of a gateway?`,
    );
  }

  /** One try. Gives the answer with its body, or why there is none. Throws the signal's reason, and what a further try can't help. */
  async #try(request: Request): Promise<{ response?: Response; bytes?: Uint8Array; failure?: unknown }> {
    const limit = new Limit(request.signal, this.#timeoutMs + (request.wait ?? 0) * 1000);
    try {
      const init = await this.#init(request, limit.signal);
      try {
        const response = await this.#fetch(this.#address(request), init);
        refuseRedirect(response);
        return { response, bytes: new Uint8Array(await response.arrayBuffer()) };
      } catch (failure) {
        request.signal?.throwIfAborted();
        if (failure instanceof BrrrError) throw failure;
        return { failure };
      }
    } finally {
      limit.release();
    }
  }

  /** Begins a request for server-sent events. One try. */
  async open(request: Request, signal: AbortSignal): Promise<Response> {
    const init = await this.#init(request, signal);
    let response: Response;
    let bytes: Uint8Array;
    try {
      response = await this.#fetch(this.#address(request), init);
      if (response.ok && isOf(response.headers, "text/event-stream")) return response;
      bytes = new Uint8Array(await response.arrayBuffer());
    } catch (cause) {
      throw new ConnectionError(`no answer from ${this.#base}`, { cause });
    }
    refuseRedirect(response);
    throw response.ok ? this.#foreign(response.headers) : errorOf(response, bytes);
  }

  #address({ path, query = {} }: Request): string {
    const pairs = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
    return `${this.#base}/v1${path}${pairs.length > 0 ? `?${new URLSearchParams(pairs)}` : ""}`;
  }

  async #init({ method, headers: more, body, wait }: Request, signal: AbortSignal): Promise<RequestInit> {
    signal.throwIfAborted();
    const headers = new Headers(more);
    const token = typeof this.#token === "function" ? await this.#token() : this.#token;
    if (token !== undefined) {
      // `Headers` would put the token into its error.
      if (!/^[\x21-\x7e]+$/.test(token)) throw new TypeError("the token has characters that a header can't hold, or none");
      headers.set("authorization", `Bearer ${token}`);
    }
    if (wait) headers.set("prefer", `wait=${wait}`);
    if (typeof body === "string") headers.set("content-type", "application/json");
    return { method, headers, signal, redirect: "manual", ...(body === undefined ? {} : { body }) };
  }
}

/** Is an error one after which a further try may help? */
export function mayTryAgain(error: unknown): boolean {
  return error instanceof ConnectionError || (error instanceof ApiError && AGAIN.includes(error.status));
}

function baseOf(given: string | URL): string {
  let url: URL;
  try {
    url = new URL(given);
  } catch {
    throw new TypeError(`the gateway's address is an absolute URL such as http://localhost:8080, not ${JSON.stringify(given)}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError("the gateway's address has a user or password in it; a token is given by the option `token`");
  }
  if (!/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    throw new TypeError(`the gateway's address begins with http: or https:, and has no ? or #: ${url.href}`);
  }
  return url.origin + url.pathname.replace(/\/+$/, "");
}

function isOf(headers: Headers, type: string): boolean {
  return headers.get("content-type")?.split(";")[0]?.trim() === type;
}

/** A redirect would make a GET of a POST. The gateway sends none; a proxy may, from http: to https:. */
function refuseRedirect(response: Response): void {
  if (response.type !== "opaqueredirect" && !(response.status >= 300 && response.status < 400)) return;
  const to = response.headers.get("location");
  throw new BrrrError(`the gateway's address redirects${to ? ` to ${to}` : ""}: give the client the address that it leads to`);
}

function errorOf(response: Response, bytes: Uint8Array): ApiError {
  const problem = isOf(response.headers, "application/problem+json")
    ? (parse(new TextDecoder().decode(bytes)) as Problem)
    : undefined;
  return apiError(response.status, problem, askedPause(response.headers));
}
