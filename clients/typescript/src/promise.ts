/** A promise of a job, which is answered from outside. */
import type { Http } from "./http.js";
import type { RequestOptions } from "./job.js";
import { stringify } from "./json.js";
import { path } from "./path.js";

export class JobPromise {
  readonly job: string;
  readonly name: string;
  readonly #http: Http;

  /** Made by `client.promise(job, name)`. */
  constructor(http: Http, job: string, name: string) {
    this.job = job;
    this.name = name;
    this.#http = http;
  }

  /**
   * Answers the promise with a JSON value. The same answer again is no error while the job goes on. Throws a ConflictError:
   * `answered-otherwise`, or `job-over`.
   */
  async resolve(value: unknown = null, { signal }: RequestOptions = {}): Promise<void> {
    await this.#answer(path`/jobs/${this.job}/promises/${this.name}`, stringify("the value", value), signal);
  }

  /** Ends the promise with a failure of the kind `rejected`, whose message is the reason. Throws as `resolve` does. */
  async reject(reason: string, { signal }: RequestOptions = {}): Promise<void> {
    await this.#answer(path`/jobs/${this.job}/promises/${this.name}/reject`, stringify("the reason", { reason }), signal);
  }

  async #answer(path: string, body: string, signal: AbortSignal | undefined): Promise<void> {
    // The job may be over by the time a first try's lost answer makes for a second one: by its promise's answer, most likely.
    await this.#http.send({ method: "POST", path, body, signal, doneIf: "job-over" });
  }
}
