/**
 * What JSON can't hold: it is refused, and its place is named, as JSON.stringify would make something else of it or leave
 * it out. What JSON.stringify leaves out of an object by the language's own rule, a key that is `undefined`, stays left out.
 */
import { calledTask, isPromise } from "./promise.ts";

/** A value of which the JSON would not be what was meant. */
export class NotJson extends TypeError {
  override readonly name = "NotJson";
}

/** Types with nothing that JSON.stringify sees: it makes `{}` of them. */
const EMPTY = [
  ...["Map", "Set", "WeakMap", "WeakSet", "WeakRef", "RegExp", "Error"],
  ...["ArrayBuffer", "SharedArrayBuffer", "DataView", "Generator", "AsyncGenerator"],
];
/** What to do about some of them. */
const TO_DO: Record<string, string> = {
  Map: "use Object.fromEntries(map)",
  Set: "use [...set]",
  Error: "use its message",
  Generator: "use [...it]",
};

/** Keys and indices from the value down to a part of it. */
type Path = (string | number)[];

/** Throws a NotJson if the JSON of `value` would not say what it is. */
export function checkJson(value: unknown): void {
  check(value, [], []);
}

/**
 * A copy of a call's arguments whose objects have their keys in UTF-16 order, at every depth: the form of the TypeScript
 * peer, on which the call's hash depends. Only own enumerable keys count there, so that `{}` would stand for every date and
 * for all else that has a `toJSON`: those are refused, too.
 */
export function sortedArgs(args: readonly unknown[]): unknown[] {
  // One argument, an object of named ones, is the usual form: then its keys are the places.
  return args.map((arg, i) => sorted(arg, args.length === 1 ? [] : [i], []));
}

function check(given: unknown, path: Path, above: object[]): void {
  if (isPlain(given)) return;
  refuseLoop(given as object, path, above);
  const { toJSON } = given as { toJSON?: unknown };
  const value: unknown = typeof toJSON === "function" ? toJSON.call(given, String(path.at(-1) ?? "")) : given;
  if (isPlain(value)) return;
  if (!isOrdinary(value)) refuse(value, path);
  const part = value as object;
  above.push(given as object);
  if (Array.isArray(part)) {
    for (let i = 0; i < part.length; i++) {
      const item: unknown = part[i];
      if (!isPlain(item)) checkPart(item, path, i, above);
    }
  } else {
    for (const key of Object.keys(part)) {
      const item = (part as Record<string, unknown>)[key];
      // Its own `toJSON` has been called.
      if (!isPlain(item) && !(key === "toJSON" && typeof item === "function")) checkPart(item, path, key, above);
    }
  }
  above.pop();
}

function checkPart(item: unknown, path: Path, key: string | number, above: object[]): void {
  path.push(key);
  check(item, path, above);
  path.pop();
}

function sorted(value: unknown, path: Path, above: object[]): unknown {
  if (isPlain(value)) return value;
  const part = value as object;
  // Where a program gave BigInt a `toJSON`, JSON.stringify uses it.
  if (typeof value === "bigint" && "toJSON" in Object(value)) return value;
  refuseLoop(part, path, above);
  if (!isOrdinary(part)) refuse(value, path);
  const inner = (key: string | number) => {
    path.push(key);
    const copy = sorted((part as Record<string | number, unknown>)[key], path, above);
    path.pop();
    return copy;
  };
  above.push(part);
  let copy: unknown;
  if (Array.isArray(part)) copy = Array.from(part, (_, i) => inner(i));
  else {
    const { toJSON } = part as { toJSON?: unknown };
    if (typeof toJSON === "function") {
      throw new NotJson(`${place(path)} is a ${tag(part)}, which a call's arguments can't hold: use its toJSON()`);
    }
    // fromEntries defines own properties, so that a key "__proto__" stays a key.
    copy = Object.fromEntries(
      Object.keys(part)
        .sort()
        .map((key) => [key, inner(key)]),
    );
  }
  above.pop();
  return copy;
}

/** Is it what JSON has, and holds nothing? `undefined` counts: it is left out, or `null`. */
function isPlain(value: unknown): boolean {
  switch (typeof value) {
    case "number":
      return value - value === 0; // neither NaN nor infinite
    case "object":
      return value === null;
    default:
      return typeof value === "string" || typeof value === "boolean" || value === undefined;
    case "bigint":
    case "function":
    case "symbol":
      return false;
  }
}

/** A list or an object of the usual kind, against which there is no objection. Most are, and this is quick to find out. */
function isOrdinary(part: unknown): boolean {
  if (typeof part !== "object" || part === null) return false;
  return Array.isArray(part) || (Object.getPrototypeOf(part) === Object.prototype && !("then" in part));
}

function refuse(value: unknown, path: Path): void {
  const why = objection(value);
  if (why !== undefined) throw new NotJson(`${place(path)} is ${why}`);
}

function refuseLoop(part: object, path: Path, above: object[]): void {
  if (above.includes(part)) throw new NotJson(`${place(path)} is an object that holds this very place (a cycle)`);
}

/** What JSON has against a value: what it is, and what to do. */
function objection(value: unknown): string | undefined {
  switch (typeof value) {
    case "number":
      return `${value}, which is no JSON`;
    case "bigint":
      return "a BigInt, which is no JSON: use text, String(value)";
    case "function":
      return "a function, which is no JSON: was it to be called?";
    case "symbol":
      return "a symbol, which is no JSON";
  }
  const part = value as object;
  if (isPromise(part)) {
    const task = calledTask(part);
    return task === undefined ? "a promise that was not awaited" : `the call of ${task}, which was not awaited`;
  }
  if (typeof (part as { then?: unknown }).then === "function") return "a promise that was not awaited";
  const name = tag(part);
  if (!EMPTY.includes(name) && !name.endsWith(" Iterator")) return undefined;
  const what = TO_DO[name];
  return `a ${name}, of which JSON holds nothing${what ? `: ${what}` : ""}`;
}

function tag(part: object): string {
  return Object.prototype.toString.call(part).slice("[object ".length, -1);
}

/** `a.b[1]`. Of the whole: `it`. */
export function place(path: Path): string {
  const step = (key: string | number) => {
    if (typeof key === "number") return `[${key}]`;
    return /^[\w$]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
  };
  const text = path.map(step).join("");
  return text === "" ? "it" : text.replace(/^\./, "");
}
