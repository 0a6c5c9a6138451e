import { wellFormed } from "./bytes.ts";
import { decodeResult, encodeResult } from "./codec.ts";
import type { Failure, FailureKind } from "./host.ts";
import { attempt, isError, property, showShort } from "./inspect.ts";

/**
 * A called task ended without a value. Catch it to go on; uncaught, it fails the calling task too, with the same
 * first cause, and without that task being retried for it.
 */
export class CallFailed extends Error {
  override readonly name = "CallFailed";
  /** Why there is no value: "error" for the handler's own errors, "rejected" for a promise that was. */
  readonly kind: FailureKind;
  /** The task that failed. */
  readonly task: string;
  /** How often its handler was run. */
  readonly attempts: number;
  /** One line a call, from the failed one down to the first cause. */
  readonly chain: readonly string[];
  /** What the handler attached to its error (`details` of Permanent and Retryable). Undefined: nothing. */
  readonly details: any;

  constructor(readonly failure: Failure) {
    super(failure.message);
    this.details = failure.details ? attempt(() => decodeResult(failure.details!), undefined) : undefined;
    this.kind = failure.kind;
    this.task = failure.task;
    this.attempts = failure.attempts;
    this.chain = failure.chain;
  }
}

/** What an error can be made with, besides its message. */
export interface ErrorDetails extends ErrorOptions {
  /** What a caller's program can read of the error, in `CallFailed.details`: any JSON value. */
  details?: unknown;
}

/**
 * Thrown by a handler whose task will fail however often it is run: it is not retried. Any other error is, as often as
 * the options of the call or its task say.
 */
export class Permanent extends Error {
  override readonly name: string = "Permanent";
  readonly details: unknown;

  constructor(message?: string, options: ErrorDetails = {}) {
    super(message, options);
    this.details = options.details;
  }
}

/** Thrown by a handler whose task may succeed if it is run again, as after any error; it can have details. */
export class Retryable extends Error {
  override readonly name: string = "Retryable";
  readonly details: unknown;

  constructor(message?: string, options: ErrorDetails = {}) {
    super(message, options);
    this.details = options.details;
  }
}

/** An error's details as bytes, and what is wrong with them where they are not JSON. */
export function encodeDetails(details: unknown): { bytes: Uint8Array | null; fault: string } {
  if (details === undefined) return { bytes: null, fault: "" };
  try {
    return { bytes: encodeResult(details), fault: "" };
  } catch (error) {
    return { bytes: null, fault: `\nthe error's details are not JSON: ${isError(error) ? property(error, "message") : showShort(error)}` };
  }
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
