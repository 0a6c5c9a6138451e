/** The entrance: one gateway. */
import { Deployments, type ComponentStatus, type UploadedComponent } from "./code.js";
import { camel, topicDetails, type DeadLetter, type JobState, type TopicDetails, type TopicSummary } from "./documents.js";
import { durationText, milliseconds, timeText, type Duration } from "./duration.js";
import { follow, type FollowOptions, type JobEvent } from "./events.js";
import { Http, waitSeconds, type ClientOptions } from "./http.js";
import { Job, knownJob, type KnownJob, type RequestOptions } from "./job.js";
import { stringify } from "./json.js";
import { checkKey, randomKey } from "./key.js";
import { inputBody, optionsBody, type Input, type StartOptions } from "./options.js";
import { path } from "./path.js";
import { JobPromise } from "./promise.js";
import { Schedule, type ScheduleStatus } from "./schedule.js";

/** Which jobs to list. */
export interface JobFilter extends RequestOptions {
  readonly state?: JobState | undefined;
  readonly topic?: string | undefined;
  readonly task?: string | undefined;
  readonly label?: string | undefined;
  /** Only jobs that were accepted at this time or later. A duration: so long ago. */
  readonly since?: Date | Duration | undefined;
  /** Only jobs that were accepted before this time. A duration: so long ago. */
  readonly until?: Date | Duration | undefined;
  /** How many jobs one request asks for: 1 to 500. It bounds no listing: leave the loop for that. */
  readonly pageSize?: number | undefined;
}

/** A client of one gateway of brrr-host. It holds no connection, so it needs no end. */
export class Client {
  readonly #http: Http;

  /** `url` is the gateway's address, such as `http://localhost:8080`, without `/v1`. */
  constructor(url: string | URL, options: ClientOptions = {}) {
    this.#http = new Http(url, options);
  }

