/**
 * Promises whose jobs the SDK runs itself.
 *
 * `handle` is a synchronous export: it must have its result when it returns, and QuickJS runs no promise job before that.
 * So the component has a Promise written in JavaScript, its jobs go to the queue below, and the build lowers
 * `async`/`await` to generators that use it (esbuild's `supported: { "async-await": false }`).
 */

const jobs: (() => void)[] = [];

/** Puts a job behind the others. */
export function addJob(job: () => void): void {
  jobs.push(job);
}

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

export type Settle = (value: unknown) => void;
type Settler = Settle & { [SETTLES]?: SdkPromise };
type Executor = (resolve: Settle, reject: Settle) => void;

/** A promise and the functions that settle it, as the language's NewPromiseCapability gives them. */
export interface Capability {
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
  /** The combination of promises that waits, such as `Promise.all`. */
  readonly group: Group | undefined;
  /** The promise of the async function that waits. */
  readonly owner: SdkPromise | undefined;
}

/** Promises that one awaiter waits for together: by `Promise.all` and its like. */
export interface Group {
  readonly kind: "all" | "settled" | "some";
  /** Outcomes that a group of the kind `some` still needs. */
  need: number;
  /** The outcome of the group. */
  readonly promise: unknown;
}

/**
 * The awaiter of a promise: the one group or continuation that waits for it; `several` of them; `later`: none yet, but
 * there may be one; `nobody`: all that waited for it have gone on without it, as those of a race that is over.
 */
export type Awaiter = Group | Reaction | "several" | "later" | "nobody";

const [PENDING, FULFILLED, REJECTED] = [0, 1, 2];

/** On a function that settles a promise: that promise. */
const SETTLES = Symbol("settles");

/** The group on whose behalf `then` is being called. */
let joining: Group | undefined;

/** The promise of the async function, or of the constructor's function, that is running. */
let running: SdkPromise | undefined;

