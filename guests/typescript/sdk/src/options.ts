/** How a task is run, and how one call of it is. A length of time has its unit: in its text or in the option's name. */
import { milliseconds, type Duration } from "./duration.ts";
import { checkSchema, schemaText, type JsonSchema, type Validator } from "./schema.ts";
import type { Signal } from "./scheduler.ts";

/** What a task and a call can both say. Of an option and the same one in milliseconds, give one. */
export interface RunOptions {
  /** How long one run of the handler may take. */
  timeout?: Duration;
  timeoutMs?: number;
  /** Runs after the first one that failed, if the failure may pass: an error, a trap, out of time or memory. */
  maxRetries?: number;
  /** The pause before the first of them. */
  retryDelay?: Duration;
  retryDelayMs?: number;
  /** The longest such pause, where they grow. */
  maxRetryDelay?: Duration;
  maxRetryDelayMs?: number;
  /** How they grow: all alike, or each twice the one before, which is the host's default. */
  backoff?: "fixed" | "exponential";
  /**
   * Who shares the outcome: every job (`fleet`), this job and those that retry it (`job`), or every job for at most so long.
   * A call with a `callHash` shares by that alone.
   */
  scope?: "fleet" | "job" | Duration;
}

/** What the host should know of a task; everything has a default there. */
export interface Options extends RunOptions {
  /** Runs of the task at once, in one worker. */
  maxRunning?: number;
  /** What one run may have, in bytes or as text like "64MiB"; the worker may allow less. */
  memory?: number | string;
  /** The handler calls nobody; in return it has the real clock, sleep and random numbers. */
  leaf?: boolean;
  /** What the task does, for people. */
  description?: string;
  /** What its one argument looks like: a JSON Schema, or a validator (zod, valibot) through which it goes before the handler. */
  input?: JsonSchema | Validator;
  /** What its result looks like, in the same forms. A validator's own schema is shown; the result does not go through it. */
  output?: JsonSchema | Validator;
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
  /** Ends the wait, with the signal's reason: `AbortSignal.timeout(5_000)`. */
  signal?: Signal;
}

/** How a detached job's call is made and run: as any call, without a wait that could be ended. */
export type SpawnOptions = Omit<CallOptions, "signal">;

/** An option by the name that the WIT gives it, and its value as text. */
export type Pair = [key: string, value: string];

/** How a call is run (WIT `invocation.options`). Throws a TypeError for what can't be meant. */
export function callPairs(options: CallOptions): Pair[] {
  // Most calls have none, and there are many calls.
  if (Object.keys(options).length === 0) return [];
  return pairs({ ...runPairs(options), label: options.label });
}

/** How a task is run (WIT `task.options`). Throws a TypeError for what can't be meant. */
export function taskPairs(options: Options): Pair[] {
  const { leaf, maxRunning, memory, description, input, output } = options;
  if (leaf !== undefined && typeof leaf !== "boolean") throw new TypeError(`leaf is true or false, not ${JSON.stringify(leaf)}`);
  if (description !== undefined && typeof description !== "string") throw new TypeError(`description is a text, not ${description}`);
  checkSchema("input", input);
  checkSchema("output", output);
  return pairs({
    ...runPairs(options),
    leaf: leaf ? "true" : undefined,
    "max-running": whole("maxRunning", maxRunning, 1),
    "memory-bytes": bytes(memory),
    description,
    "input-schema": schemaText(input, "input"),
    "output-schema": schemaText(output, "output"),
  });
}

function runPairs(options: RunOptions): Record<string, string | number | undefined> {
  const { maxRetries, backoff, scope } = options;
  if (backoff !== undefined && backoff !== "fixed" && backoff !== "exponential") {
    throw new TypeError(`backoff is "fixed" or "exponential", not ${JSON.stringify(backoff)}`);
  }
  return {
    "timeout-ms": time(options, "timeout"),
    "max-retries": whole("maxRetries", maxRetries, 0, 2 ** 31 - 1),
    "retry-delay-ms": time(options, "retryDelay"),
    "max-retry-delay-ms": time(options, "maxRetryDelay"),
    "retry-backoff": backoff,
    scope: scopeText(scope),
  };
}

function pairs(options: Record<string, string | number | undefined>): Pair[] {
  return Object.entries(options).flatMap(([key, value]): Pair[] => (value === undefined ? [] : [[key, String(value)]]));
}

/** Milliseconds of `timeout` or `timeoutMs`, and likewise of the others. */
function time(options: RunOptions, name: "timeout" | "retryDelay" | "maxRetryDelay"): number | undefined {
  const inMs = `${name}Ms` as const;
  const [duration, ms] = [options[name], options[inMs]];
  if (duration === undefined) return whole(inMs, ms, 0);
  if (ms !== undefined) throw new TypeError(`${name} and ${inMs} are one option: give one of them`);
  return milliseconds(name, duration, inMs);
}

function scopeText(scope: RunOptions["scope"]): string | undefined {
  if (scope === undefined || scope === "fleet" || scope === "job") return scope;
  const ms = milliseconds('scope is "fleet", "job", or a duration, which', scope);
  if (ms === 0) throw new TypeError("scope: a duration is longer than nothing");
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

function whole(name: string, number: number | undefined, least: number, most = Number.MAX_SAFE_INTEGER): number | undefined {
  if (number !== undefined && !(Number.isSafeInteger(number) && number >= least && number <= most)) {
    throw new TypeError(`${name} is a whole number from ${least} to ${most}, not ${number}`);
  }
  return number;
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
