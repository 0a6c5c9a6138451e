/**
 * The JSON codec of the TypeScript peer: what a payload and a result look like as bytes. Byte for byte
 * the peer's, so that results in a shared store are found by either (tests/support/vectors/json_*_typescript.json). What
 * the peer would silently make something else of is refused.
 */
import { decodeUtf8, encodeUtf8 } from "./bytes.ts";
import { checkJson, NotJson, sortedArgs } from "./json.ts";
import { parseExact } from "./numbers.ts";

/**
 * The payload of a call with `args`. Throws a NotJson for what JSON can't hold. The peer's hash of it is the
 * host's to derive (`hash-of` in app.ts): SHA-256 in an interpreter takes longer than the rest of a run.
 */
export function encodeArgs(args: readonly unknown[]): Uint8Array {
  return encodeUtf8(JSON.stringify(sortedArgs(args)));
}

/** The arguments of a payload: the TypeScript peer's argument list, or Python's `[kwargs]`, which is one with one object. */
export function decodeArgs(payload: Uint8Array): unknown[] {
  const args = parse(decodeUtf8(payload));
  if (Array.isArray(args)) return args;
  throw new TypeError(`the payload is not a JSON list, but a JSON ${args === null ? "null" : typeof args}`);
}

function parse(payload: string): unknown {
  try {
    // One argument, an object of named ones, is the usual form: then its keys are the places.
    return parseExact(payload, (all) => (Array.isArray(all) && all.length === 1 ? all[0] : all));
  } catch (error) {
    if (error instanceof NotJson) throw error;
    throw new TypeError(`the payload is not a JSON list: ${(error as Error).message}`);
  }
}

/**
 * A handler's result as bytes. No value at all is `null`, as in every other language. (The peer stores no bytes then,
 * which no reader of JSON can read, itself included.)
 */
export function encodeResult(result: unknown): Uint8Array {
  checkJson(result);
  return encodeUtf8(JSON.stringify(result) ?? "null");
}

/** The result in bytes that a handler of any language stored. */
export function decodeResult(bytes: Uint8Array): unknown {
  return bytes.length === 0 ? undefined : parseExact(decodeUtf8(bytes));
}
