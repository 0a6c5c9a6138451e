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

/** A call that ended without a value (WIT `failure`). */
export interface Failure {
  readonly kind: string;
  readonly task: string;
  readonly message: string;
  readonly attempts: number;
  readonly chain: string[];
}

export type Outcome = { readonly tag: "ok"; readonly val: Uint8Array } | { readonly tag: "err"; readonly val: Failure };

/** What this run was asked to do (WIT `request`). */
export interface Request {
  readonly task: string;
  readonly payload: Uint8Array;
  readonly callHash: string;
  readonly rootId: string;
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
  /** WIT `tasks.poll`: does not return while fewer than `need` (null: all) outcomes are there. */
  poll(calls: readonly Invocation[], need: number | null): (Outcome | null)[];
  log(level: Level, message: string): void;
  /** WIT `control.time-left-ms`. */
  timeLeftMs(): number;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
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
