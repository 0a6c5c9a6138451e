import { encodeUtf8 } from "./bytes.ts";
import { decodeResult, encodeArgs } from "./codec.ts";
import { some } from "./combine.ts";
import { milliseconds, type Duration } from "./duration.ts";
import { checkName, permanently } from "./errors.ts";
import type { TaskFn } from "./handler.ts";
import { host, type Request } from "./host.ts";
import { callPairs, type CallOptions, type Pair, type SpawnOptions } from "./options.ts";
import { addTimer, ask, enqueue, type Signal } from "./scheduler.ts";

/** The arguments of a call by name: a tuple as it is, anything else is the one argument. */
type Args<A> = A extends unknown[] ? A : [args: A];

/** What a handler does with the rest of the call graph. */
export class App {
  /** The call that is being handled: its task, topic, hash, job, attempt and deadline. */
  constructor(readonly request: Request) {}

  /**
   * A call of another task: `await app.call(fib)({ n: 10 })`. Calls made before the handler next waits are queued
   * together, with `Promise.all` or without. Rejects with `CallFailed` when the task failed.
   */
  call<A extends unknown[], R>(task: TaskFn<A, R>, options?: CallOptions): (...args: A) => Promise<R>;
  /** The same by name, for a task of another component: `app.call<{ n: number }, number>("fib", { topic: "math" })`. */
  call<A, R>(task: string, options?: CallOptions): (...args: Args<A>) => Promise<R>;
  call(task: string | TaskFn<never[], unknown>, options: CallOptions = {}): (...args: unknown[]) => Promise<unknown> {
    const name = taskName(task);
    return (...args) => enqueue(jsonCall(name, args, options), decodeResult, options.signal);
  }

  /** A call with a payload of any format; gives the result's bytes. Without `callHash` the host derives one. */
  callRaw(
    task: string | { readonly task: string },
    payload: Uint8Array,
    options: CallOptions = {},
  ): Promise<Uint8Array> {
    return enqueue(invocation(taskName(task), payload, options), (bytes) => bytes, options.signal);
  }

  /**
   * Starts a detached job, which goes on by itself, and gives the job's id: `await app.spawn(fib)({ n: 10 })`. It waits for
   * nothing. The options are those of the new job's own call. Each replay and each further attempt gets the same ids, so start
   * the same jobs in the same order in each.
   */
  spawn<A extends unknown[], R>(task: TaskFn<A, R>, options?: SpawnOptions): (...args: A) => Promise<string>;
  /** The same by name, for a task of another component: `app.spawn<{ n: number }>("fib", { topic: "math" })`. */
  spawn<A>(task: string, options?: SpawnOptions): (...args: Args<A>) => Promise<string>;
  spawn(task: string | TaskFn<never[], unknown>, options: SpawnOptions = {}): (...args: unknown[]) => Promise<string> {
    const name = taskName(task);
    return (...args) => ask(detached(jsonCall(name, args, options)), decodeResult);
  }

  /** The same with a payload of any format. */
  spawnRaw(task: string | { readonly task: string }, payload: Uint8Array, options: SpawnOptions = {}): Promise<string> {
    return ask(detached(invocation(taskName(task), payload, options)), decodeResult);
  }

  /**
   * What somebody outside answers to this job's promise `name`: by `brrr-host resolve`, or the gateway. It waits as long as
   * that takes, and may be raced and limited like a call. Rejects with `CallFailed` of the kind "rejected" when it was rejected.
   */
  promise<T = any>(name: string, options: { signal?: Signal } = {}): Promise<T> {
    const payload = encodeUtf8(checkName("name of a promise", name));
    return enqueue({ task: "brrr.promise", payload, topic: null, callHash: null, options: [] }, decodeResult, options.signal);
  }

  /** All results in the order of the calls, like `Promise.all`, but with the calls as arguments. */
  gather<T extends readonly unknown[]>(...calls: T): Promise<{ -readonly [I in keyof T]: Awaited<T[I]> }> {
    return Promise.all(calls) as never;
  }

  /** The first result of several calls, the same one in every replay: `Promise.race`. Rejects if what ends first has failed. */
  async first<R>(...calls: PromiseLike<R>[]): Promise<R> {
    if (calls.length === 0) throw new TypeError("app.first needs at least one call");
    return Promise.race(calls);
  }

  /**
   * As soon as `need` of the calls have ended, with values or failures: which ones, as indices. Each can then be awaited;
   * the others are waited for again only if they are awaited.
   */
  some(need: number, ...calls: PromiseLike<unknown>[]): Promise<number[]> {
    if (!(Number.isInteger(need) && need >= 0 && need <= calls.length)) {
      throw new RangeError(`app.some: ${need} of ${calls.length} calls can never end`);
    }
    return some(need, calls);
  }

  /**
   * Milliseconds until this run is stopped, whatever it does: by the timeout of its task or of its job.
   *
   * It differs from replay to replay, so nothing that is called or returned may depend on it, except in a leaf.
   */
  timeLeftMs(): number {
    return host().timeLeftMs();
  }

  /** Is there any time left? For work that would rather stop early by itself: `while (app.isActive()) …` */
  isActive(): boolean {
    return this.timeLeftMs() > 0;
  }

  /** Goes on after so long: `await app.sleep("3d")`. Durable in a handler that may call; a leaf sleeps where it is. */
  sleep(duration: Duration): Promise<void> {
    return this.sleepMs(milliseconds("the pause of app.sleep", duration, "app.sleepMs"));
  }

  /** The same, in milliseconds. */
  sleepMs(ms: number): Promise<void> {
    return new Promise((resolve) => void addTimer(() => resolve(), ms, { settle: resolve }));
  }
}

function taskName(task: string | { readonly task: string }): string {
  return typeof task === "string" ? task : task.task;
}

/** Asks the host for the call hash that the TypeScript peer would give. */
const PEERS_HASH: Pair = ["hash-of", "typescript"];

/** Makes of a call the start of a job. The host answers it at once, with the job's id. */
function detached<C extends { options: Pair[] }>(call: C): C {
  call.options.push(["detached", "true"]);
  return call;
}

function jsonCall(task: string, args: unknown[], options: CallOptions) {
  const payload = permanently(`the arguments of ${task} are not JSON`, () => encodeArgs(args));
  const call = invocation(task, payload, options);
  if (call.callHash === null) call.options.push(PEERS_HASH);
  return call;
}

function invocation(task: string, payload: Uint8Array, options: CallOptions) {
  // The component would trap on anything else.
  checkName("task", task);
  const { topic = null, callHash = null, label } = options;
  if (topic !== null) checkName("topic", topic);
  if (callHash !== null) checkName("callHash", callHash);
  if (label !== undefined) checkName("label", label);
  if (!(payload instanceof Uint8Array)) throw new TypeError("the payload of callRaw is a Uint8Array");
  return { task, payload, topic, callHash, options: callPairs(options) };
}
