/** Why there is no response, in words. */
import type { Hop } from "./redirect.ts";
import { payload, type Variant } from "./wasi.ts";

/** What WASI's `error-code` and `header-error` mean where their names don't say it. */
const MEANINGS: Record<string, string> = {
  "DNS-error": "its name could not be resolved",
  "destination-not-found": "its name could not be resolved",
  "connection-terminated": "the connection was cut",
  "connection-read-timeout": "no answer came in time",
  "HTTP-response-incomplete": "the connection was cut in the middle of the answer",
  "HTTP-response-timeout": "no answer came in time",
  forbidden: "it has a header that a handler may not set",
  "invalid-syntax": "it has a header that is none",
};

/** The error that `fetch` rejects with. It names no path and no query: they may hold secrets. */
export function failure({ method, url }: Pick<Hop, "method" | "url">, error: unknown): Error {
  const why = payload(error);
  if (why instanceof Error) return why;
  const failed = new TypeError(`${method} ${url.origin} failed: ${words(why, url.host)}`);
  // WASI's name of it, as errors of files have one.
  return Object.assign(failed, { code: (why as Variant | undefined)?.tag });
}

function words(error: unknown, host: string): string {
  if (typeof error === "string") return error;
  const { tag, val } = (error ?? { tag: "unknown error" }) as Variant;
  // The host's own words, where it has some.
  if (typeof val === "string") return val;
  if (tag === "HTTP-request-denied") return `HTTP to ${host} is not allowed: --allow-http ${host}`;
  return MEANINGS[tag] ?? tag.replaceAll("-", " ");
}
