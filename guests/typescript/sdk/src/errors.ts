import { wellFormed } from "./bytes.ts";
import type { Failure } from "./host.ts";
import { isError, property, showShort } from "./inspect.ts";

/**
 * A called task ended without a value. Catch it to go on; uncaught, it fails the calling task too, with the same
 * first cause, and without that task being retried for it.
 */
export class CallFailed extends Error {
  override readonly name = "CallFailed";
  /** error, trap, timeout, limit, cancelled, nondeterminism, cycle, unknown-task, dead-letter; more may come. */
  readonly kind: string;
  /** The task that failed. */
  readonly task: string;
  /** How often its handler was run. */
  readonly attempts: number;
  /** One line a call, from the failed one down to the first cause. */
  readonly chain: readonly string[];

  constructor(readonly failure: Failure) {
    super(failure.message);
    this.kind = failure.kind;
    this.task = failure.task;
    this.attempts = failure.attempts;
    this.chain = failure.chain;
  }
}

/**
 * Thrown by a handler whose task will fail however often it is run: it is not retried. Any other error is, as often as
 * the options of the call or its task say.
 */
export class Permanent extends Error {
  override readonly name: string = "Permanent";
}

/** A promise that was rejected, and that nothing handled, while the handler seemed to end well. */
export class Unhandled extends Error {
  override readonly name = "Unhandled";

  constructor(readonly reasons: readonly unknown[]) {
    super("a promise was rejected, and nothing handled it");
  }
}

/** The result of `action`. An error of it is a permanent one: what can't be written or read now never can. */
export function permanently<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new Permanent(`${what}: ${isError(error) ? property(error, "message") : showShort(error)}`);
  }
}

/** `text` as it is. Throws a TypeError if it is no text, or not of Unicode: as a name it would be another one outside. */
export function checkName(what: string, text: unknown): string {
  if (typeof text !== "string") throw new TypeError(`the ${what} is a text, not ${showShort(text)}`);
  if (wellFormed(text) === text) return text;
  throw new TypeError(`the ${what} ${JSON.stringify(text)} is no Unicode text: it has half of a character`);
}
