/** Moments and spans that move on while somebody looks. */
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { moment, relative, span } from "../logic/time.ts";

/** The time now, once a second. */
export const now = signal(Date.now());
setInterval(() => {
  if (document.visibilityState === "visible") now.value = Date.now();
}, 1_000);

export function Ago({ at }: { readonly at: string | number }): VNode {
  const ms = typeof at === "number" ? at : Date.parse(at);
  return (
    <time dateTime={new Date(ms).toISOString()} title={moment(ms)}>
      {relative(ms, now.value)}
    </time>
  );
}

/** The time from `from` until `to`, or until now. */
export function Took({ from, to }: { readonly from: number; readonly to?: number | undefined }): VNode {
  return <span class="number">{span(Math.max(0, (to ?? now.value) - from))}</span>;
}
