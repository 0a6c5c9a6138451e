/** Errors as text: all that they say, and where in the user's code they come from. */
import missing from "./missing.json" with { type: "json" };
import { attempt, headline, isError, property, showShort } from "./inspect.ts";

/** Frames of a stack that are shown: the place, and how one got there. */
const FRAMES = 6;

/** Errors that are shown of all that one error holds. */
const ERRORS = 20;

/**
 * `[sources, for each line of the bundle [index of the source, line there] or 0]`, appended by the build. Only the
 * user's own files are in it, so frames of the SDK and of libraries are left out.
 */
declare const __brrrLines: readonly [readonly string[], readonly (readonly [number, number] | 0)[]] | undefined;

/**
 * The error's type and message, and the last of the user's own frames; then the same of the errors that it holds and of
 * its causes. Never throws.
 */
export function describeError(error: unknown): string {
  return describe(error, isError(error) ? "" : "thrown: ").join("\n");
}

/** What an error's own message doesn't say: the errors that it holds, and its causes. A line or more each. */
export function describeCauses(error: Error): string[] {
  return below(error, { seen: new Set([error]), left: ERRORS });
}

/** Errors that have been shown, and how many more may be. */
interface Budget {
  readonly seen: Set<unknown>;
  left: number;
}

function describe(error: unknown, prefix: string, budget: Budget = { seen: new Set(), left: ERRORS }): string[] {
  if (!isError(error)) return [prefix + showShort(error)];
  if (budget.seen.has(error)) return [`${prefix}${headline(error)} [circular]`];
  if (budget.left-- <= 0) return [];
  budget.seen.add(error);
  return [prefix + headline(error) + hint(error), ...userFrames(property(error, "stack")), ...below(error, budget)];
}

function below(error: Error, budget: Budget): string[] {
  // `errors` is AggregateError's; `error` and `suppressed` are SuppressedError's.
  const holds = error as { errors?: unknown; error?: unknown; suppressed?: unknown };
  const errors = attempt(() => (Array.isArray(holds.errors) ? [...(holds.errors as unknown[])] : []), []);
  const lines = errors.flatMap((each, i) => describe(each, `${i + 1} of ${errors.length}: `, budget));
  if (attempt(() => "suppressed" in error, false)) {
    lines.push(...describe(attempt(() => holds.error, undefined), "error: ", budget));
    lines.push(...describe(attempt(() => holds.suppressed, undefined), "suppressed: ", budget));
  }
  if (attempt(() => "cause" in error && error.cause !== undefined, false)) {
    lines.push(...describe(cause(error), "caused by: ", budget));
  }
  return lines;
}

function cause(error: Error): unknown {
  try {
    return error.cause;
  } catch (failure) {
    return `[its cause can't be read: ${showShort(failure)}]`;
  }
}

/** What to do about a name that Node and browsers have, and a component has not. */
function hint(error: Error): string {
  if (property(error, "name") !== "ReferenceError") return "";
  const [, name = ""] = /^'?(\w+)'? is not defined/.exec(property(error, "message")) ?? [];
  return Object.hasOwn(missing, name) ? ` (${missing[name as keyof typeof missing]})` : "";
}

function userFrames(stack: string): string[] {
  if (typeof __brrrLines === "undefined") return [];
  const [sources, lines] = __brrrLines;
  const frames: string[] = [];
  for (const frame of stack.split("\n")) {
    const match = /^\s*at (?:(\S+).*? \()?\S*?:(\d+)(?::\d+)?\)?$/.exec(frame);
    const origin = match && lines[Number(match[2]) - 1];
    if (!origin) continue;
    const place = `${sources[origin[0]]}:${origin[1]}`;
    const shown = (match[1] ?? "<anonymous>") === "<anonymous>" ? `  at ${place}` : `  at ${match[1]} (${place})`;
    // Functions in one line are one place.
    if (shown !== frames.at(-1)) frames.push(shown);
    if (frames.length === FRAMES) break;
  }
  return frames;
}
