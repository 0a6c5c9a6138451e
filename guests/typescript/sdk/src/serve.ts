/** The two functions that the host calls, in plain terms; component.ts connects them to the WIT. */
import { App } from "./app.ts";
import { decodeArgs, encodeResult } from "./codec.ts";
import { CallFailed, Permanent } from "./errors.ts";
import { findHandler, handlers, type Registered } from "./handler.ts";
import type { Failure, Request } from "./host.ts";
import { taskOptions } from "./options.ts";
import { run } from "./scheduler.ts";
import { describeError } from "./trace.ts";

/** WIT `handler-error`. */
export type HandlerError =
  | { readonly tag: "retryable" | "permanent"; readonly val: string }
  | { readonly tag: "child"; readonly val: Failure };

/** WIT `describe`. */
export function describe() {
  return handlers().map(({ name, options }) => ({ name, options: taskOptions(options) }));
}

/** WIT `handle`. Gives the result's bytes or throws a HandlerError. */
export function handle(request: Request): Uint8Array {
  try {
    const found = findHandler(request.task);
    if (found === undefined) throw new Permanent(`no handler for the task "${request.task}"`);
    return runHandler(found, request);
  } catch (error) {
    throw handlerError(error);
  }
}

function runHandler(found: Registered, request: Request): Uint8Array {
  const app = new App(request);
  const args = found.raw ? [request.payload] : permanentIfBad("the payload is not a JSON list of arguments", () => decodeArgs(request.payload));
  const result = run(() => found.run(app, ...args));
  if (!found.raw) return permanentIfBad("the result is not JSON", () => encodeResult(result));
  if (!(result instanceof Uint8Array)) throw new Permanent("a raw handler must return a Uint8Array");
  return result;
}

/** What can't be decoded or encoded now never can. */
function permanentIfBad<T>(what: string, codec: () => T): T {
  try {
    return codec();
  } catch (error) {
    throw new Permanent(`${what}: ${(error as Error).message}`);
  }
}

function handlerError(error: unknown): HandlerError {
  if (error instanceof Permanent) return { tag: "permanent", val: error.message };
  if (error instanceof CallFailed) return { tag: "child", val: error.failure };
  // All of several alternatives failed (Promise.any): if none of them may pass, the first stands for them.
  if (error instanceof AggregateError && error.errors.length > 0) {
    const alternatives = error.errors.map(handlerError);
    if (alternatives.every(({ tag }) => tag !== "retryable")) return alternatives[0]!;
  }
  return { tag: "retryable", val: describeError(error) };
}
