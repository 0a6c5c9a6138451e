/**
 * Promises whose jobs the SDK runs itself.
 *
 * `handle` is a synchronous export: it must have its result when it returns, and QuickJS runs no promise job before that.
 * So the component has a Promise written in JavaScript, its jobs go to the queue below, and the build lowers
 * `async`/`await` to generators that use it (esbuild's `supported: { "async-await": false }`).
 */

const jobs: (() => void)[] = [];

/** The engine's own, which never settles here. */
const EnginePromise = globalThis.Promise;

/** Runs jobs until there are none. They may add more. */
export function runJobs(): void {
  // By index, not shift(), which moves the whole array: a fan-out of N would cost N².
  for (let i = 0; i < jobs.length; i++) jobs[i]!();
  jobs.length = 0;
}

/** Forgets what is left over from a handler that has ended. */
export function dropJobs(): void {
  jobs.length = 0;
  rejected = [];
}

/** Promises that were rejected while nobody listened. Somebody may have listened since. */
let rejected: SdkPromise[] = [];

/** The reasons of the promises that were rejected and that nobody has listened to. */
export function unhandledReasons(): unknown[] {
  return rejected.filter((promise) => !isWatched(promise)).map((promise) => reasonOf(promise));
}

type Settle = (value: unknown) => void;
type Executor = (resolve: Settle, reject: Settle) => void;

/** A promise and the functions that settle it, as the language's NewPromiseCapability gives them. */
interface Capability {
  readonly promise: unknown;
  readonly resolve: Settle;
  readonly reject: Settle;
}

/** What is to be done once a promise has settled. */
interface Reaction {
  readonly onFulfilled: unknown;
  readonly onRejected: unknown;
  /** What `then` gave: a promise of this kind, or a capability of a subclass. */
  readonly next: SdkPromise | Capability;
}

const [PENDING, FULFILLED, REJECTED] = [0, 1, 2];

/** The executor of promises that the class settles itself: it saves two closures each. */
const OWN: Executor = () => {};

class SdkPromise {
  #state = PENDING;
  #value: unknown = undefined;
  #reactions: Reaction[] | undefined = undefined;
  /** Has anybody asked for the outcome? */
  #watched = false;
  /** The task, where it is the promise of a call. */
  #call: string | undefined = undefined;

  constructor(executor: Executor) {
    if (typeof executor !== "function") throw new TypeError("Promise needs a function");
    if (executor === OWN) return;
    const { resolve, reject } = this.#settlers();
    try {
      executor(resolve, reject);
    } catch (error) {
      reject(error);
    }
  }

  then(onFulfilled?: unknown, onRejected?: unknown): unknown {
    const species = speciesOf(this);
    const own = species === SdkPromise;
    const next = own ? new SdkPromise(OWN) : capability(species);
    this.#react({ onFulfilled, onRejected, next });
    return own ? next : (next as Capability).promise;
  }

  catch(onRejected?: unknown): unknown {
    return this.then(undefined, onRejected);
  }

  finally(action?: unknown): unknown {
    if (typeof action !== "function") return this.then(action, action);
    const species = speciesOf(this);
    return this.then(
      (value: unknown) => species.resolve(action()).then(() => value),
      (reason: unknown) =>
        species.resolve(action()).then(() => {
          throw reason;
        }),
    );
  }

  static get [Symbol.species]() {
    return this;
  }

  static resolve(this: Constructor, value?: unknown): any {
    if (isPromise(value) && value.constructor === this) return value;
    const made = capability(this);
    made.resolve(value);
    return made.promise;
  }

  static reject(this: Constructor, reason?: unknown): unknown {
    const made = capability(this);
    made.reject(reason);
    return made.promise;
  }

  static withResolvers(this: Constructor) {
    return capability(this);
  }

  static try(this: Constructor, fn: (...args: unknown[]) => unknown, ...args: unknown[]): unknown {
    return new this((resolve) => resolve(fn(...args)));
  }

  static all(this: Constructor, values: Iterable<unknown>): unknown {
    return combine(this, values, (all, { resolve, reject }) => {
      const results: unknown[] = [];
      let left = 1;
      const ended = () => --left === 0 && resolve(results);
      for (const each of all) {
        const i = results.length;
        results.push(undefined);
        left++;
        each.then(once((value) => ((results[i] = value), ended())), reject);
      }
      ended();
    });
  }

  static allSettled(this: Constructor, values: Iterable<unknown>): unknown {
    return combine(this, values, (all, { resolve }) => {
      const results: unknown[] = [];
      let left = 1;
      const ended = () => --left === 0 && resolve(results);
      for (const each of all) {
        const i = results.length;
        results.push(undefined);
        left++;
        const settle = once((result) => ((results[i] = result), ended()));
        each.then(
          (value) => settle({ status: "fulfilled", value }),
          (reason) => settle({ status: "rejected", reason }),
        );
      }
      ended();
    });
  }

  static any(this: Constructor, values: Iterable<unknown>): unknown {
    return combine(this, values, (all, { resolve, reject }) => {
      const reasons: unknown[] = [];
      let left = 1;
      const ended = () => --left === 0 && reject(new AggregateError(reasons, "all promises were rejected"));
      for (const each of all) {
        const i = reasons.length;
        reasons.push(undefined);
        left++;
        each.then(resolve, once((reason) => ((reasons[i] = reason), ended())));
      }
      ended();
    });
  }

  static race(this: Constructor, values: Iterable<unknown>): unknown {
    return combine(this, values, (all, { resolve, reject }) => {
      for (const each of all) each.then(resolve, reject);
    });
  }

  // What the functions below need of the inside.

  static is(value: unknown): value is SdkPromise {
    return typeof value === "object" && value !== null && #state in value;
  }

