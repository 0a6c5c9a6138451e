/** The web's `structuredClone`. */
import { exception } from "./exception.ts";

const ERRORS = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];

/** A deep copy, with cycles and shared parts as they are. What can't be copied (a function, a symbol, a promise) is refused. */
export function structuredClone<T>(value: T, options: { transfer?: readonly unknown[] } = {}): T {
  const copies = new Map<object, unknown>();
  for (const each of options.transfer ?? []) {
    if (!isBuffer(each)) throw refused("what is transferred is no ArrayBuffer");
    const { transfer } = each as { transfer?(): ArrayBuffer };
    copies.set(each, transfer ? transfer.call(each) : each.slice(0));
  }
  return clone(value, copies) as T;
}

function clone(value: unknown, copies: Map<object, unknown>): unknown {
  if (typeof value === "function" || typeof value === "symbol") throw refused(`a ${typeof value} can't be cloned`);
  if (typeof value !== "object" || value === null) return value;
  if (copies.has(value)) return copies.get(value);
  const remember = <C>(copy: C) => (copies.set(value, copy), copy);
  const inner = (part: unknown) => clone(part, copies);

  if (Array.isArray(value)) return fields(value, remember(new Array<unknown>(value.length)), inner);
  if (value instanceof Date) return remember(new Date(value.getTime()));
  if (value instanceof RegExp) return remember(new RegExp(value.source, value.flags));
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return remember(Object(value.valueOf()));
  if (isBuffer(value)) return remember(value.slice(0));
  if (ArrayBuffer.isView(value)) return remember(view(value, inner(value.buffer) as ArrayBuffer));
  if (value instanceof Map) {
    const copy = remember(new Map<unknown, unknown>());
    for (const [key, item] of [...value]) copy.set(inner(key), inner(item));
    return copy;
  }
  if (value instanceof Set) {
    const copy = remember(new Set<unknown>());
    for (const item of [...value]) copy.add(inner(item));
    return copy;
  }
  if (value instanceof Error) return error(value, remember, inner);
  const name = tag(value);
  if (name !== "Object") throw refused(`a ${name} can't be cloned`);
  return fields(value, remember({}), inner);
}

function tag(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

/** By its tag: it may be of another world, as in Node's tests. */
function isBuffer(value: unknown): value is ArrayBuffer {
  return tag(value) === "ArrayBuffer";
}

function fields(from: object, to: object, inner: (part: unknown) => unknown): object {
  for (const key of Object.keys(from)) {
    // Not by assignment: a key "__proto__" is a key.
    const value = inner((from as Record<string, unknown>)[key]);
    Object.defineProperty(to, key, { value, writable: true, enumerable: true, configurable: true });
  }
  return to;
}

function view(value: ArrayBufferView, buffer: ArrayBuffer): ArrayBufferView {
  const type = value.constructor as new (buffer: ArrayBuffer, offset: number, length: number) => ArrayBufferView;
  const length = value instanceof DataView ? value.byteLength : (value as Uint8Array).length;
  return new type(buffer, value.byteOffset, length);
}

function error(value: Error, remember: <C>(copy: C) => C, inner: (part: unknown) => unknown): Error {
  const type = ERRORS.find(({ name }) => name === value.name) ?? Error;
  const copy = remember(new type(value.message));
  for (const key of ["stack", "cause"] as const) {
    if (Object.hasOwn(value, key)) Object.defineProperty(copy, key, { value: inner(value[key]), writable: true, configurable: true });
  }
  return copy;
}

function refused(message: string): Error {
  return exception("DataCloneError", message);
}
