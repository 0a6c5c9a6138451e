/** The web's `Event`, `CustomEvent` and `EventTarget`. There is no tree: an event has one target. */
import { building, host } from "../host.ts";
import { exception } from "./exception.ts";

export interface EventInit {
  bubbles?: boolean;
  cancelable?: boolean;
  composed?: boolean;
}

/** What `dispatchEvent` changes of an event. */
interface Dispatch {
  target: EventTarget | null;
  active: boolean;
  stopped: boolean;
  prevented: boolean;
  /** Is the listener that runs one that may not prevent anything? */
  passive: boolean;
}

/** The inside of an event; set when the class is defined. */
let inside: (event: Event) => Dispatch;

export class Event {
  static readonly NONE = 0;
  static readonly CAPTURING_PHASE = 1;
  static readonly AT_TARGET = 2;
  static readonly BUBBLING_PHASE = 3;

  readonly type: string;
  readonly bubbles: boolean;
  readonly cancelable: boolean;
  readonly composed: boolean;
  readonly isTrusted = false;
  readonly timeStamp = building() ? 0 : host().now();
  readonly #dispatch: Dispatch = { target: null, active: false, stopped: false, prevented: false, passive: false };

  constructor(type: string, { bubbles = false, cancelable = false, composed = false }: EventInit = {}) {
    this.type = String(type);
    this.bubbles = bubbles;
    this.cancelable = cancelable;
    this.composed = composed;
  }

  static {
    inside = (event) => event.#dispatch;
  }

  get target(): EventTarget | null {
    return this.#dispatch.target;
  }

  get currentTarget(): EventTarget | null {
    return this.#dispatch.active ? this.#dispatch.target : null;
  }

  get eventPhase(): number {
    return this.#dispatch.active ? Event.AT_TARGET : Event.NONE;
  }

  get defaultPrevented(): boolean {
    return this.#dispatch.prevented;
  }

  composedPath(): EventTarget[] {
    return this.currentTarget ? [this.currentTarget] : [];
  }

  preventDefault(): void {
    if (this.cancelable && !this.#dispatch.passive) this.#dispatch.prevented = true;
  }

  stopPropagation(): void {}

  stopImmediatePropagation(): void {
    this.#dispatch.stopped = true;
  }
}

export class CustomEvent<T = any> extends Event {
  readonly detail: T;

  constructor(type: string, { detail, ...init }: EventInit & { detail?: T } = {}) {
    super(type, init);
    this.detail = (detail ?? null) as T;
  }
}

export type EventListener = ((event: any) => unknown) | { handleEvent(event: any): unknown };

export interface ListenerOptions {
  capture?: boolean;
  once?: boolean;
  passive?: boolean;
  signal?: { readonly aborted: boolean; addEventListener(type: "abort", listener: () => void): void };
}

interface Registered {
  readonly listener: EventListener;
  readonly capture: boolean;
  readonly once: boolean;
  readonly passive: boolean;
  removed: boolean;
}

/** Does anything listen to events of that type? Set when the class is defined. */
export let hasListeners: (target: EventTarget, type: string) => boolean;

export class EventTarget {
  readonly #listeners = new Map<string, Registered[]>();

  static {
    hasListeners = (target, type) => (target.#listeners.get(type) ?? []).length > 0;
  }

  addEventListener(type: string, listener: EventListener | null, options: boolean | ListenerOptions = {}): void {
    const { capture = false, once = false, passive = false, signal } = typeof options === "boolean" ? { capture: options } : options;
    if (listener === null || listener === undefined || signal?.aborted) return;
    const all = this.#listeners.get(String(type)) ?? [];
    if (all.some((other) => other.listener === listener && other.capture === capture)) return;
    this.#listeners.set(String(type), [...all, { listener, capture, once, passive, removed: false }]);
    signal?.addEventListener("abort", () => this.removeEventListener(type, listener, capture));
  }

  removeEventListener(type: string, listener: EventListener | null, options: boolean | { capture?: boolean } = {}): void {
    const capture = typeof options === "boolean" ? options : (options.capture ?? false);
    const all = this.#listeners.get(String(type)) ?? [];
    const found = all.find((other) => other.listener === listener && other.capture === capture);
    if (found === undefined) return;
    // A dispatch that is under way must not call it any more.
    found.removed = true;
    this.#listeners.set(String(type), all.filter((other) => other !== found));
  }

  /** Calls the listeners, in their order. An error of one is thrown once all have been called. */
  dispatchEvent(event: Event): boolean {
    const dispatch = inside(event);
    if (dispatch.active) throw exception("InvalidStateError", "the event is being dispatched already");
    Object.assign(dispatch, { target: this, active: true, stopped: false });
    const errors: unknown[] = [];
    for (const entry of this.#listeners.get(event.type) ?? []) {
      if (entry.removed) continue;
      if (entry.once) this.removeEventListener(event.type, entry.listener, entry.capture);
      dispatch.passive = entry.passive;
      try {
        if (typeof entry.listener === "function") entry.listener.call(this, event);
        else entry.listener.handleEvent(event);
      } catch (error) {
        errors.push(error);
      }
      dispatch.passive = false;
      if (dispatch.stopped) break;
    }
    dispatch.active = false;
    // Elsewhere such an error is the program's, which ends by it or shows it. Here it is the handler's.
    if (errors.length > 0) queueMicrotask(() => {
      throw errors.length === 1 ? errors[0] : new AggregateError(errors, `listeners of "${event.type}" failed`);
    });
    return !dispatch.prevented;
  }
}
