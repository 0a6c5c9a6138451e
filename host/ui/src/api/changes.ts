/** Tells a view that something has changed. There is one stream for the whole page: a browser has few connections to a gateway. */
import { useEffect, useRef } from "preact/hooks";
import { type Change, follow } from "./events.ts";
import { isLockedOut } from "./http.ts";

/** Follows the stream while the view is there and the page can be seen. */
export function useChanges(path: string | null, tell: (change: Change) => void): void {
  const locked = isLockedOut.value;
  // The stream stays while what the view does with a change becomes another one, as with another filter.
  const latest = useRef(tell);
  latest.current = tell;
  useEffect(() => {
    if (path === null || locked) return undefined;
    let stop: AbortController | undefined;
    const look = (): void => {
      if (document.visibilityState === "visible") {
        if (stop) return;
        stop = new AbortController();
        void follow(path, (change) => latest.current(change), stop.signal);
      } else {
        stop?.abort();
        stop = undefined;
      }
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      stop?.abort();
      document.removeEventListener("visibilitychange", look);
    };
  }, [path, locked]);
}
