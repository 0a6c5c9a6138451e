/** The types of testing.mjs. */
import type { FailureKind } from "./src/host.ts";
import type { Duration } from "./src/duration.ts";

/** What a test gives a handler. */
export interface Given {
  /**
   * What calls give, by their task: a value, or a function of the arguments that gives it, or throws, and may not be async.
   * Tasks that are not named here are run, if the module has them.
   */
  children?: Record<string, unknown>;
  /** What promises are resolved with, by their names: a value, or a function; one that throws rejects. Others are never answered. */
  promises?: Record<string, unknown>;
  /** The time at which the handler begins. Default: the beginning of 2030. */
  now?: string | number | Date;
}

export interface Ran<R> {
  result: R;
  /** What was logged and printed, by children of the module, too. */
  lines: { level: "trace" | "debug" | "info" | "warn" | "error"; message: string; fields: Record<string, string> }[];
  /** The detached jobs that were started, in order. They are not run. */
  spawned: { id: string; task: string; topic: string | null; argument: any }[];
  /** What the host was asked for, each time that the handler had to wait. */
  polls: { calls: string[]; want: { tag: "all" | "some" | "progress"; val?: number }; until: number | null }[];
  /** Milliseconds by which the handler's clock moved. */
  took: number;
}

export interface Handlers {
  /** Runs a task with one argument. Throws a TaskFailed where the task fails. */
  run<R = any>(task: string, argument?: unknown, given?: Given): Ran<R>;
}

/** Bundles a module of handlers: a path, or a URL such as `new URL("./app.ts", import.meta.url)`. */
export function load(module: string | URL): Promise<Handlers>;

/** In place of a child's or a promise's value: the value that is there only after so long. */
export function after(duration: Duration, value: unknown): unknown;

/** A task that failed. */
export class TaskFailed extends Error {
  /** "retryable" or "permanent"; where a child failed and that was not caught, why that one did. */
  readonly kind: "retryable" | "permanent" | FailureKind;
  /** That child's task. */
  readonly task?: string;
  /** What was attached to the error. */
  readonly details?: any;
}
