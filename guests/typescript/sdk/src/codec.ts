/**
 * The JSON codec of the TypeScript peer: what a payload and a result look like as bytes. Byte for byte
 * the peer's, so that results in a shared store are found by either (tests/support/vectors/json_*_typescript.json).
 */
import { decodeUtf8, encodeUtf8 } from "./bytes.ts";

/**
 * The payload of a call with `args`. Throws what JSON.stringify throws (a BigInt, a cycle). The peer's hash of it is the
 * host's to derive (`hash-of` in app.ts): SHA-256 in an interpreter takes longer than the rest of a run.
 */
export function encodeArgs(args: readonly unknown[]): Uint8Array {
  return encodeUtf8(JSON.stringify(sortKeys(args)));
}

/** The arguments of a payload: the TypeScript peer's argument list, or Python's `[kwargs]`, which is one with one object. */
export function decodeArgs(payload: Uint8Array): unknown[] {
  const args: unknown = JSON.parse(decodeUtf8(payload));
  if (!Array.isArray(args)) throw new TypeError(`it is a JSON ${args === null ? "null" : typeof args}`);
  return args;
}

/** A handler's result as bytes; `undefined` is the empty value, as with the peer. */
export function encodeResult(result: unknown): Uint8Array {
  const text: string | undefined = JSON.stringify(result);
  return text === undefined ? new Uint8Array(0) : encodeUtf8(text);
}

/** The result in bytes that a handler of any language stored. */
export function decodeResult(bytes: Uint8Array): unknown {
  return bytes.length === 0 ? undefined : JSON.parse(decodeUtf8(bytes));
}

/**
 * A copy whose objects have their keys in UTF-16 order, at every depth. Only own enumerable keys count, hence a Map or a
 * Date becomes `{}`; that is what the peer does, and changing it would change call hashes.
 */
function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (value === null || typeof value !== "object") return value;
  const source = value as Record<string, unknown>;
  // fromEntries defines own properties, so that a key "__proto__" stays a key.
  return Object.fromEntries(
    Object.keys(source)
      .sort()
      .map((key) => [key, sortKeys(source[key])]),
  );
}
