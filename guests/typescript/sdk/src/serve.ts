/** The two functions that the host calls, in plain terms; component.ts connects them to the WIT. */
import { App } from "./app.ts";
import { wellFormed } from "./bytes.ts";
import { decodeArgs, encodeResult } from "./codec.ts";
import { CallFailed, encodeDetails, Permanent, permanently, Retryable, Unhandled } from "./errors.ts";
import { findHandler, handlers, type Registered } from "./handler.ts";
import { host, type Failure, type FailureKind, type Request } from "./host.ts";
import { attempt, property } from "./inspect.ts";
import { taskPairs } from "./options.ts";
import { run, takeFindings } from "./scheduler.ts";
import { isValidator, validated } from "./schema.ts";
import { describeCauses, describeError } from "./trace.ts";

/** Name and version of the SDK that the component was built with (bin/bundle.mjs). */
declare const __brrrSdk: { readonly name: string; readonly version: string };

/** WIT `handler-error`. */
export type HandlerError =
  | { readonly tag: "retryable" | "permanent"; readonly val: ErrorInfo }
  | { readonly tag: "child"; readonly val: Failure };

/** WIT `error-info`. */
interface ErrorInfo {
  readonly message: string;
  readonly details: Uint8Array | null;
}

/** WIT `describe`. */
export function describe() {
  const tasks = handlers().map(({ name, options }) => ({ name, options: taskPairs(options) }));
  return { sdk: __brrrSdk.name, sdkVersion: __brrrSdk.version, tasks };
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
  const args = found.raw ? [request.payload] : permanently("the arguments can't be read", () => decodeArgs(request.payload));
  const { input } = found.options;
  const checked = isValidator(input) && !found.raw;
  const result = run(
    checked
      ? async () => found.run(app, await validated("the arguments are not valid", input, args[0]), ...args.slice(1))
      : () => found.run(app, ...args),
  );
  const bytes = found.raw ? result : permanently("the result is not JSON", () => encodeResult(result));
  if (!(bytes instanceof Uint8Array)) throw new Permanent("a raw handler must return a Uint8Array");
  for (const finding of takeFindings()) host().log("warn", `brrr: ${finding}`, []);
  return bytes;
}

/** Errors within errors that are looked into: one may hold itself. */
const DEPTH = 8;

function handlerError(error: unknown, depth = 0): HandlerError {
  // A proxy may throw when it is asked.
  const is = (type: abstract new (...args: never[]) => Error) => attempt(() => error instanceof type, false);
  if (is(Permanent)) return failed("permanent", permanentText(error as Permanent), (error as Permanent).details);
  if (is(CallFailed)) return { tag: "child", val: ofUnicode((error as CallFailed).failure) };
  if (is(Unhandled)) return unhandled(error as Unhandled);
  // All of several alternatives failed (Promise.any): if none of them may pass, the first stands for them.
  if (is(AggregateError) && depth < DEPTH) {
    const errors = attempt(() => [...(error as AggregateError).errors], []);
    const alternatives = errors.map((each) => handlerError(each, depth + 1));
    const [first] = alternatives;
    if (first && alternatives.every(({ tag }) => tag !== "retryable")) {
      return first.tag === "permanent" && errors.length > 1 ? failed("permanent", describeError(error)) : first;
    }
  }
  return failed("retryable", describeError(error), is(Retryable) ? (error as Retryable).details : undefined);
}

function failed(tag: "retryable" | "permanent", message: string, details?: unknown): HandlerError {
  const { bytes, fault } = encodeDetails(details);
  return { tag, val: { message: text(message + fault), details: bytes } };
}

function permanentText(error: Permanent): string {
  return [property(error, "message"), ...describeCauses(error)].join("\n");
}

/** The first of them says whether the call may be tried again. */
function unhandled({ message, reasons }: Unhandled): HandlerError {
  const first = handlerError(reasons[0]);
  if (first.tag === "child") return first;
  return failed(first.tag, [`${message}:`, ...reasons.map(describeError)].join("\n"));
}

/** What leaves the component is Unicode. */
const text = wellFormed;

/** A failure as it came; a handler may have made one itself. */
function ofUnicode({ kind, task, message, attempts, chain, details }: Failure): Failure {
  return {
    kind: text(kind) as FailureKind,
    task: text(task),
    message: text(message),
    attempts,
    chain: chain.map(text),
    details: details ?? null,
  };
}
