/** The two functions that the host calls, in plain terms; component.ts connects them to the WIT. */
import { App } from "./app.ts";
import { decodeArgs, encodeResult } from "./codec.ts";
import { CallFailed, Permanent } from "./errors.ts";
import { findHandler, handlers, type Registered } from "./handler.ts";
import type { Failure, Request } from "./host.ts";
import { run } from "./scheduler.ts";
import { describeError } from "./trace.ts";

/** WIT `handler-error`. */
export type HandlerError =
  | { readonly tag: "retryable" | "permanent"; readonly val: string }
  | { readonly tag: "child"; readonly val: Failure };

const milliseconds = (seconds: number | undefined) => (seconds === undefined ? null : Math.round(seconds * 1000));

/** WIT `describe`. */
export function describe() {
  return handlers().map(({ name, options }) => ({
    name,
    options: {
      timeoutMs: milliseconds(options.timeout),
      maxRetries: options.maxRetries ?? null,
      retryDelayMs: milliseconds(options.retryDelay),
      leaf: options.leaf ?? false,
      extra: [["sdk", "typescript"]],
    },
  }));
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
  if (error instanceof CallFailed) return { tag: "child", val: error.failure };
  // All of several alternatives failed: the first stands for them.
  if (error instanceof AggregateError && error.errors.length > 0 && error.errors.every((e) => e instanceof CallFailed)) {
    return { tag: "child", val: (error.errors[0] as CallFailed).failure };
  }
  if (error instanceof Permanent) return { tag: "permanent", val: error.message };
  return { tag: "retryable", val: describeError(error) };
}
