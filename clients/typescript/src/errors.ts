/** All errors that the client throws by itself. Besides them: TypeError for wrong arguments, and a given signal's reason. */

/** The base of the client's errors. */
export class BrrrError extends Error {
  override name = "BrrrError";
}

/** No answer came, after several tries where a request may be sent again. `cause` is what `fetch` said of the last one. */
export class ConnectionError extends BrrrError {
  override name = "ConnectionError";
}

/** The members of a problem document (RFC 9457). */
export type Problem = Readonly<Record<string, unknown>>;

/**
 * The gateway's answer is an error. `name` is the problem's name, such as `"no-such-job"`; `"http"` if the answer is not the
 * gateway's own, but for example that of a proxy.
 */
export class ApiError extends BrrrError {
  /** The HTTP status. */
  readonly status: number;
  /** What happened, in words. */
  readonly detail: string;
  /** The whole problem document. */
  readonly problem: Problem;
  /** After how many milliseconds the gateway wants to be asked again, if it says so. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, name: string, detail: string, problem: Problem = {}, retryAfterMs?: number) {
    super(detail);
    this.name = name;
    this.status = status;
    this.detail = detail;
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
  }
}

/** 401, 403: the token is missing or wrong, or is not the push token. */
export class UnauthorizedError extends ApiError {}

/** 404: there is no such job, task, topic, schedule or dead letter. */
export class NotFoundError extends ApiError {}

/** 409: the request does not fit what is there: `key-reused`, `hash-conflict`, `job-over`, `job-alive`, `answered-otherwise`, … */
export class ConflictError extends ApiError {}

/** 410 `forgotten`: the job is over, and its result was removed from the store. */
export class ForgottenError extends ApiError {}

/** A place in the input, as a JSON Pointer (RFC 6901), and what is wrong there. */
export interface InputError {
  readonly pointer: string;
  readonly message: string;
}

/** 422: the input breaks the task's input schema. */
export class InvalidInputError extends ApiError {
  /** What is wrong, at each place. */
  get errors(): readonly InputError[] {
    return (this.problem["errors"] ?? []) as InputError[];
  }
}

/** 503, after several tries: the gateway is busy, or its store is away. */
export class UnavailableError extends ApiError {}

const CLASSES: Record<number, typeof ApiError> = {
  401: UnauthorizedError,
  403: UnauthorizedError,
  404: NotFoundError,
  409: ConflictError,
  410: ForgottenError,
  422: InvalidInputError,
  503: UnavailableError,
};

/** The error of an answer with this status and body. `problem` is `undefined` if the body is no problem document. */
export function apiError(status: number, problem: Problem | undefined, retryAfterMs: number | undefined): ApiError {
  const type = problem?.["type"];
  const name = typeof type === "string" ? /^urn:brrr:problem:(.+)$/.exec(type)?.[1] : undefined;
  const detail = problem?.["detail"] ?? problem?.["title"] ?? `the answer has the status ${status}`;
  return new (CLASSES[status] ?? ApiError)(status, name ?? "http", String(detail), problem, retryAfterMs);
}

/** Why a job or a call has no result. */
export interface Failure {
  /** `error`, `permanent`, `trap`, `timeout`, `limit`, `cancelled`, `unknown-task`, `conflict`, `rejected`, …, or the user's own. */
  readonly kind: string;
  /** The task of the call that failed. */
  readonly task: string | null;
  readonly message: string;
  /** How many runs the task had. */
  readonly attempts: number;
  /** The calls from this one down to the one that failed first: a line for each, with its task. */
  readonly chain: readonly string[];
  /** What the handler attached for programs. */
  readonly details?: unknown;
}

/** The base of the errors that say how a job ended without a result. `message` is the failure's. */
export class JobError extends BrrrError {
  override name = "JobError";
  /** The job's id. */
  readonly job: string;
  readonly kind: string;
  readonly task: string | null;
  readonly attempts: number;
  readonly chain: readonly string[];
  readonly details: unknown;

  constructor(job: string, failure: Failure) {
    super(failure.message);
    this.job = job;
    this.kind = failure.kind;
    this.task = failure.task;
    this.attempts = failure.attempts;
    this.chain = failure.chain;
    this.details = failure.details;
  }
}

/** The job's task failed. */
export class JobFailedError extends JobError {
  override name = "JobFailedError";
}

/** The job was cancelled. */
export class JobCancelledError extends JobError {
  override name = "JobCancelledError";
}

/** The job was not over within its own timeout or before its deadline. */
export class JobTimedOutError extends JobError {
  override name = "JobTimedOutError";
}

/** The job is not over yet. It goes on, and can be waited for again. */
export class WaitTimeoutError extends BrrrError {
  override name = "WaitTimeoutError";
  /** The job's id. */
  readonly job: string;

  constructor(job: string, ms: number) {
    super(`job ${job} is not over after ${ms} ms`);
    this.job = job;
  }
}
