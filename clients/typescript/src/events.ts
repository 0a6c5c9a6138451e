/** Follows events, over as many connections as it takes. */
import { Limit, sleep } from "./abort.js";
import { pause } from "./backoff.js";
import { camel, type JobState } from "./documents.js";
import { ApiError, ConnectionError, type Failure } from "./errors.js";
import { mayTryAgain, type Http, type Request } from "./http.js";
import { parse } from "./json.js";
import { EventParser, type ServerSentEvent } from "./sse.js";

export type EventState =
  "unscheduled" | "scheduled" | "ready" | "running" | "deferred" | "completed" | "failed" | "cancelled" | "timed-out";

/** A call or a job has changed its state. */
export interface JobEvent {
  /** Its position, after which `after` continues. */
  readonly id: string;
  readonly subject: "task" | "job";
  readonly at: Date;
  readonly job: string;
  readonly call: string;
  readonly task: string | null;
  readonly label?: string;
  readonly topic: string;
  readonly from: EventState;
  readonly to: EventState;
  readonly attempt: number;
  readonly failure?: Failure;
  /** In how many milliseconds a failed run is tried again. */
  readonly retryInMs?: number;
  /** For how many calls a deferred one waits. */
  readonly waiting?: number;
  /** The worker that says it. The gateway itself tells a job's end if no worker does; `task` is `null` then. */
  readonly worker?: string;
}

export interface FollowOptions {
  /** Continues after the event with this id. */
  readonly after?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The gateway sends at least a comment every 15 s. After three times that the connection is taken for dead. */
const SILENCE_MS = 45_000;

const OVER: readonly string[] = ["completed", "failed", "cancelled", "timed-out"] satisfies JobState[];

/**
 * The events of a request, from one connection after the other: a broken one is followed by another that continues after the
 * last event. `untilOver`: the last one is the end of the job; else there is none.
 *
 * Throws a ConnectionError or an UnavailableError when several connections in a row brought nothing.
 */
export async function* follow(
  http: Http,
  request: Request,
  options: FollowOptions,
  untilOver: boolean,
  silenceMs = SILENCE_MS,
): AsyncGenerator<JobEvent, void> {
  const { signal } = options;
  let after = options.after ?? "";
  let fruitless = 0;
  for (;;) {
    const connection = new Connection(http, request, after, signal, silenceMs);
    let failure: unknown = new ConnectionError("the stream of events ends without an event");
    try {
      for await (const { id, data } of connection.events()) {
        after = id || after;
        const event = { ...camel<JobEvent>(parse(data)), id: after };
        yield event;
        if (untilOver && event.subject === "job" && OVER.includes(event.to)) return;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!mayTryAgain(error)) throw error;
      failure = error;
    } finally {
      connection.close();
    }
    fruitless = connection.heard ? 0 : fruitless + 1;
    if (fruitless > http.retries) throw failure;
    const asked = failure instanceof ApiError ? failure.retryAfterMs : connection.retryMs;
    await sleep(asked ?? pause(fruitless), signal);
  }
}

/** One connection that brings events. */
class Connection {
  readonly #http: Http;
  readonly #request: Request;
  readonly #limit: Limit;
  readonly #silenceMs: number;
  readonly #parser = new EventParser();
  /** Whether anything came. */
  heard = false;

  constructor(http: Http, request: Request, after: string, signal: AbortSignal | undefined, silenceMs: number) {
    const headers = { accept: "text/event-stream", ...(after === "" ? {} : { "last-event-id": after }) };
    this.#http = http;
    this.#request = { ...request, headers };
    this.#limit = new Limit(signal);
    this.#silenceMs = silenceMs;
  }

  /** The pause before the next connection that the gateway asked for, in milliseconds. */
  get retryMs(): number | undefined {
    return this.#parser.retryMs;
  }

  async *events(): AsyncGenerator<ServerSentEvent, void> {
    const response = await this.#orSilence(this.#http.open(this.#request, this.#limit.signal));
    const reader = response.body?.getReader();
    while (reader) {
      let part: ReadableStreamReadResult<Uint8Array>;
      try {
        part = await this.#orSilence(reader.read());
      } catch (cause) {
        throw new ConnectionError("the connection that brought events broke", { cause });
      }
      if (part.done) return;
      this.heard = true;
      yield* this.#parser.push(part.value);
    }
  }

  close(): void {
    this.#limit.abort();
  }

  /** Ends the connection if nothing comes for too long. */
  async #orSilence<Value>(coming: Promise<Value>): Promise<Value> {
    const silent = new DOMException("nothing came for too long", "TimeoutError");
    const timer = setTimeout(() => this.#limit.abort(silent), this.#silenceMs);
    try {
      return await coming;
    } finally {
      clearTimeout(timer);
    }
  }
}
