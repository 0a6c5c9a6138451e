/** How a module says which tasks it handles. */
import type { App } from "./app.ts";
import type { InputOf, JsonSchema, OutputOf, Validator } from "./schema.ts";
import { checkName } from "./errors.ts";
import { taskPairs, type Options } from "./options.ts";

/** A task that can be called: `app.call(fib)({ n: 1 })`. `A` are its arguments, `R` its result. */
export interface TaskFn<A extends unknown[], R> {
  /** Runs the function here and now, as a unit test would. */
  (app: App, ...args: A): R | PromiseLike<R>;
  readonly task: string;
  readonly options: Options;
}

/** A registered handler; `raw` takes and gives bytes. */
export interface Registered {
  readonly name: string;
  readonly options: Options;
  readonly raw: boolean;
  readonly run: (app: App, ...args: unknown[]) => unknown;
}

const registry = new Map<string, Registered>();

/** Options of a task whose argument a validator checks, and may change: the handler gets what comes of it. */
type Checked<V extends Validator> = Options & { input: V };

/**
 * Handles the task `name` with `fn`, whose first parameter is the `app` that it calls other tasks with. With a validator as
 * `input`, the types of the argument are the validator's.
 */
export function handler<V extends Validator, R>(
  name: string,
  fn: (app: App, input: OutputOf<V>) => R | PromiseLike<R>,
  options: Checked<V>,
): TaskFn<[input: InputOf<V>], R>;
export function handler<A extends unknown[], R>(
  name: string,
  fn: (app: App, ...args: A) => R | PromiseLike<R>,
  options?: Options & { input?: JsonSchema },
): TaskFn<A, R>;
export function handler(
  name: string,
  fn: (app: App, ...args: any[]) => unknown,
  options: Options = {},
): TaskFn<any[], unknown> {
  return register(name, fn, options, false);
}

/** Handles the task `name` with a function that needs no `app`. */
export function taskFn<V extends Validator, R>(
  name: string,
  fn: (input: OutputOf<V>) => R | PromiseLike<R>,
  options: Checked<V>,
): TaskFn<[input: InputOf<V>], R>;
export function taskFn<A extends unknown[], R>(
  name: string,
  fn: (...args: A) => R | PromiseLike<R>,
  options?: Options & { input?: JsonSchema },
): TaskFn<A, R>;
export function taskFn(name: string, fn: (...args: any[]) => unknown, options: Options = {}): TaskFn<any[], unknown> {
  // Not a function: `register` says so.
  const run = typeof fn === "function" ? (_app: App, ...args: unknown[]) => fn(...args) : fn;
  return register(name, run, options, false);
}

/** Handles the task `name` with a function of the payload's bytes that gives the result's. */
export function handlerRaw(
  name: string,
  fn: (app: App, payload: Uint8Array) => Uint8Array | PromiseLike<Uint8Array>,
  options: Options = {},
): TaskFn<[payload: Uint8Array], Uint8Array> {
  return register(name, fn, options, true);
}

/** All handlers, in the order they were made. */
export function handlers(): Registered[] {
  return [...registry.values()];
}

export function findHandler(name: string): Registered | undefined {
  return registry.get(name);
}

function register<A extends unknown[], R>(
  name: string,
  run: (app: App, ...args: A) => R | PromiseLike<R>,
  options: Options,
  raw: boolean,
): TaskFn<A, R> {
  if (registry.has(name)) throw new Error(`two handlers for the task "${name}"`);
  checkName("task", name);
  if (typeof run !== "function") throw new TypeError(`the handler of the task "${name}" is not a function`);
  taskPairs(options); // nonsense is refused here, where a stack names the handler
  registry.set(name, { name, options, raw, run: run as Registered["run"] });
  // A new function: the same one may be registered under two names.
  return Object.assign((app: App, ...args: A) => run(app, ...args), { task: name, options });
}
