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
   * Answers the promise with a JSON value. The same answer again is no error. Throws a ConflictError: `answered-otherwise`,
   * or `job-over`.
   */
  async resolve(value: unknown = null, { signal }: RequestOptions = {}): Promise<void> {
    const body = stringify("the value", value);
    await this.#http.send({ method: "POST", path: path`/jobs/${this.job}/promises/${this.name}`, body, signal });
  }

  /** Ends the promise with a failure of the kind `rejected`, whose message is the reason. */
  async reject(reason: string, { signal }: RequestOptions = {}): Promise<void> {
    const body = stringify("the reason", { reason });
    await this.#http.send({ method: "POST", path: path`/jobs/${this.job}/promises/${this.name}/reject`, body, signal });
  }
}
