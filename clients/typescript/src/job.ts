/** One job: its state, its result, its events, and what can be done to it. */
import { Limit, sleep } from "./abort.js";
import { milliseconds, type Duration } from "./duration.js";
import {
  camel,
  jobStatus,
  logLine,
  treeNode,
  type JobStatus,
  type LogLevel,
  type LogLine,
  type OpenPromise,
  type Tree,
} from "./documents.js";
import {
  BrrrError,
  ConflictError,
  JobCancelledError,
  type JobError,
  JobFailedError,
  JobTimedOutError,
  WaitTimeoutError,
  type Failure,
} from "./errors.js";
import { follow, type FollowOptions, type JobEvent } from "./events.js";
import { waitSeconds, type Answer, type Http } from "./http.js";
import { path } from "./path.js";

export interface RequestOptions {
  /** Ends the request, and the wait for it, with the signal's reason. It ends nothing that the gateway has begun. */
  readonly signal?: AbortSignal | undefined;
}

export interface WaitOptions extends RequestOptions {
  /** For how long to wait at most. Without it: until the job is over. */
  readonly timeout?: Duration | undefined;
}

/** A job of which the gateway has told something already. */
export type KnownJob<Result = unknown> = Job<Result> & { readonly latest: JobStatus<Result> };

/** Who answers sooner than that did not wait: perhaps a proxy has dropped the header `prefer`. */
const LEAST_WAIT_MS = 500;

/** A job. `Result` is what its task gives: it is believed, not checked. */
export class Job<Result = unknown> {
  readonly id: string;
  readonly #http: Http;
  #latest: JobStatus<Result> | undefined;

  /** Made by the client: `client.start(…)`, `client.job(id)`, `client.jobs()`. */
  constructor(http: Http, id: string, latest?: JobStatus<Result>) {
    this.id = id;
    this.#http = http;
    this.#latest = latest;
  }

  /** What the gateway last said of the job, without asking it. */
  get latest(): JobStatus<Result> | undefined {
    return this.#latest;
  }

  /** Asks for the job's state. */
  async status({ signal }: RequestOptions = {}): Promise<JobStatus<Result>> {
    return (this.#latest = jobStatus(await this.#http.json({ method: "GET", path: path`/jobs/${this.id}`, signal })));
  }

  /**
   * Waits for the job's value: JSON (whole numbers beyond 2^53 as BigInts), or a Uint8Array if it is not JSON. Asks nobody if
   * `latest` says how the job ended.
   *
   * Throws a JobFailedError, JobCancelledError or JobTimedOutError if the job has no result, a WaitTimeoutError if it is not
   * over in time, and a ForgottenError if its value was removed from the store.
   */
  async result({ timeout, signal }: WaitOptions = {}): Promise<Result> {
    signal?.throwIfAborted();
    const ms = timeout === undefined ? Infinity : milliseconds("timeout", timeout);
    const { latest } = this;
    if (latest && "result" in latest) return latest.result as Result;
    if (latest?.failure) throw jobError(latest, latest.failure);
    const end = performance.now() + ms;
    // With no time at all there is one question, which takes the time that it takes.
    const limit = new Limit(signal, ms === 0 ? Infinity : ms);
    try {
      for (;;) {
        const asked = performance.now();
        const answer = await this.#askForResult(waitSeconds(end - asked), limit.signal);
        if (answer) return this.#http.value(answer) as Result;
        if (performance.now() >= end) throw new WaitTimeoutError(this.id, ms);
        await sleep(asked + LEAST_WAIT_MS - performance.now(), limit.signal);
      }
    } catch (error) {
      if (limit.timedOut && !signal?.aborted && !(error instanceof BrrrError)) throw new WaitTimeoutError(this.id, ms);
      throw error;
    } finally {
      limit.release();
    }
  }

  /** One question, which waits so many seconds. `undefined`: the job is not over. */
  async #askForResult(wait: number, signal: AbortSignal): Promise<Answer | undefined> {
    try {
      return await this.#http.send({ method: "GET", path: path`/jobs/${this.id}/result`, wait, signal });
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      if (error.name === "not-over") return undefined;
      // The state, which the answer does not say, tells what kind of error it is.
      if (error.name === "job-failed") throw jobError(await this.status({ signal }), error.problem["failure"] as Failure);
      throw error;
    }
  }

  /** Cancels the job. Throws a ConflictError `job-over` if it is over. */
  async cancel({ signal }: RequestOptions = {}): Promise<JobStatus<Result>> {
    const answer = await this.#http.send({ method: "POST", path: path`/jobs/${this.id}/cancel`, signal, doneIf: "job-over" });
    if (answer.bytes.length > 0) return (this.#latest = jobStatus(this.#http.jsonOf(answer)));
    // A first try was perhaps done, and its answer was lost.
    const status = await this.status({ signal });
    if (status.state === "cancelled") return status;
    throw new ConflictError(409, "job-over", `job ${this.id} is over: ${status.state}`);
  }

  /** Starts the job's call again, as a new job. Throws a ConflictError `job-alive` if the job is not over. */
  async retry({ signal }: RequestOptions = {}): Promise<KnownJob<Result>> {
    return knownJob(
      this.#http,
      await this.#http.json({ method: "POST", path: path`/jobs/${this.id}/retry`, signal, once: true }),
    );
  }

  /** The job's calls, from its own down to so many levels below (50 if not given). */
  async tree({ depth, signal }: RequestOptions & { readonly depth?: number | undefined } = {}): Promise<Tree> {
    const tree = camel<Tree>(
      await this.#http.json({ method: "GET", path: path`/jobs/${this.id}/tree`, query: { depth }, signal }),
    );
    return { ...tree, tree: treeNode(tree.tree) };
  }

  /**
   * The lines that the job's calls have logged and printed, in the order of time: those of `level` or a more severe one. The
   * lines of a run are there when the run has ended.
   */
  async *logs({ level, signal }: RequestOptions & { readonly level?: LogLevel | undefined } = {}): AsyncGenerator<LogLine, void> {
    let cursor: string | undefined;
    do {
      const query = { level, cursor };
      const page = await this.#http.json({ method: "GET", path: path`/jobs/${this.id}/logs`, query, signal });
      for (const line of page["lines"] as unknown[]) yield logLine(line);
      cursor = (page["next"] ?? undefined) as string | undefined;
    } while (cursor !== undefined);
  }

  /** The promises that the job waits for now. */
  async promises({ signal }: RequestOptions = {}): Promise<readonly OpenPromise[]> {
    const { promises } = await this.#http.json({ method: "GET", path: path`/jobs/${this.id}/promises`, signal });
    return (promises as unknown[]).map((promise) => camel<OpenPromise>(promise));
  }

  /**
   * Follows the job up to its end: each event that is kept, in order, once. A broken connection is followed by another, which
   * continues where it broke.
   */
  events(options: FollowOptions = {}): AsyncGenerator<JobEvent, void> {
    return follow(this.#http, { method: "GET", path: path`/jobs/${this.id}/events` }, options, true);
  }
}

function jobError({ id, state }: JobStatus, failure: Failure): JobError {
  const Kind = state === "cancelled" ? JobCancelledError : state === "timed-out" ? JobTimedOutError : JobFailedError;
  return new Kind(id, failure);
}

/** The job of a document of the gateway's. */
export function knownJob<Result>(http: Http, source: unknown): KnownJob<Result> {
  const status = jobStatus<Result>(source);
  return new Job(http, status.id, status) as KnownJob<Result>;
}
