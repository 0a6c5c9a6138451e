/// <reference path="./promise-polyfill.d.ts" />
/**
 * Promises whose jobs the SDK runs itself.
 *
 * `handle` is a synchronous export: it must have its result when it returns, and QuickJS runs no promise job before that.
 * So the component uses a Promise written in JavaScript, its jobs go to the queue below, and the build lowers
 * `async`/`await` to generators that use it (esbuild's `supported: { "async-await": false }`).
 */
import "./placeholder.ts";
import Base from "promise-polyfill";

const jobs: (() => void)[] = [];

Base._immediateFn = (job) => void jobs.push(job);
// A rejection that nobody handles is no error of its own: what counts is what the handler ends with.
Base._unhandledRejectionFn = () => {};

/** Runs jobs until there are none. They may add more. */
export function runJobs(): void {
  // By index, not shift(), which moves the whole array: a fan-out of N would cost N².
  for (let i = 0; i < jobs.length; i++) jobs[i]!();
  jobs.length = 0;
}

/** Forgets the jobs that are left over from a handler that has ended. */
export function dropJobs(): void {
  jobs.length = 0;
}

/** Promise.any as in the language: the library's gives another AggregateError, with the reasons in no fixed order. */
function any(values: unknown[]): Promise<unknown> {
  return new Base((resolve, reject) => {
    const reasons: unknown[] = new Array(values.length);
    let left = values.length;
    const fail = (reason: unknown, i: number) => {
      reasons[i] = reason;
      if (--left === 0) reject(new AggregateError(reasons, "all promises were rejected"));
    };
    if (left === 0) reject(new AggregateError([], "all promises were rejected"));
    values.forEach((value, i) => Base.resolve(value).then(resolve, (reason) => fail(reason, i)));
  });
}

/** The library takes arrays only; the language takes any iterable. */
function iterable(combine: (values: unknown[]) => unknown) {
  return (values: Iterable<unknown>) => combine.call(Base, Array.from(values));
}

/** Makes the queue's Promise the global one. */
export function installPromise(): void {
  const statics = Base as unknown as Record<string, (values: unknown[]) => unknown>;
  statics.any = any as never;
  for (const name of ["all", "allSettled", "any", "race"]) statics[name] = iterable(statics[name]!) as never;
  const extras = {
    withResolvers() {
      let resolve!: (value: unknown) => void;
      let reject!: (reason: unknown) => void;
      const promise = new Base((yes, no) => {
        resolve = yes;
        reject = no;
      });
      return { promise, resolve, reject };
    },
    try: (fn: (...args: unknown[]) => unknown, ...args: unknown[]) => new Base((resolve) => resolve(fn(...args))),
  };
  Object.assign(Base, extras);
  Object.defineProperty(Base.prototype, Symbol.toStringTag, { value: "Promise", configurable: true });
  globalThis.Promise = Base as unknown as PromiseConstructor;
  globalThis.queueMicrotask = (job: () => void) => void jobs.push(job);
}
