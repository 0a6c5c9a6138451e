/** The events of the gateway, over `fetch`: a browser's EventSource can't send the token. */
import { signal } from "@preact/signals";
import { EventParser } from "../../../../clients/typescript/src/sse.ts";
import { ApiError, send } from "./http.ts";

/** A change of a call or of a job. */
export interface Change {
  readonly at: string;
  readonly subject: "task" | "job";
  readonly job: string;
  readonly call: string;
  readonly task: string | null;
  readonly topic: string;
  readonly from: string;
  readonly to: string;
  readonly attempt: number;
  readonly failure?: { readonly kind: string; readonly message: string };
  readonly retry_in_ms?: number;
  readonly worker?: string;
}

/** Is a stream open? */
export const isLive = signal(false);

/** Changes when a stream breaks off, and when it is back. What is shown may be old then. */
export const interruptions = signal(0);

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5_000;

/**
 * Follows a stream until `stop`. When the connection ends, it continues after the last event that came. A stream that has an end
 * (that of a job) is not continued after it.
 */
export async function follow(path: string, tell: (change: Change) => void, stop: AbortSignal): Promise<void> {
  let last = "";
  let pause = FIRST_PAUSE;
  let isBroken = false;
  while (!stop.aborted) {
    try {
      const headers: Record<string, string> = last ? { "last-event-id": last } : {};
      const response = await send(path, { headers, signal: stop });
      isLive.value = true;
      if (isBroken) interruptions.value += 1;
      isBroken = false;
      const over = await read(response, (id, change) => {
        last = id;
        pause = FIRST_PAUSE;
        if (change) tell(change);
      });
      if (over) break;
    } catch (error) {
      // Without the job, or without the token, another try gives the same answer.
      if (error instanceof ApiError && error.status < 500) break;
    }
    isLive.value = false;
    if (!isBroken && !stop.aborted) interruptions.value += 1;
    isBroken = true;
    await sleep(pause * (0.75 + Math.random() / 2), stop);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
  isLive.value = false;
}

/** Reads a stream. Gives `true` if its last event was the end of the job that it follows. */
async function read(response: Response, tell: (id: string, change?: Change) => void): Promise<boolean> {
  const parser = new EventParser();
  const reader = response.body?.getReader();
  const ofJob = response.url.includes("/v1/jobs/");
  let isOver = false;
  for (;;) {
    const part = await reader?.read();
    if (!part || part.done) return isOver;
    for (const { id, type, data } of parser.push(part.value)) {
      if (type !== "task" && type !== "job") continue;
      const change = JSON.parse(data) as Change;
      isOver = ofJob && change.subject === "job" && ["completed", "failed", "cancelled", "timed-out"].includes(change.to);
      tell(id, change);
    }
  }
}

export function sleep(ms: number, stop?: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (stop?.aborted) return done();
    const timer = setTimeout(done, ms);
    stop?.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}
