/** One request and its response, over `wasi:http/outgoing-handler`. */
import outgoing from "wasi:http/outgoing-handler@0.2.12";
import types from "wasi:http/types@0.2.12";
import io from "wasi:io/poll@0.2.12";
import { decodeUtf8Lossy, encodeUtf8, joined, wellFormed } from "../bytes.ts";
import type { Pollable } from "../host.ts";
import { whenReady } from "../scheduler.ts";
import type { AbortSignal } from "./abort.ts";
import { failure } from "./failure.ts";
import { Headers } from "./headers.ts";
import type { Hop } from "./redirect.ts";
import {
  payload,
  type FutureIncomingResponse,
  type IncomingBody,
  type InputStream,
  type OutgoingBody,
  type OutgoingRequest,
  type Variant,
} from "./wasi.ts";

/** A response of which the body has not been read yet. */
export interface Received {
  readonly status: number;
  readonly headers: Headers;
  /** The body; once. */
  readonly read: () => Promise<Uint8Array>;
  /** In place of `read`: nobody wants the body. */
  readonly close: () => void;
}

/** Bytes that are read at once; a stream hands over what it has, and hardly ever has more. */
const CHUNK = 64 << 10;

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]);

/** Sends `hop`. Rejects with a TypeError, or with the signal's reason. */
export async function exchange(hop: Hop, signal: AbortSignal): Promise<Received> {
  const explain = (error: unknown) => failure(hop, error);
  const [request, body] = attempt(explain, () => prepare(hop));
  const future = attempt(explain, () => outgoing.handle(request, null));
  try {
    // Beside the response: a server may answer before it has read everything. Why writing failed, the answer says better.
    if (body) void send(body, hop.body!, signal).catch(() => {});
    await ready(future, signal);
    return attempt(explain, () => receive(future, signal, explain));
  } finally {
    future[Symbol.dispose]();
  }
}

function prepare({ url, method, headers, body }: Hop): [OutgoingRequest, OutgoingBody | undefined] {
  const sent = new Headers(headers);
  // WASI derives it from the authority, and refuses one of our own.
  sent.delete("host");
  if (!sent.has("accept")) sent.set("accept", "*/*");
  // Some servers refuse requests that don't say who asks.
  if (!sent.has("user-agent")) sent.set("user-agent", "brrr");
  // Unasked for it would be sent in chunks, which not every server takes.
  if (body || method === "POST" || method === "PUT") sent.set("content-length", String(body?.length ?? 0));
  const request = new types.OutgoingRequest(types.Fields.fromList([...sent].map(([name, value]) => [name, encodeUtf8(value)])));
  request.setMethod(METHODS.has(method) ? { tag: method.toLowerCase() } : { tag: "other", val: wellFormed(method) });
  request.setScheme({ tag: url.protocol === "https:" ? "HTTPS" : "HTTP" });
  request.setAuthority(wellFormed(url.host));
  request.setPathWithQuery(wellFormed(url.pathname + url.search));
  return [request, body?.length ? request.body() : undefined];
}

async function send(body: OutgoingBody, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  const stream = body.write();
  try {
    for (let sent = 0; sent < bytes.length; ) {
      const room = Number(stream.checkWrite());
      if (room === 0) await ready(stream, signal);
      else {
        stream.write(bytes.subarray(sent, sent + room));
        sent += room;
      }
    }
  } finally {
    stream[Symbol.dispose]();
  }
  types.OutgoingBody.finish(body, null);
}

function receive(future: FutureIncomingResponse, signal: AbortSignal, explain: (error: unknown) => Error): Received {
  const result = future.get();
  if (result?.tag !== "ok") throw new Error("a response that is ready is not there");
  if (result.val.tag === "err") throw result.val.val;
  const response = result.val.val;
  const fields = response.headers();
  const headers = new Headers(fields.entries().map(([name, value]) => [name, decodeUtf8Lossy(value)] as const));
  fields[Symbol.dispose]();
  const status = response.status();
  const body = response.consume();
  response[Symbol.dispose]();
  return { status, headers, read: () => read(body, signal, explain), close: () => body[Symbol.dispose]() };
}

async function read(body: IncomingBody, signal: AbortSignal, explain: (error: unknown) => Error): Promise<Uint8Array> {
  const stream = body.stream();
  const chunks: Uint8Array[] = [];
  try {
    for (;;) {
      const chunk = next(stream, explain);
      if (chunk === null) return joined(chunks);
      if (chunk.length > 0) chunks.push(chunk);
      else await ready(stream, signal);
    }
  } finally {
    stream[Symbol.dispose]();
    body[Symbol.dispose]();
  }
}

/** What has come: nothing yet is empty, null is the end. */
function next(stream: InputStream, explain: (error: unknown) => Error): Uint8Array | null {
  try {
    return stream.read(CHUNK);
  } catch (error) {
    const { tag, val } = payload(error) as Variant;
    if (tag === "closed") return null;
    if (tag !== "last-operation-failed") throw error;
    throw explain(types.httpErrorCode(val) ?? (val as { toDebugString(): string }).toDebugString());
  }
}

/** Waits until there is something to be done, or the signal is given. */
function ready(source: { subscribe(): Pollable }, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const stop = () => {
      forget();
      reject(signal.reason);
    };
    const forget = whenReady(source.subscribe(), io.poll, () => {
      signal.removeEventListener("abort", stop);
      resolve();
    });
    signal.addEventListener("abort", stop);
  });
}

function attempt<T>(explain: (error: unknown) => Error, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw explain(error);
  }
}
