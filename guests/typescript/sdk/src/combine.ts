/**
 * Promises of several promises: `Promise.all` and its like. Each tells the promises that it waits for them together, and for
 * how many, so that the scheduler can ask the host for just that.
 */
import { addJob, capability, join, SdkPromise, type Capability, type Constructor, type Group, type Settle, type Thenable } from "./promise.ts";

/** The functions of the class. */
const statics = {
  all(this: Constructor, values: Iterable<unknown>): unknown {
    return combine(this, "all", values, (all, { resolve, reject }, group) => {
      const results: unknown[] = [];
      let left = 1;
      const ended = () => --left === 0 && resolve(results);
      for (const each of all) {
        const i = results.length;
        results.push(undefined);
        left++;
        join(group, each, once((value) => ((results[i] = value), ended())), reject);
      }
      ended();
    });
  },

  allSettled(this: Constructor, values: Iterable<unknown>): unknown {
    return combine(this, "settled", values, (all, { resolve }, group) => {
      const results: unknown[] = [];
      let left = 1;
      const ended = () => --left === 0 && resolve(results);
      for (const each of all) {
        const i = results.length;
        results.push(undefined);
        left++;
        const settle = once((result) => ((results[i] = result), ended()));
        join(
          group,
          each,
          (value) => settle({ status: "fulfilled", value }),
          (reason) => settle({ status: "rejected", reason }),
        );
      }
      ended();
    });
  },

  any(this: Constructor, values: Iterable<unknown>): unknown {
    return combine(this, "some", values, (all, { resolve, reject }, group) => {
      const reasons: unknown[] = [];
      let left = 1;
      const ended = () => --left === 0 && reject(new AggregateError(reasons, "all promises were rejected"));
      for (const each of all) {
        const i = reasons.length;
        reasons.push(undefined);
        left++;
        join(group, each, resolve, once((reason) => ((reasons[i] = reason), ended())));
      }
      ended();
    });
  },

  race(this: Constructor, values: Iterable<unknown>): unknown {
    return combine(this, "some", values, (all, { resolve, reject }, group) => {
      for (const each of all) join(group, each, resolve, reject);
    });
  },
};

/** The indices of the first `need` promises that settle, in the order of `values`. */
export function some(need: number, values: Iterable<unknown>): Promise<number[]> {
  const outcome = combine(SdkPromise as unknown as Constructor, "some", values, (all, { resolve }, group) => {
    const ended: number[] = [];
    group.need = need;
    const end = (i: number) => {
      if (group.need === 0) return;
      ended.push(i);
      group.need -= 1;
      if (group.need === 0) resolve(ended.sort((a, b) => a - b));
    };
    let count = 0;
    for (const each of all) {
      const i = count++;
      const settle = once(() => end(i));
      join(group, each, settle, settle);
    }
    if (need === 0) resolve(ended);
  });
  return outcome as Promise<number[]>;
}

/** What `all` and its like have in common: a promise of the outcome, a promise for each value, and the group of those. */
function combine(
  constructor: Constructor,
  kind: Group["kind"],
  values: Iterable<unknown>,
  start: (all: Iterable<Thenable>, outcome: Capability, group: Group) => void,
): unknown {
  const outcome = capability(constructor);
  const group = { kind, need: 1, promise: outcome.promise };
  const each = function* () {
    for (const value of values) yield constructor.resolve(value);
  };
  try {
    start(each(), outcome, group);
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
  for (const [name, value] of Object.entries(statics)) {
    Object.defineProperty(SdkPromise, name, { value, writable: true, configurable: true });
  }
  globalThis.Promise = SdkPromise as unknown as PromiseConstructor;
  globalThis.queueMicrotask = (job: () => void) => {
    if (typeof job !== "function") throw new TypeError("queueMicrotask needs a function");
    addJob(job);
  };
}