  /**
   * Starts a job, once, however often the request has to be sent. `topic` may be `null` if one topic of the gateway has the
   * task.
   *
   * Throws a NotFoundError (`no-such-task`, `no-such-topic`), an InvalidInputError, a ConflictError `key-reused`.
   */
  async start<Result = unknown>(
    topic: string | null,
    task: string,
    input?: Input,
    options: StartOptions = {},
  ): Promise<KnownJob<Result>> {
    const { key, delay, at, signal } = options;
    const wait = options.wait === undefined ? 0 : waitSeconds(milliseconds("wait", options.wait));
    const body = {
      topic: topic ?? undefined,
      task,
      ...inputBody(input),
      delay: delay === undefined ? undefined : durationText("delay", delay),
      at: at?.toISOString(),
      options: optionsBody(options),
    };
    const headers = { "idempotency-key": key === undefined ? randomKey() : checkKey(key) };
    const request = { method: "POST", path: "/jobs", headers, body: stringify("the input", body), wait, signal } as const;
    return knownJob(this.#http, await this.#http.json(request));
  }

  /** A job by its id, without asking for it. */
  job<Result = unknown>(id: string): Job<Result> {
    return new Job(this.#http, id);
  }

  /** The jobs that are kept, newest first. The listing has no results and failures: ask the job for those. */
  async *jobs(filter: JobFilter = {}): AsyncGenerator<KnownJob, void> {
    const { state, topic, task, label, pageSize, signal } = filter;
    // One time for all pages, so that they are pages of one list.
    const now = Date.now();
    const since = filter.since === undefined ? undefined : timeText("since", filter.since, now);
    const until = filter.until === undefined ? undefined : timeText("until", filter.until, now);
    let cursor: string | undefined;
    do {
      const query = { state, topic, task, label, since, until, limit: pageSize, cursor };
      const page = await this.#http.json({ method: "GET", path: "/jobs", query, signal });
      for (const job of page["jobs"] as unknown[]) yield knownJob(this.#http, job);
      cursor = (page["next"] ?? undefined) as string | undefined;
    } while (cursor !== undefined);
  }

  /** A promise of a job, to resolve or reject it. */
  promise(job: Job | string, name: string): JobPromise {
    return new JobPromise(this.#http, typeof job === "string" ? job : job.id, name);
  }

  /** Follows the events of all jobs, or of one topic. It has no end: leave the loop, or give a signal. */
  events({ topic, ...options }: FollowOptions & { readonly topic?: string | undefined } = {}): AsyncGenerator<JobEvent, void> {
    return follow(this.#http, { method: "GET", path: "/events", query: { topic } }, options, false);
  }

  /** The topics, with their tasks and what waits in their queues. */
  async topics({ signal }: RequestOptions = {}): Promise<readonly TopicSummary[]> {
    const { topics } = await this.#http.json({ method: "GET", path: "/topics", signal });
    return (topics as unknown[]).map((topic) => camel<TopicSummary>(topic));
  }

  /** A topic, with what its tasks say of themselves. */
  async topic(name: string, { signal }: RequestOptions = {}): Promise<TopicDetails> {
    return topicDetails(await this.#http.json({ method: "GET", path: path`/topics/${name}`, signal }));
  }

  /** A component in the store, by its digest (`sha256:…`). */
  async component(digest: string, { signal }: RequestOptions = {}): Promise<ComponentStatus> {
    return camel<ComponentStatus>(await this.#http.json({ method: "GET", path: path`/components/${digest}`, signal }));
  }

  /**
   * Uploads a component. It takes no jobs by that: push it, or start a job of the task `TASK@sha256:…`. The client's token has to be
   * the gateway's push token. The gateway compiles the component first: give the client a `requestTimeout` of minutes.
   */
  async upload(component: Uint8Array<ArrayBuffer>, { signal }: RequestOptions = {}): Promise<UploadedComponent> {
    const headers = { "content-type": "application/wasm" };
    return camel<UploadedComponent>(
      await this.#http.json({ method: "POST", path: "/components", headers, body: component, signal }),
    );
  }

  /** The revisions of a topic's code, to list and change them. */
  deployments(topic: string): Deployments {
    return new Deployments(this.#http, topic);
  }

  /** The schedules of a topic. */
  async schedules(topic: string, { signal }: RequestOptions = {}): Promise<readonly ScheduleStatus[]> {
    const { schedules } = await this.#http.json({ method: "GET", path: path`/topics/${topic}/schedules`, signal });
    return (schedules as unknown[]).map((schedule) => camel<ScheduleStatus>(schedule));
  }

  /** A schedule by its name, to make, read, pause or delete it. */
  schedule(topic: string, name: string): Schedule {
    return new Schedule(this.#http, topic, name);
  }

  /** The messages of a topic that no worker could take. */
  async deadLetters(
    topic: string,
    { limit, signal }: RequestOptions & { readonly limit?: number | undefined } = {},
  ): Promise<readonly DeadLetter[]> {
    const request = { method: "GET", path: path`/topics/${topic}/dead-letters`, query: { limit }, signal } as const;
    const { dead_letters: letters } = await this.#http.json(request);
    return (letters as unknown[]).map((letter) => camel<DeadLetter>(letter));
  }

  /**
   * Sends a dead letter to its topic's queue again. Gives the new job, if its call had failed in its own; else the message is
   * sent as it was.
   */
  async sendDeadLetter(topic: string, id: string, { signal }: RequestOptions = {}): Promise<Job | null> {
    const send = path`/topics/${topic}/dead-letters/${id}/send`;
    const answer = await this.#http.send({ method: "POST", path: send, signal, doneIf: "no-such-dead-letter" });
    if (answer.bytes.length === 0) return null;
    const { job } = this.#http.jsonOf(answer) as { job: string | null };
    return job === null ? null : this.job(job);
  }

  /** Removes a dead letter. */
  async deleteDeadLetter(topic: string, id: string, { signal }: RequestOptions = {}): Promise<void> {
    await this.#http.send({
      method: "DELETE",
      path: path`/topics/${topic}/dead-letters/${id}`,
      signal,
      doneIf: "no-such-dead-letter",
    });
  }
}
