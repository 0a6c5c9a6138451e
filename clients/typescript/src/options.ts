/** Options of a job, and the body that they become. */
import { toBase64 } from "./base64.js";
import { durationText, type Duration } from "./duration.js";

/** How a job is run. What is not given is the choice of the task or the worker. */
export interface JobOptions {
  /** How long the job may take, from its start. */
  readonly timeout?: Duration | undefined;
  /** When the job must be over. */
  readonly deadline?: Date | undefined;
  /** How many messages the job may use. */
  readonly maxMessages?: number | undefined;
  /** Who shares the outcome: all jobs (`"fleet"`), this one (`"job"`), or all jobs for so long. */
  readonly scope?: "fleet" | "job" | Duration | undefined;
  /** A name by which events and listings show the job. */
  readonly label?: string | undefined;
  /** How long one run of the task may take. */
  readonly taskTimeout?: Duration | undefined;
  /** How often the task is run again after a failure that may pass. */
  readonly maxRetries?: number | undefined;
  /** The pause before the first of those. */
  readonly retryDelay?: Duration | undefined;
  /** The longest pause, where they grow. */
  readonly maxRetryDelay?: Duration | undefined;
  /** `"exponential"`: each pause is twice the one before; `"fixed"`: all are alike. */
  readonly retryBackoff?: "exponential" | "fixed" | undefined;
}

export interface StartOptions extends JobOptions {
  /**
   * The idempotency key: a second start with the same key and call gives the first one's job. Random if not given, so that
   * one `start` starts one job, however often it is sent.
   */
  readonly key?: string | undefined;
  /** Starts the job after so long. */
  readonly delay?: Duration | undefined;
  /** Starts the job at this time. */
  readonly at?: Date | undefined;
  /**
   * The gateway answers when the job is over, or after this time (at most a minute). `job.result()` then needs no further
   * request.
   */
  readonly wait?: Duration | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The arguments of a task: named ones, or the payload's bytes for a task that takes bytes. */
export type Input = object | Uint8Array;

/** The members `input` or `payload_base64`. */
export function inputBody(input: Input | undefined): Record<string, unknown> {
  if (input === undefined) return {};
  if (input instanceof Uint8Array) return { payload_base64: toBase64(input) };
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new TypeError("the input is an object of named arguments, such as { n: 30 }, or a Uint8Array");
  }
  return { input };
}

/** The member `options`, as the gateway names them. Those that are `undefined` are left out. */
export function optionsBody(options: JobOptions): Record<string, unknown> {
  const text = (name: keyof JobOptions, value: Duration | undefined) =>
    value === undefined ? undefined : durationText(name, value);
  const { scope } = options;
  return {
    timeout: text("timeout", options.timeout),
    deadline: options.deadline?.toISOString(),
    max_messages: options.maxMessages,
    scope: scope === "fleet" || scope === "job" ? scope : text("scope", scope),
    label: options.label,
    task_timeout: text("taskTimeout", options.taskTimeout),
    max_retries: options.maxRetries,
    retry_delay: text("retryDelay", options.retryDelay),
    max_retry_delay: text("maxRetryDelay", options.maxRetryDelay),
    retry_backoff: options.retryBackoff,
  };
}
