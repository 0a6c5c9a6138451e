/** Signals that end a wait. By hand, as AbortSignal.any and AbortSignal.timeout are not everywhere, and can't be released. */

/** The longest time that setTimeout takes. It fires at once for a longer one. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** Whom to tell of each signal. */
const told = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls when the signal is given. It has one listener for all calls, as long as there are any: Node warns of more than ten, and
 * a program may wait for many jobs with one signal.
 */
function onAbort(signal: AbortSignal, call: () => void): void {
  let calls = told.get(signal);
  if (!calls) told.set(signal, (calls = new Set()));
  if (calls.size === 0) signal.addEventListener("abort", tell);
  calls.add(call);
}

function offAbort(signal: AbortSignal, call: () => void): void {
  const calls = told.get(signal);
  if (calls?.delete(call) && calls.size === 0) signal.removeEventListener("abort", tell);
}

function tell(this: AbortSignal): void {
  for (const call of [...(told.get(this) ?? [])]) call();
}

/** A signal that is given when an outer one is, or when a time is over. */
export class Limit {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether the time was over before the outer signal was given. */
  timedOut = false;

  constructor(outer: AbortSignal | undefined, ms = Infinity) {
    this.#outer = outer;
    if (outer?.aborted) this.#controller.abort(outer.reason);
    else if (outer) onAbort(outer, this.#abort);
    if (ms !== Infinity) this.#arm(performance.now() + ms);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the timer, and forgets the outer signal, which may live much longer. */
  release(): void {
    clearTimeout(this.#timer);
    if (this.#outer) offAbort(this.#outer, this.#abort);
  }

  /** Gives the signal, and releases. */
  abort(reason?: unknown): void {
    this.release();
    this.#controller.abort(reason);
  }

  readonly #abort = (): void => this.abort(this.#outer?.reason);

  #arm(end: number): void {
    const left = Math.min(Math.max(end - performance.now(), 0), LONGEST_TIMER);
    this.#timer = setTimeout(() => {
      if (performance.now() < end) return this.#arm(end);
      this.timedOut = true;
      this.abort(new DOMException("the time is over", "TimeoutError"));
    }, left);
  }
}

/** Waits so many milliseconds. Rejects with the signal's reason when it is given. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const ended = (): void => {
      clearTimeout(timer);
      if (signal) offAbort(signal, ended);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      if (signal) offAbort(signal, ended);
      resolve();
    }, ms);
    if (signal) onAbort(signal, ended);
  });
}
