/** Code that is shipped: components in the store, and the revisions of a topic's code. */
import { camel } from "./documents.js";
import { waitSeconds, type Http } from "./http.js";
import { milliseconds, type Duration } from "./duration.js";
import type { RequestOptions } from "./job.js";
import { stringify } from "./json.js";
import { path } from "./path.js";

/** A component in the store. */
export interface ComponentStatus {
  /** `sha256:` and its digest. */
  readonly digest: string;
  /** Its bytes. */
  readonly size: number;
  readonly sdk: string;
  readonly tasks: readonly string[];
}

/** A component that was uploaded. */
export interface UploadedComponent extends ComponentStatus {
  readonly chunks: number;
  /** The chunks that were not in the store. */
  readonly newChunks: number;
  /** Their bytes, compressed. */
  readonly newBytes: number;
}

/** A revision of a topic's code. */
export interface RevisionStatus {
  readonly topic: string;
  readonly revision: number;
  /** When it was pushed. */
  readonly from: Date;
  /** The part of new jobs that it takes. */
  readonly percent: number;
  readonly components: readonly { readonly name: string; readonly digest: string }[];
  readonly note: string;
  readonly by: string;
  /** The revision whose code it has, after a rollback. */
  readonly restores: number | null;
  /** What has become of it on the workers that run. */
  readonly workers: Readonly<Record<string, "loading" | "loaded" | { readonly failed: string }>>;
}

/** What became of a push. */
export interface PushedRevision {
  readonly topic: string;
  readonly revision: number;
  /** The part of new jobs that it takes. 0: not all workers have loaded it yet. The same push again goes on. */
  readonly percent: number;
  /** False: the newest revision has had these components already. */
  readonly new: boolean;
  /** The workers that have loaded it. */
  readonly loaded: readonly string[];
  /** The workers that have not said yet what became of it. */
  readonly silent: readonly string[];
}

export interface PushOptions extends RequestOptions {
  /** The part of new jobs that it takes; 100 if not given. */
  readonly percent?: number | undefined;
  readonly note?: string | undefined;
  readonly by?: string | undefined;
  /** How many of the newest revisions stay. */
  readonly keep?: number | undefined;
  /** Which revision runs a job: the one of its creation, or the newest. */
  readonly follow?: "pinned" | "newest" | undefined;
  /** How long the gateway waits for the workers, a minute at most; `"30s"` if not given. */
  readonly wait?: Duration | undefined;
}

/** The revisions of a topic's code. To change them, the client's token has to be the gateway's push token. */
export class Deployments {
  readonly topic: string;
  readonly #http: Http;

  /** Made by `client.deployments(topic)`. */
  constructor(http: Http, topic: string) {
    this.topic = topic;
    this.#http = http;
  }

  /** All revisions, newest first. */
  async list({ signal }: RequestOptions = {}): Promise<readonly RevisionStatus[]> {
    const { revisions } = await this.#http.json({ method: "GET", path: this.#path, signal });
    return (revisions as unknown[]).map(revision);
  }

  /**
   * Pushes a revision of components that were uploaded, by their digests. It takes jobs once every worker has loaded it.
   *
   * Throws a ConflictError `cannot-load` if a worker can't, a NotFoundError `no-such-component`.
   */
  async push(digests: readonly string[], options: PushOptions = {}): Promise<PushedRevision> {
    const { percent, note, by, keep, follow, signal } = options;
    const body = { components: digests.map((digest) => ({ digest })), percent, note, by, keep, follow };
    const wait = waitSeconds(milliseconds("wait", options.wait ?? "30s"));
    // Without a wait the gateway would take its own.
    const headers = wait === 0 ? { prefer: "wait=0" } : {};
    const request = { method: "POST", path: this.#path, headers, body: stringify("the revision", body), wait, signal } as const;
    return camel<PushedRevision>(await this.#http.json(request));
  }

  /** Changes the part of new jobs that a revision takes. */
  ramp(number: number, percent: number, options: RequestOptions = {}): Promise<RevisionStatus> {
    return this.#change(number, "ramp", { percent }, options);
  }

  /** Lets the code of this revision take all new jobs, as a new revision. */
  rollback(number: number, { note, signal }: RequestOptions & { readonly note?: string } = {}): Promise<RevisionStatus> {
    return this.#change(number, "rollback", { note }, { signal });
  }

  /** Removes a revision. Its jobs go on with the next newer one. */
  async remove(number: number, { signal }: RequestOptions = {}): Promise<void> {
    await this.#http.send({ method: "DELETE", path: `${this.#path}/${number}`, signal });
  }

  async #change(number: number, what: string, body: unknown, { signal }: RequestOptions): Promise<RevisionStatus> {
    const request = { method: "POST", path: `${this.#path}/${number}/${what}`, body: stringify("the change", body), signal } as const;
    return revision(await this.#http.json(request));
  }

  get #path(): string {
    return path`/topics/${this.topic}/deployments`;
  }
}

function revision(source: unknown): RevisionStatus {
  const { from, ...rest } = camel<RevisionStatus & { readonly from: string | Date }>(source);
  return { ...rest, from: new Date(from) };
}
