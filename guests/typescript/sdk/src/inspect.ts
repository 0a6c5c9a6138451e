/**
 * Any value as text for a person. None of it throws: what is shown may be a proxy, have a cycle, or a getter that fails.
 */
import { isPromise } from "./promise.ts";

/** Objects within objects that are shown. */
const DEPTH = 40;

/** Values that are shown of one, in a line of output and in an error: what is tied to itself often has no end. */
const VALUES = 100_000;
const VALUES_IN_ERRORS = 1000;
let left = 0;

/** Text as it is, the rest as JSON, and words for what JSON has none for: `{"n":10n,"self":[circular]}`. */
export function show(value: unknown): string {
  return typeof value === "string" ? value : showUpTo(VALUES, value);
}

/** The same, shorter: as part of an error. */
export function showShort(value: unknown): string {
  return typeof value === "string" ? value : showUpTo(VALUES_IN_ERRORS, value);
}

function showUpTo(values: number, value: unknown): string {
  left = values;
  return inspect(value, []);
}

function inspect(value: unknown, above: readonly unknown[]): string {
  if (left-- <= 0) return "[…]";
  try {
    return typeof value === "object" && value !== null ? object(value, above) : primitive(value);
  } catch (error) {
    return `[it can't be shown: ${reason(error)}]`;
  }
}

/** Is it an error? Also of another world, which has an Error of its own. */
export function isError(value: unknown): value is Error {
  if (typeof value !== "object" || value === null) return false;
  return attempt(() => value instanceof Error || Object.prototype.toString.call(value) === "[object Error]", false);
}

/** `<name>: <message>` of an error. */
export function headline(error: Error): string {
  const name = nameOf(error);
  const message = property(error, "message");
  // Of a CallFailed, which task it was.
  const task = attempt(() => (error.name === "CallFailed" ? (error as { task?: unknown }).task : undefined), undefined);
  if (typeof task === "string") return `${name}: task ${task} failed: ${message}`;
  return message === "" ? name : `${name}: ${message}`;
}

/** A class of errors that sets no name of its own is known by the name of the class. */
function nameOf(error: Error): string {
  const name = property(error, "name") || "Error";
  if (name !== "Error") return name;
  const own = attempt(() => error.constructor.name, "");
  return typeof own === "string" && own !== "" && own !== "Object" ? own : name;
}

/** A property of an error as text; a getter that fails is said to. */
export function property(error: Error, key: "name" | "message" | "stack"): string {
  try {
    const value: unknown = error[key];
    return value === undefined || value === null ? "" : showShort(value);
  } catch (failure) {
    return `[its ${key} can't be read: ${reason(failure)}]`;
  }
}

/** What `get` gives, or `otherwise` where it throws. */
export function attempt<T>(get: () => T, otherwise: T): T {
  try {
    return get();
  } catch {
    return otherwise;
  }
}

/** Why something could not be shown. That error may be as bad; then only that much is said. */
function reason(error: unknown): string {
  if (!isError(error)) return attempt(() => String(error), "an error");
  return attempt(() => `${nameOf(error)}: ${error.message}`, "an error");
}

function primitive(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return `[function${value.name ? ` ${value.name}` : ""}]`;
  return Object.is(value, -0) ? "-0" : String(value);
}

function object(value: object, above: readonly unknown[]): string {
  if (above.includes(value)) return "[circular]";
  if (above.length >= DEPTH) return "[…]";
  const inner = (part: unknown) => inspect(part, [...above, value]);
  if (isError(value)) return error(value, inner);
  if (isPromise(value)) return "[promise]";
  if (Array.isArray(value)) return `[${parts(value, inner).join(",")}]`;
  if (value instanceof Map) return `Map {${parts(value, ([key, item]) => `${inner(key)} => ${inner(item)}`).join(", ")}}`;
  if (value instanceof Set) return `Set {${parts(value, inner).join(", ")}}`;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    return `${value.constructor.name} [${parts(value as Uint8Array, inner).join(",")}]`;
  }
  if ([RegExp, String, Number, Boolean].some((type) => value instanceof type)) return String(value);
  // A date that is none has no JSON.
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "[invalid date]" : inner(value.toISOString());
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") return inner(toJSON.call(value, ""));
  return fields(value, inner);
}

/** What `shown` gives for each, as far as there is room. */
function parts<T>(items: Iterable<T>, shown: (item: T) => string): string[] {
  const all: string[] = [];
  for (const item of items) {
    if (left <= 0) return [...all, "…"];
    all.push(shown(item));
  }
  return all;
}

/** An error in one line, with those that it holds and its cause. */
function error(value: Error, inner: (part: unknown) => string): string {
  const { errors, cause } = value as { errors?: unknown; cause?: unknown };
  const held = Array.isArray(errors) ? ` (${parts(errors, inner).join("; ")})` : "";
  return headline(value) + held + (cause === undefined ? "" : ` (caused by ${inner(cause)})`);
}

function fields(value: object, inner: (part: unknown) => string): string {
  const keys = Object.keys(value);
  // Its own text says more than nothing, where it has one.
  const own = typeof value.toString === "function" && value.toString !== Object.prototype.toString;
  if (keys.length === 0 && own) return String(value);
  const shown = parts(keys, (key) => {
    let part: string;
    try {
      part = inner((value as Record<string, unknown>)[key]);
    } catch (error) {
      part = `[its getter failed: ${reason(error)}]`;
    }
    return `${JSON.stringify(key)}:${part}`;
  });
  return `{${shown.join(",")}}`;
}
