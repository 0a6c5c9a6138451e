/** How a task is run, and how one call of it is. Times are in seconds. */

/** What a task and a call can both say. */
export interface RunOptions {
  /** Seconds that one run of the handler may take. */
  timeout?: number;
  /** Runs after the first one that failed, if the failure may pass: an error, a trap, out of time or memory. */
  maxRetries?: number;
  /** Seconds before the first of them. */
  retryDelay?: number;
  /** The longest such pause, where they grow. */
  maxRetryDelay?: number;
  /** How they grow: all alike, or each twice the one before, which is the host's default. */
  backoff?: "fixed" | "exponential";
}

/** What the host should know of a task; everything has a default there. */
export interface Options extends RunOptions {
  /** Runs of the task at once, in one worker. */
  maxRunning?: number;
  /** What one run may have, in bytes or as text like "64MiB"; the worker may allow less. */
  memory?: number | string;
  /** The handler calls nobody; in return it has the real clock, sleep and random numbers. */
  leaf?: boolean;
}

/**
 * Where and as what a call is made, and how it is run in place of what its task says. Of two parents in one job that
 * make the same call, the first decides how it is run: that is no part of its identity.
 */
export interface CallOptions extends RunOptions {
  /** The queue that serves the task; default: the one this very call came from. */
  topic?: string;
  /** The call's identity, in place of the codec's hash of task and arguments. */
  callHash?: string;
  /** A name by which the host's events and listings show the call. */
  label?: string;
}

/** An option by the name that the WIT gives it, and its value as text. */
export type Pair = [key: string, value: string];

/** How a call is run (WIT `invocation.options`). Throws a TypeError for what can't be meant. */
export function callPairs(options: CallOptions): Pair[] {
  return [...runPairs(options), ...pairs({ label: options.label })];
}

/** WIT `options`. Throws a TypeError for what can't be meant. */
export function taskOptions(options: Options) {
  runPairs(options);
  return {
    timeoutMs: milliseconds("timeout", options.timeout) ?? null,
    maxRetries: options.maxRetries ?? null,
    retryDelayMs: milliseconds("retryDelay", options.retryDelay) ?? null,
    leaf: yesOrNo("leaf", options.leaf),
    extra: pairs({
      "retry-backoff": options.backoff,
      "max-retry-delay-ms": milliseconds("maxRetryDelay", options.maxRetryDelay),
      "max-running": whole("maxRunning", options.maxRunning, 1),
      "memory-bytes": bytes(options.memory),
    }),
  };
}

function runPairs({ timeout, maxRetries, retryDelay, maxRetryDelay, backoff }: RunOptions): Pair[] {
  if (backoff !== undefined && backoff !== "fixed" && backoff !== "exponential") {
    throw new TypeError(`backoff is "fixed" or "exponential", not ${JSON.stringify(backoff)}`);
  }
  return pairs({
    "timeout-ms": milliseconds("timeout", timeout),
    "max-retries": whole("maxRetries", maxRetries, 0, 2 ** 31 - 1),
    "retry-delay-ms": milliseconds("retryDelay", retryDelay),
    "max-retry-delay-ms": milliseconds("maxRetryDelay", maxRetryDelay),
    "retry-backoff": backoff,
  });
}

function pairs(options: Record<string, string | number | undefined>): Pair[] {
  return Object.entries(options).flatMap(([key, value]): Pair[] => (value === undefined ? [] : [[key, String(value)]]));
}

function milliseconds(name: string, seconds: number | undefined): number | undefined {
  if (seconds === undefined) return undefined;
  if (!(Number.isSafeInteger(Math.round(seconds * 1000)) && seconds >= 0)) {
    throw new TypeError(`${name} is a number of seconds, not ${seconds}`);
  }
  return Math.round(seconds * 1000);
}

function whole(name: string, number: number | undefined, least: number, most = Number.MAX_SAFE_INTEGER): number | undefined {
  if (number !== undefined && !(Number.isSafeInteger(number) && number >= least && number <= most)) {
    throw new TypeError(`${name} is a whole number from ${least} to ${most}, not ${number}`);
  }
  return number;
}

function yesOrNo(name: string, value: unknown): boolean {
  if (value === undefined || typeof value === "boolean") return value ?? false;
  throw new TypeError(`${name} is true or false, not ${JSON.stringify(value)}`);
}

const UNITS: Record<string, number> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

function bytes(memory: number | string | undefined): number | undefined {
  if (typeof memory !== "string") return whole("memory", memory, 0);
  const [, number, unit] = /^(\d+) ?(KiB|MiB|GiB)$/.exec(memory) ?? [];
  if (unit === undefined) {
    throw new TypeError(`memory is a number of bytes, or a text like "64MiB" (KiB, MiB, GiB), not "${memory}"`);
  }
  return Number(number) * UNITS[unit]!;
}
