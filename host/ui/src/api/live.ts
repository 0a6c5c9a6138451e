/** What a view shows, kept up to date: read again from time to time while somebody looks, and when something has changed. */
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { interruptions, sleep } from "./events.ts";
import { isLockedOut } from "./http.ts";

export interface Live<Document> {
  /** `undefined` until the first answer. After an error it is the last answer. */
  readonly data: Signal<Document | undefined>;
  readonly error: Signal<Error | undefined>;
  /** Reads it soon. */
  readonly refresh: () => void;
}

/** A backend that answers slowly is asked less often: the pause is at least so many times the time of the answer. */
const PATIENCE = 4;

/** Requests that follow from events are at least this far apart, in milliseconds. */
const SOON = 400;

/**
 * Reads a document now and then every `every` milliseconds, as long as the view is there and the page is visible. `key` says what is
 * read: with another key it is read anew. `null` reads nothing.
 */
export function useLive<Document>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<Document>,
  { every = 5_000, until }: { readonly every?: number; readonly until?: (document: Document) => boolean } = {},
): Live<Document> {
  const live = useMemo(() => {
    const wake: { now: () => void } = { now: () => {} };
    return {
      data: signal<Document | undefined>(undefined),
      error: signal<Error | undefined>(undefined),
      refresh: () => wake.now(),
      wake,
    };
  }, [key]);
  const locked = isLockedOut.value;
  useEffect(() => {
    if (key === null || locked) return undefined;
    const stop = new AbortController();
    void keepReading(stop.signal);
    return () => stop.abort();

    async function keepReading(stopped: AbortSignal): Promise<void> {
      while (!stopped.aborted) {
        const begun = performance.now();
        let isWanted = false;
        let resolve = (): void => {};
        live.wake.now = () => {
          isWanted = true;
          resolve();
        };
        try {
          const document = await load(stopped);
          if (stopped.aborted) return;
          live.data.value = document;
          live.error.value = undefined;
          // What will not change any more is read again only if somebody asks.
          if (until?.(document) && !isWanted) await new Promise<void>((done) => (resolve = done, stopped.addEventListener("abort", () => done())));
        } catch (error) {
          if (stopped.aborted) return;
          live.error.value = error instanceof Error ? error : new Error(String(error));
        }
        const took = performance.now() - begun;
        await sleep(Math.max(SOON, 2 * took), stopped);
        if (isWanted) continue;
        const pause = new AbortController();
        resolve = () => pause.abort();
        stopped.addEventListener("abort", () => pause.abort(), { once: true });
        if (!isWanted) await sleep(Math.max(every, PATIENCE * took), pause.signal);
        await visible(stopped);
      }
    }
  }, [key, locked]);
  const seen = useRef(interruptions.value);
  useEffect(() => {
    if (seen.current !== interruptions.value) live.refresh();
    seen.current = interruptions.value;
  }, [interruptions.value]);
  return live;
}

/** Waits until the page can be seen. */
function visible(stopped: AbortSignal): Promise<void> {
  if (document.visibilityState === "visible") return Promise.resolve();
  return new Promise((done) => {
    const look = (): void => {
      if (document.visibilityState !== "visible" && !stopped.aborted) return;
      document.removeEventListener("visibilitychange", look);
      done();
    };
    document.addEventListener("visibilitychange", look);
    stopped.addEventListener("abort", look, { once: true });
  });
}
