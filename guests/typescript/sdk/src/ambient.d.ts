/// <reference lib="es2024.promise" />
/// <reference lib="es2025.promise" />
/// <reference lib="esnext.array" />
/// <reference lib="esnext.disposable" />
/// <reference path="./wit.d.ts" />
/**
 * The globals that a handler has beyond the language itself. Installed by globals.ts, or, from `fetch` on, put into a bundle
 * that uses them.
 */

/** The lines appear on the worker's output. */
declare var console: typeof import("./console.ts").consoleLike;

/** Durable in a handler that may call: while nothing else can go on, the handler does not exist. A leaf waits where it is. */
declare function setTimeout<A extends unknown[]>(callback: (...args: A) => void, ms?: number, ...args: A): number;
declare function clearTimeout(id: number | undefined): void;
/** The same, again and again, until it is cleared. */
declare function setInterval<A extends unknown[]>(callback: (...args: A) => void, ms?: number, ...args: A): number;
declare function clearInterval(id: number | undefined): void;
declare function setImmediate<A extends unknown[]>(callback: (...args: A) => void, ...args: A): number;
declare function clearImmediate(id: number | undefined): void;
declare function queueMicrotask(job: () => void): void;

/** Text with a code unit for each byte, as base64, and back. */
declare function btoa(latin: string): string;
declare function atob(base64: string): string;

declare var TextEncoder: typeof import("./text.ts").Utf8Encoder;
type TextEncoder = import("./text.ts").Utf8Encoder;
declare var TextDecoder: typeof import("./text.ts").Decoder;
type TextDecoder = import("./text.ts").Decoder;

interface Crypto {
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
}
/** The same values in every replay of a call; real ones in a leaf. */
declare var crypto: Crypto;

declare var performance: { now(): number };

/** Sends an HTTP request, where the worker allows it (`run --allow-http HOST`). For leaf tasks. */
declare var fetch: typeof import("./web/fetch.ts").fetch;
declare var Headers: typeof import("./web/headers.ts").Headers;
type Headers = import("./web/headers.ts").Headers;
declare var Request: typeof import("./web/request.ts").Request;
type Request = import("./web/request.ts").Request;
type RequestInit = import("./web/request.ts").RequestInit;
declare var Response: typeof import("./web/response.ts").Response;
type Response = import("./web/response.ts").Response;
declare var AbortController: typeof import("./web/abort.ts").AbortController;
type AbortController = import("./web/abort.ts").AbortController;
declare var AbortSignal: typeof import("./web/abort.ts").AbortSignal;
type AbortSignal = import("./web/abort.ts").AbortSignal;

declare var structuredClone: typeof import("./web/clone.ts").structuredClone;
declare var Event: typeof import("./web/events.ts").Event;
type Event = import("./web/events.ts").Event;
declare var CustomEvent: typeof import("./web/events.ts").CustomEvent;
type CustomEvent<T = any> = import("./web/events.ts").CustomEvent<T>;
declare var EventTarget: typeof import("./web/events.ts").EventTarget;
type EventTarget = import("./web/events.ts").EventTarget;

declare var URL: typeof import("./web/url.ts").URL;
type URL = import("./web/url.ts").URL;
declare var URLSearchParams: typeof import("./web/url.ts").URLSearchParams;
type URLSearchParams = import("./web/url.ts").URLSearchParams;

/** The environment variables that the worker gives (`run --env KEY`), and nothing else of Node's `process`. */
declare var process: { readonly env: Readonly<Record<string, string | undefined>> };