  static reasonOf(promise: SdkPromise): unknown {
    return promise.#value;
  }

  static isWatched(promise: SdkPromise): boolean {
    return promise.#watched;
  }

  static watch(promise: SdkPromise): void {
    promise.#watched = true;
  }

  static label(promise: SdkPromise, task: string): void {
    promise.#call = task;
  }

  static labelOf(promise: SdkPromise): string | undefined {
    return promise.#call;
  }

  /** The two functions that settle this promise; together they do so once. */
  #settlers(): { resolve: Settle; reject: Settle } {
    let called = false;
    return {
      resolve: (value) => {
        if (called) return;
        called = true;
        this.#resolve(value);
      },
      reject: (reason) => {
        if (called) return;
        called = true;
        this.#settle(REJECTED, reason);
      },
    };
  }

  #resolve(value: unknown): void {
    if (value === null || (typeof value !== "object" && typeof value !== "function")) return this.#settle(FULFILLED, value);
    if (value === this) return this.#settle(REJECTED, new TypeError("a promise can't be resolved with itself"));
    if (value instanceof EnginePromise) {
      return this.#settle(REJECTED, new TypeError("a promise of code that was not bundled (eval, new Function) never settles in a component"));
    }
    let then: unknown;
    try {
      then = (value as PromiseLike<unknown>).then;
    } catch (error) {
      return this.#settle(REJECTED, error);
    }
    if (typeof then !== "function") return this.#settle(FULFILLED, value);
    // One of our own needs no job to be asked.
    if (then === SdkPromise.prototype.then && isPromise(value)) {
      return value.#react({ onFulfilled: undefined, onRejected: undefined, next: this });
    }
    jobs.push(() => {
      const { resolve, reject } = this.#settlers();
      try {
        then.call(value, resolve, reject);
      } catch (error) {
        reject(error);
      }
    });
  }

  #settle(state: number, value: unknown): void {
    const reactions = this.#reactions;
    this.#state = state;
    this.#value = value;
    this.#reactions = undefined;
    if (state === REJECTED && !this.#watched) rejected.push(this);
    if (reactions) for (const reaction of reactions) this.#queue(reaction);
  }

  #react(reaction: Reaction): void {
    this.#watched = true;
    if (this.#state === PENDING) (this.#reactions ??= []).push(reaction);
    else this.#queue(reaction);
  }

  #queue({ onFulfilled, onRejected, next }: Reaction): void {
    const [state, value] = [this.#state, this.#value];
    const handler = state === FULFILLED ? onFulfilled : onRejected;
    jobs.push(() => {
      if (typeof handler !== "function") return SdkPromise.#pass(next, state, value);
      let result: unknown;
      try {
        result = handler(value);
      } catch (error) {
        return SdkPromise.#pass(next, REJECTED, error);
      }
      SdkPromise.#pass(next, FULFILLED, result);
    });
  }

  /** Settles what `then` gave. */
  static #pass(next: Reaction["next"], state: number, value: unknown): void {
    if (isPromise(next)) return state === FULFILLED ? next.#resolve(value) : next.#settle(REJECTED, value);
    (state === FULFILLED ? next.resolve : next.reject)(value);
  }
}
Object.defineProperty(SdkPromise.prototype, Symbol.toStringTag, { value: "Promise", configurable: true });
// To handlers it is the language's class: by its name, and without what is only for the SDK.
Object.defineProperty(SdkPromise, "name", { value: "Promise", configurable: true });
const { is: isPromise, reasonOf, isWatched, watch, label, labelOf } = SdkPromise;
for (const name of ["is", "reasonOf", "isWatched", "watch", "label", "labelOf"]) Reflect.deleteProperty(SdkPromise, name);

/** `isPromise`: is it a promise of this kind? `isWatched`: has anybody asked for its outcome? `watch`: nobody needs to. */
export { isPromise, isWatched, watch };
/** `labelCall`: notes that a promise is that of a call of a task. `calledTask`: that task. */
export { label as labelCall, labelOf as calledTask };

/** The class, or a subclass of it. */
type Constructor = (new (executor: Executor) => unknown) & { resolve(value: unknown): any };

function speciesOf(promise: SdkPromise): Constructor {
  const constructor = promise.constructor as { [Symbol.species]?: Constructor | null } | undefined;
  if (constructor === (SdkPromise as unknown)) return SdkPromise as unknown as Constructor;
  return constructor?.[Symbol.species] ?? (SdkPromise as unknown as Constructor);
}

function capability(constructor: Constructor): Capability {
  let resolve!: Settle;
  let reject!: Settle;
  const promise = new constructor((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** What `all` and its like have in common: a promise of the outcome, and a promise for each value. */
function combine(
  constructor: Constructor,
  values: Iterable<unknown>,
  start: (all: Iterable<{ then(yes: Settle, no: Settle): unknown }>, outcome: Capability) => void,
): unknown {
  const outcome = capability(constructor);
  const each = function* () {
    for (const value of values) yield constructor.resolve(value);
  };
  try {
    start(each(), outcome);
  } catch (error) {
    outcome.reject(error);
  }
  return outcome.promise;
}

/** A thenable that answers twice counts once. */
function once(settle: Settle): Settle {
  let called = false;
  return (value) => {
    if (called) return;
    called = true;
    settle(value);
  };
}

/** Makes the queue's Promise the global one. */
export function installPromise(): void {
  globalThis.Promise = SdkPromise as unknown as PromiseConstructor;
  globalThis.queueMicrotask = (job: () => void) => {
    if (typeof job !== "function") throw new TypeError("queueMicrotask needs a function");
    jobs.push(job);
  };
}
