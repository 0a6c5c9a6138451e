/** Schedules: jobs that start by the clock. */
import { camel } from "./documents.js";
import { durationText, type Duration } from "./duration.js";
import type { Http, Request } from "./http.js";
import { knownJob, type KnownJob, type RequestOptions } from "./job.js";
import { stringify } from "./json.js";
import { inputBody, optionsBody, type Input, type JobOptions } from "./options.js";
import { path } from "./path.js";

/** What a job does that starts while the one before is still running. */
export type Overlap = "allow" | "skip" | "cancel-previous";

/** What a schedule starts, and when; with the options of its jobs. */
export interface ScheduleSpec extends JobOptions {
  /** Minute, hour, day of month, month, day of week: `"0 3 * * *"`. */
  readonly cron: string;
  /** A time zone such as `"Europe/Berlin"`; UTC if not given. */
  readonly tz?: string | undefined;
  readonly task: string;
  /** Named arguments, or a Uint8Array for a task that takes bytes. */
  readonly input?: Input | undefined;
  readonly overlap?: Overlap | undefined;
  /** A start that was missed is made up for within this time. */
  readonly catchUp?: Duration | undefined;
  readonly paused?: boolean | undefined;
}

/** A schedule as it was when the gateway answered. */
export interface ScheduleStatus {
  readonly name: string;
  readonly topic: string;
  readonly task: string;
  readonly cron: string;
  readonly tz: string;
  readonly input?: unknown;
  /** In place of `input`: the raw payload. */
  readonly payload?: Uint8Array;
  /** With the names and texts of the HTTP API. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly overlap: Overlap;
  readonly catchUp: string;
  readonly paused: boolean;
  /** When it starts its next job. */
  readonly next: Date | null;
  readonly last: Date | null;
  /** The id of the last job. */
  readonly lastJob: string | null;
}

export class Schedule {
  readonly topic: string;
  readonly name: string;
  readonly #http: Http;

  /** Made by `client.schedule(topic, name)`. */
  constructor(http: Http, topic: string, name: string) {
    this.topic = topic;
    this.name = name;
    this.#http = http;
  }

  /** Makes the schedule, or replaces it. */
  put(spec: ScheduleSpec, options: RequestOptions = {}): Promise<ScheduleStatus> {
    const { cron, tz, task, input, overlap, catchUp, paused } = spec;
    const catch_up = catchUp === undefined ? undefined : durationText("catchUp", catchUp);
    const body = { cron, tz, task, ...inputBody(input), overlap, catch_up, paused, options: optionsBody(spec) };
    return this.#ask({ method: "PUT", body: stringify("the schedule", body) }, options);
  }

  get(options: RequestOptions = {}): Promise<ScheduleStatus> {
    return this.#ask({ method: "GET" }, options);
  }

  async delete({ signal }: RequestOptions = {}): Promise<void> {
    await this.#http.send({ method: "DELETE", path: this.#path, signal, doneIf: "no-such-schedule" });
  }

  /** Starts no further jobs until it is resumed. */
  pause(options: RequestOptions = {}): Promise<ScheduleStatus> {
    return this.#ask({ method: "POST", path: `${this.#path}/pause` }, options);
  }

  resume(options: RequestOptions = {}): Promise<ScheduleStatus> {
    return this.#ask({ method: "POST", path: `${this.#path}/resume` }, options);
  }

  /** Starts a job of it now, besides those of the clock. */
  async run<Result = unknown>({ signal }: RequestOptions = {}): Promise<KnownJob<Result>> {
    return knownJob(this.#http, await this.#http.json({ method: "POST", path: `${this.#path}/run`, signal, once: true }));
  }

  get #path(): string {
    return path`/topics/${this.topic}/schedules/${this.name}`;
  }

  async #ask(request: Partial<Request> & Pick<Request, "method">, { signal }: RequestOptions): Promise<ScheduleStatus> {
    return camel(await this.#http.json({ path: this.#path, ...request, signal }));
  }
}
