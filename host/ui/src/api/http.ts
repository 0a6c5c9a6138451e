/** Requests to the gateway. The token is kept for this tab only, and leaves it in the header `authorization` alone. */
import { signal } from "@preact/signals";

const KEY = "brrr-token";

/** The token that is sent. */
const token = signal<string | null>(sessionStorage.getItem(KEY));

/** The gateway refuses requests without a right token. */
export const isLockedOut = signal(false);
/** The token that was sent is not the right one. */
export const wasRefused = signal(false);

export function logIn(text: string): void {
  sessionStorage.setItem(KEY, text);
  token.value = text;
  isLockedOut.value = false;
}

export function logOut(): void {
  sessionStorage.removeItem(KEY);
  token.value = null;
  wasRefused.value = false;
  isLockedOut.value = true;
}

export const hasToken = (): boolean => token.value !== null;

/** A problem document of the gateway. */
export class ApiError extends Error {
  readonly status: number;
  /** The name at the end of the problem's type, such as `no-such-job`. */
  readonly kind: string;
  readonly errors: readonly { readonly pointer: string; readonly message: string }[];

  constructor(status: number, body: unknown) {
    const { detail, title, type, errors } = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
    super(String(detail ?? title ?? `the gateway answered with the status ${status}`));
    this.name = "ApiError";
    this.status = status;
    this.kind = String(type ?? "").replace("urn:brrr:problem:", "");
    this.errors = Array.isArray(errors) ? (errors as ApiError["errors"]) : [];
  }
}

/** The gateway can't be reached. */
export class Unreachable extends Error {
  constructor() {
    super("The gateway does not answer. Is it running?");
    this.name = "Unreachable";
  }
}

export interface Options {
  readonly method?: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is: JSON that the user has written. */
  readonly json?: string;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
  /** Sent in place of the token of the page. */
  readonly token?: string;
}

/** Sends a request, and gives its answer if it succeeded. */
export async function send(path: string, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { ...options.headers };
  const sent = options.token ?? token.peek();
  if (sent !== null) headers["authorization"] = `Bearer ${sent}`;
  const json = options.json ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  if (json !== undefined) headers["content-type"] = "application/json";
  const init: RequestInit = { method: options.method ?? "GET", headers, cache: "no-store", credentials: "omit", redirect: "error" };
  if (json !== undefined) init.body = json;
  if (options.signal) init.signal = options.signal;
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Unreachable();
  }
  if (response.ok) return response;
  // A change may need another token than reading does: then the answer says so.
  if (response.status === 401 && init.method === "GET" && sent === token.peek()) {
    wasRefused.value = sent !== null;
    isLockedOut.value = true;
  }
  throw new ApiError(response.status, await response.json().catch(() => undefined));
}

/** The JSON of an answer. */
export async function get<Document>(path: string, options?: Options): Promise<Document> {
  return (await send(path, options)).json() as Promise<Document>;
}

/** The JSON of an answer to a request that changes something; `undefined` if the answer is empty. */
export async function post<Document>(path: string, options: Options = {}): Promise<Document | undefined> {
  const response = await send(path, { method: "POST", ...options });
  return response.status === 204 ? undefined : ((await response.json()) as Document);
}

/** A path of the API: `v1("jobs", id, "tree")`. */
export function v1(...parts: readonly string[]): string {
  return `/v1/${parts.map(encodeURIComponent).join("/")}`;
}
