/** The web's `AbortController` and `AbortSignal`, as far as `fetch` and its callers need them. */
import { addTimer } from "../scheduler.ts";

/** Like the web's DOMException, of which only name and message matter here. */
function exception(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

type Listener = () => void;

export class AbortSignal {
  aborted = false;
  reason: any = undefined;
  onabort: Listener | null = null;
  readonly #listeners = new Set<Listener>();

  /** A signal that has been given already. */
  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal();
    abort(signal, reason);
    return signal;
  }

  /** Gives the signal after `ms`. */
  static timeout(ms: number): AbortSignal {
    const signal = new AbortSignal();
    addTimer(() => abort(signal, exception("TimeoutError", `it took longer than ${ms} ms`)), ms);
    return signal;
  }

  /** Follows the first of several. */
  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const all = [...signals];
    const first = all.find(({ aborted }) => aborted);
    if (first) return AbortSignal.abort(first.reason);
    const signal = new AbortSignal();
    for (const each of all) each.addEventListener("abort", () => abort(signal, each.reason));
    return signal;
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }

  addEventListener(type: "abort", listener: Listener): void {
    if (type === "abort") this.#listeners.add(listener);
  }

  removeEventListener(type: "abort", listener: Listener): void {
    if (type === "abort") this.#listeners.delete(listener);
  }

  /** Not for users: those who listen, once. */
  static listeners(signal: AbortSignal): Listener[] {
    const all = [...signal.#listeners, ...(signal.onabort ? [signal.onabort] : [])];
    signal.#listeners.clear();
    return all;
  }
}

function abort(signal: AbortSignal, reason: unknown): void {
  if (signal.aborted) return;
  signal.aborted = true;
  signal.reason = reason === undefined ? exception("AbortError", "it was aborted") : reason;
  for (const listener of AbortSignal.listeners(signal)) listener();
}

export class AbortController {
  readonly signal = new AbortSignal();

  abort(reason?: unknown): void {
    abort(this.signal, reason);
  }
}
