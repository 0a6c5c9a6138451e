/** The resources of WASI behind `fetch` and files: wit/deps as JavaScript sees it. */
import type { Pollable } from "../host.ts";

/** The error of a WIT `result`: the runtime throws an Error with it as its payload. Any other error is given as it is. */
export function payload(error: unknown): unknown {
  return error instanceof Error && "payload" in error ? error.payload : error;
}

interface Resource {
  [Symbol.dispose](): void;
}

/** WIT `fields`. */
export interface Fields extends Resource {
  entries(): [name: string, value: Uint8Array][];
}

export type Variant = { readonly tag: string; readonly val?: unknown };

/** WIT `input-stream`. */
export interface InputStream extends Resource {
  read(length: number): Uint8Array;
  subscribe(): Pollable;
}

/** WIT `output-stream`. */
export interface OutputStream extends Resource {
  checkWrite(): number | bigint;
  write(bytes: Uint8Array): void;
  subscribe(): Pollable;
}

export interface OutgoingBody extends Resource {
  write(): OutputStream;
}

export interface OutgoingRequest extends Resource {
  body(): OutgoingBody;
  setMethod(method: Variant): void;
  setScheme(scheme: Variant): void;
  setAuthority(authority: string): void;
  setPathWithQuery(path: string): void;
}

export interface IncomingBody extends Resource {
  stream(): InputStream;
}

export interface IncomingResponse extends Resource {
  status(): number;
  headers(): Fields;
  consume(): IncomingBody;
}

type Result<T, E> = { readonly tag: "ok"; readonly val: T } | { readonly tag: "err"; readonly val: E };

export interface FutureIncomingResponse extends Resource {
  subscribe(): Pollable;
  get(): Result<Result<IncomingResponse, Variant>, void> | null;
}

/** `wasi:http/types`. */
export interface Types {
  Fields: { fromList(entries: [name: string, value: Uint8Array][]): Fields };
  OutgoingRequest: new (headers: Fields) => OutgoingRequest;
  OutgoingBody: { finish(body: OutgoingBody, trailers: null): void };
  httpErrorCode(error: unknown): Variant | null;
}

/** `wasi:http/outgoing-handler`. */
export interface OutgoingHandler {
  handle(request: OutgoingRequest, options: null): FutureIncomingResponse;
}

export interface DirectoryEntryStream extends Resource {
  readDirectoryEntry(): { readonly type: string; readonly name: string } | null;
}

/** WIT `descriptor`: an open file or folder. */
export interface Descriptor extends Resource {
  read(length: number, offset: number): [bytes: Uint8Array, end: boolean];
  write(bytes: Uint8Array, offset: number): number | bigint;
  readDirectory(): DirectoryEntryStream;
  openAt(
    pathFlags: { symlinkFollow: boolean },
    path: string,
    openFlags: { create: boolean; directory: boolean; exclusive: boolean; truncate: boolean },
    flags: Record<"read" | "write" | "fileIntegritySync" | "dataIntegritySync" | "requestedWriteSync" | "mutateDirectory", boolean>,
  ): Descriptor;
}
