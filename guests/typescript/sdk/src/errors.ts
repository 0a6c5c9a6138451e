import type { Failure } from "./host.ts";

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
