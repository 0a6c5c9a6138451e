/** Where a redirect leads: the steps of the Fetch standard's "HTTP-redirect fetch". */
import { Headers } from "./headers.ts";
import { URL } from "./url.ts";

/** What is asked of one server. */
export interface Hop {
  readonly url: URL;
  readonly method: string;
  readonly headers: Headers;
  readonly body: Uint8Array | null;
}

/** Redirects that are followed for one fetch, as the standard says. */
export const MAX_REDIRECTS = 20;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const OF_THE_BODY = ["content-encoding", "content-language", "content-location", "content-type", "content-length"];
/** What is meant for one server only. */
const SECRETS = ["authorization", "proxy-authorization", "cookie", "host"];

/** The next hop after an answer with that status and `location`, or null if it is no redirect. */
export function nextHop(hop: Hop, status: number, location: string | null): Hop | null {
  if (!REDIRECTS.has(status) || location === null) return null;
  let url: URL;
  try {
    url = new URL(location, hop.url);
  } catch {
    throw new TypeError(`${hop.url.host} redirects to what is no URL`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new TypeError(`${hop.url.host} redirects to a URL of ${url.protocol}`);
  }
  if (url.username || url.password) throw new TypeError(`${hop.url.host} redirects to a URL with credentials in it`);
  if (url.hash === "") url.hash = hop.url.hash;

  const headers = new Headers(hop.headers);
  let { method, body } = hop;
  const post = (status === 301 || status === 302) && method === "POST";
  if (post || (status === 303 && method !== "GET" && method !== "HEAD")) {
    [method, body] = ["GET", null];
    for (const name of OF_THE_BODY) headers.delete(name);
  }
  if (url.origin !== hop.url.origin) for (const name of SECRETS) headers.delete(name);
  return { url, method, headers, body };
}