/** Promises from one to the next up to which an awaiter is looked for. Beyond, there are taken to be several. */
const DEPTH = 50;

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
  /** The promise of the function that made this one. */
  readonly #maker: SdkPromise | undefined = running;

  /** `ofAsync`: it is the promise of an async function (bin/bundle.mjs). */
  constructor(executor: Executor, ofAsync = false) {
    if (typeof executor !== "function") throw new TypeError("Promise needs a function");
    if (executor === OWN) return;
    const { resolve, reject } = this.#settlers();
    // An async function hands them to nobody.
    if (!ofAsync) (resolve as Settler)[SETTLES] = (reject as Settler)[SETTLES] = this;
    const outer = running;
    running = this;
    try {
      executor(resolve, reject);
    } catch (error) {
      reject(error);
    }
    running = outer;
  }

  /** `ofAsync`: it is an `await` of the async function that is running (bin/bundle.mjs). */
  then(onFulfilled?: unknown, onRejected?: unknown, ofAsync = false): unknown {
    const species = speciesOf(this);
    const own = species === SdkPromise;
    const group = joining;
    joining = undefined;
    const next = own ? new SdkPromise(OWN) : capability(species);
    this.#react({ onFulfilled, onRejected, next, group, owner: ofAsync ? running : undefined });
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

  // What the functions below need of the inside.

  /** A promise that only the two functions below settle: it saves the closures of a constructor. */
  static unsettled(task: string): SdkPromise {
    const promise = new SdkPromise(OWN);
    promise.#call = task;
    return promise;
  }

  static fulfil(promise: SdkPromise, value: unknown): void {
    promise.#resolve(value);
  }

  static fail(promise: SdkPromise, reason: unknown): void {
    promise.#settle(REJECTED, reason);
  }

  static is(value: unknown): value is SdkPromise {
    return typeof value === "object" && value !== null && #state in value;
  }

  static reasonOf(promise: SdkPromise): unknown {
    return promise.#value;
  }

  static isWatched(promise: SdkPromise): boolean {
    return promise.#watched;
  }

  /** Was it made by an async function that does not go on, because nobody waits for it any more? */
  static isGivenUp(promise: SdkPromise, known: Map<unknown, Awaiter>, depth = 0): boolean {
    const maker = promise.#maker;
    return maker !== undefined && maker.#state === PENDING && awaiterOf(maker, known, depth + 1) === "nobody";
  }

  /** Who waits for a promise. `known` keeps what was found out for others. */
  static awaiterOf(promise: SdkPromise, known: Map<unknown, Awaiter>, depth = 0): Awaiter {
    if (promise.#state !== PENDING) return "nobody";
    if (depth > DEPTH) return "several";
    if (!promise.#watched) return isGivenUp(promise, known, depth) ? "nobody" : "later";
    if (depth > 0) {
      const found = known.get(promise);
      if (found !== undefined) return found;
      // For what waits for itself.
      known.set(promise, "nobody");
    }
    let awaiter: Awaiter = "nobody";
    for (const reaction of promise.#reactions ?? []) {
      const other = awaiterIn(reaction, known, depth + 1);
      if (awaiter === "nobody") awaiter = other;
      else if (other !== "nobody" && other !== awaiter) awaiter = "several";
      if (awaiter === "several") break;
    }
    // Of calls there are many, and each is asked about once.
    if (depth > 0) known.set(promise, awaiter);
    return awaiter;
  }

  static labelOf(promise: SdkPromise): string | undefined {
    return promise.#call;
  }

  /** The two functions that settle this promise; together they do so once. */
  #settlers(): { resolve: Settle; reject: Settle } {
    let called = false;
    const resolve = (value: unknown) => {
      if (called) return;
      called = true;
      this.#resolve(value);
    };
    const reject = (reason: unknown) => {
      if (called) return;
      called = true;
      this.#settle(REJECTED, reason);
    };
    return { resolve, reject };
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
      return value.#react({ onFulfilled: undefined, onRejected: undefined, next: this, group: undefined, owner: undefined });
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

  #queue({ onFulfilled, onRejected, next, owner }: Reaction): void {
    const [state, value] = [this.#state, this.#value];
    const handler = state === FULFILLED ? onFulfilled : onRejected;
    jobs.push(() => {
      if (typeof handler !== "function") return SdkPromise.#pass(next, state, value);
      let result: unknown;
      running = owner;
      try {
        result = handler(value);
      } catch (error) {
        running = undefined;
        return SdkPromise.#pass(next, REJECTED, error);
      }
      running = undefined;
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
const { is: isPromise, reasonOf, isWatched, isGivenUp, awaiterOf, labelOf, unsettled, fulfil, fail } = SdkPromise;
for (const name of ["is", "reasonOf", "isWatched", "isGivenUp", "awaiterOf", "labelOf", "unsettled", "fulfil", "fail"]) Reflect.deleteProperty(SdkPromise, name);

/** `isPromise`: is it a promise of this kind? `isWatched`: has anybody asked for its outcome? `awaiterOf`: who waits for it? */
export { isPromise, isWatched, isGivenUp, awaiterOf };
/** `callPromise`: the promise of a call of a task, which `fulfil` and `fail` settle. `calledTask`: that task. */
export { unsettled as callPromise, fulfil, fail, labelOf as calledTask };
export { SdkPromise };

/** The promise that a function settles, if it was made for that and nothing else. */
export function settledBy(settle: unknown): SdkPromise | undefined {
  return typeof settle === "function" ? (settle as Settler)[SETTLES] : undefined;
}

/** Of each promise that callbacks of several settle directly: their race. */
const races = new WeakMap<SdkPromise, Group>();

function awaiterIn(reaction: Reaction, known: Map<unknown, Awaiter>, depth: number): Awaiter {
  const { group, onFulfilled, onRejected } = reaction;
  if (group) {
    const awaiter = awaiterAbove(group.promise, known, depth);
    if (awaiter === "nobody") return awaiter;
    // All of what is itself one of all.
    return group.kind === "all" && typeof awaiter === "object" && "kind" in awaiter && awaiter.kind === "all" ? awaiter : group;
  }
  const settled = reaction.owner ?? settledBy(onFulfilled) ?? settledBy(onRejected);
  if (settled) {
    if (awaiterAbove(settled, known, depth) === "nobody") return "nobody";
    // Whichever of them comes first settles it: a race by hand.
    return settledBy(onFulfilled) ? raceOf(settled) : reaction;
  }
  const awaiter = awaiterAbove(reaction.next, known, depth);
  const passesOn = typeof onFulfilled !== "function" && typeof onRejected !== "function";
  return passesOn || awaiter === "nobody" ? awaiter : reaction;
}

function awaiterAbove(promise: unknown, known: Map<unknown, Awaiter>, depth: number): Awaiter {
  return isPromise(promise) ? awaiterOf(promise, known, depth) : "later";
}

function raceOf(promise: SdkPromise): Group {
  const race = races.get(promise) ?? { kind: "some", need: 1, promise };
  races.set(promise, race);
  return race;
}

/** The class, or a subclass of it. */
export type Constructor = (new (executor: Executor) => unknown) & { resolve(value: unknown): any };

function speciesOf(promise: SdkPromise): Constructor {
  const constructor = promise.constructor as { [Symbol.species]?: Constructor | null } | undefined;
  if (constructor === (SdkPromise as unknown)) return SdkPromise as unknown as Constructor;
  return constructor?.[Symbol.species] ?? (SdkPromise as unknown as Constructor);
}

export function capability(constructor: Constructor): Capability {
  let resolve!: Settle;
  let reject!: Settle;
  const promise = new constructor((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

export type Thenable = { then(yes: Settle, no: Settle): unknown };

/** `each.then(yes, no)` on behalf of a group. */
export function join(group: Group, each: Thenable, yes: Settle, no: Settle): void {
  joining = group;
  try {
    each.then(yes, no);
  } finally {
    // Where it is no promise of this kind.
    joining = undefined;
  }
}
