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
  const name = property(error, "name");
  const message = property(error, "message");
  return message === "" ? name || "Error" : `${name || "Error"}: ${message}`;
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
  return attempt(() => `${error.name}: ${error.message}`, "an error");
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
  if (Array.isArray(value)) return `[${Array.from(value, inner).join(",")}]`;
  if (value instanceof Map) return `Map {${Array.from(value, ([key, item]) => `${inner(key)} => ${inner(item)}`).join(", ")}}`;
  if (value instanceof Set) return `Set {${Array.from(value, inner).join(", ")}}`;
  if (value instanceof RegExp || value instanceof String || value instanceof Number || value instanceof Boolean) return String(value);
  // A date that is none has no JSON.
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "[invalid date]" : inner(value.toISOString());
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") return inner(toJSON.call(value, ""));
  return fields(value, inner);
}

/** An error in one line, with those that it holds and its cause. */
function error(value: Error, inner: (part: unknown) => string): string {
  const { errors, cause } = value as { errors?: unknown; cause?: unknown };
  const held = Array.isArray(errors) ? ` (${errors.map(inner).join("; ")})` : "";
  return headline(value) + held + (cause === undefined ? "" : ` (caused by ${inner(cause)})`);
}

function fields(value: object, inner: (part: unknown) => string): string {
  const keys = Object.keys(value);
  // Its own text says more than nothing, where it has one.
  if (keys.length === 0 && typeof value.toString === "function" && value.toString !== Object.prototype.toString) return String(value);
  const shown = keys.map((key) => {
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
