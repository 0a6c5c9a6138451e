/** The host as the SDK sees it: `component.ts` implements this with the WIT imports, tests with a fake. */
import type { Pair } from "./options.ts";

/** A call to another task (WIT `invocation`). */
export interface Invocation {
  readonly task: string;
  readonly payload: Uint8Array;
  readonly topic: string | null;
  readonly callHash: string | null;
  /** How the call is run, in place of what its task says. */
  readonly options: readonly Pair[];
}

/** Why a call ended without a value. A newer host may know more kinds. */
export type FailureKind =
  | "error"
  | "rejected"
  | "trap"
  | "timeout"
  | "limit"
  | "cancelled"
  | "nondeterminism"
  | "conflict"
  | "cycle"
  | "unknown-task"
  | "dead-letter";

/** A call that ended without a value (WIT `failure`). */
export interface Failure {
  readonly kind: FailureKind;
  readonly task: string;
  readonly message: string;
  /** How often the handler was run for it. */
  readonly attempts: number;
  /** One line a call, from the failed one down to the first cause. */
  readonly chain: string[];
  /** What the handler attached to its error, as it was encoded. */
  readonly details?: Uint8Array | null;
}

/** When a poll returns (WIT `want`). */
export type Want = { readonly tag: "all" | "progress" } | { readonly tag: "some"; readonly val: number };

export type Outcome = { readonly tag: "ok"; readonly val: Uint8Array } | { readonly tag: "err"; readonly val: Failure };

/** What this run was asked to do (WIT `request`). */
export interface Request {
  readonly task: string;
  readonly payload: Uint8Array;
  readonly callHash: string;
  /** The job on whose behalf the call is run. */
  readonly jobId: string;
  readonly topic: string;
  readonly attempt: number;
  /** Unix time by which the call must have ended: the job's deadline, if any; of a leaf also that of this run. */
  readonly deadlineMs: number | null;
}

export type Level = "trace" | "debug" | "info" | "warn" | "error";

/** Something of WASI that can be waited for. */
export interface Pollable {
  block(): void;
  [Symbol.dispose](): void;
}

export interface Host {
  /** WIT `tasks.poll`: returns when `want` has come true, or once it is `until` (Unix time in milliseconds). */
  poll(calls: readonly Invocation[], want: Want, until: number | null): (Outcome | null)[];
  log(level: Level, message: string, fields: readonly Pair[]): void;
  /** WIT `control.time-left-ms`. */
  timeLeftMs(): number;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Unix time in milliseconds. */
  unixTime(): number;
  /** Does not return in a run that has to wait: another run goes on when the time has come. A leaf sleeps where it is. */
  sleep(ms: number): void;
  /** What is ready after that time. */
  timer(ms: number): Pollable;
  randomBytes(length: number): Uint8Array;
}

let current: Host | undefined;

/** Sets the host; once, before any handler runs. */
export function setHost(host: Host): void {
  current = host;
}

/** Is there no host yet, because the module is being loaded while the component is built? */
export function building(): boolean {
  return current === undefined;
}

/** The host. Throws while there is none, which is when the component is being built. */
export function host(): Host {
  requireRun("this");
  return current!;
}

/** Throws while the component is being built. `what` is what can only be done by a running handler. */
export function requireRun(what: string): void {
  if (building()) throw new Error(`${what} needs a running handler: while a module loads, the component is only being built`);
}
