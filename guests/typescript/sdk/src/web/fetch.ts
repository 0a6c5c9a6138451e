/** The web's `fetch`, over wasi:http. */
import { requireRun } from "../host.ts";
import { exchange } from "./exchange.ts";
import { MAX_REDIRECTS, nextHop, type Hop } from "./redirect.ts";
import { Request, type RequestInit } from "./request.ts";
import { Response } from "./response.ts";
import { URL } from "./url.ts";

/**
 * Sends a request; gives the response once its head is there, whatever its status. Rejects with a TypeError when there is
 * none: the host may not be asked (the message says which and by what flag it may), it can't be reached, the answer broke
 * off. For leaf tasks: elsewhere it is sent again in every replay.
 */
export async function fetch(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
  requireRun("fetch");
  const request = new Request(input, init);
  const { signal, redirect } = request;
  signal.throwIfAborted();
  const body = request.hasBody ? await request.bytes() : null;
  let hop: Hop = { url: new URL(request.url), method: request.method, headers: request.headers, body };
  for (let redirects = 0; ; redirects++) {
    const { status, headers, read, close } = await exchange(hop, signal);
    const next = redirect === "manual" ? null : nextHop(hop, status, headers.get("location"));
    if (next === null) {
      return Response.received({ status, headers }, hop.url.href, redirects > 0, read);
    }
    close();
    if (redirect === "error") throw new TypeError(`${hop.url.host} answered with a redirect (status ${status})`);
    if (redirects === MAX_REDIRECTS) throw new TypeError(`more than ${MAX_REDIRECTS} redirects, the last one by ${hop.url.host}`);
    hop = next;
  }
}
