/** Signals that end a wait. By hand, as AbortSignal.any and AbortSignal.timeout are not everywhere, and can't be released. */

/** The longest time that setTimeout takes. It fires at once for a longer one. */
const LONGEST_TIMER = 2 ** 31 - 1;

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
    outer?.addEventListener("abort", this.#abort);
    if (ms !== Infinity) this.#arm(performance.now() + ms);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the timer, and forgets the outer signal, which may live much longer. */
  release(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#abort);
  }

  /** Gives the signal, and releases. */
  abort(reason?: unknown): void {
    this.release();
    this.#controller.abort(reason);
  }

  readonly #abort = (): void => this.abort(this.#outer?.reason);

  #arm(end: number): void {
    this.#timer = setTimeout(
      () => {
        if (performance.now() < end) return this.#arm(end);
        this.timedOut = true;
        this.abort(new DOMException("the time is over", "TimeoutError"));
      },
      Math.min(Math.max(end - performance.now(), 0), LONGEST_TIMER),
    );
  }
}

/** Waits so many milliseconds. Rejects with the signal's reason when it is given. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const ended = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(
      () => {
        signal?.removeEventListener("abort", ended);
        resolve();
      },
      Math.min(ms, LONGEST_TIMER),
    );
    if (signal?.aborted) ended();
    else signal?.addEventListener("abort", ended, { once: true });
  });
}
