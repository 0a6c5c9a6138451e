/** The web's `AbortController` and `AbortSignal`. */
import { addTimer } from "../scheduler.ts";
import { Event, EventTarget, hasListeners } from "./events.ts";
import { exception } from "./exception.ts";

/** Gives a signal; set when the class is defined. */
let give: (signal: AbortSignal, reason: unknown) => void;

export class AbortSignal extends EventTarget {
  aborted = false;
  reason: any = undefined;
  onabort: ((event: Event) => unknown) | null = null;

  /** A signal that has been given already. */
  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal();
    give(signal, reason);
    return signal;
  }

  /** Gives the signal after `ms`. */
  static timeout(ms: number): AbortSignal {
    const signal = new AbortSignal();
    const isWanted = () => signal.onabort !== null || hasListeners(signal, "abort");
    addTimer(() => give(signal, exception("TimeoutError", `it took longer than ${ms} ms`)), ms, { isWanted });
    return signal;
  }

  /** Follows the first of several. */
  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const all = [...signals];
    const first = all.find(({ aborted }) => aborted);
    if (first) return AbortSignal.abort(first.reason);
    const signal = new AbortSignal();
    for (const each of all) each.addEventListener("abort", () => give(signal, each.reason), { once: true });
    return signal;
  }

  static {
    give = (signal, reason) => {
      if (signal.aborted) return;
      signal.aborted = true;
      signal.reason = reason === undefined ? exception("AbortError", "it was aborted") : reason;
      const event = new Event("abort");
      signal.dispatchEvent(event);
      signal.onabort?.(event);
    };
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }
}

export class AbortController {
  readonly signal = new AbortSignal();

  abort(reason?: unknown): void {
    give(this.signal, reason);
  }
}
