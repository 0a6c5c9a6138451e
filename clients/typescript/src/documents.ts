/** What the gateway says, with the names and types of JavaScript: camelCase keys, Dates, bytes. */
import { fromBase64 } from "./base64.js";
import type { Failure } from "./errors.js";

export type JobState = "scheduled" | "running" | "completed" | "failed" | "cancelled" | "timed-out";

/** A job as it was when the gateway answered. */
export interface JobStatus<Result = unknown> {
  readonly id: string;
  readonly state: JobState;
  readonly topic: string;
  /** `null` if its task is not known any more. */
  readonly task: string | null;
  /** The hash of its first call. */
  readonly call: string;
  readonly created: Date;
  /** When a delayed job starts. */
  readonly starts: Date | null;
  readonly ended: Date | null;
  readonly durationMs: number | null;
  readonly deadline: Date | null;
  /** A name for people. */
  readonly label?: string;
  /** The job that this one tries again. */
  readonly retryOf: string | null;
  /** How many messages it has used. */
  readonly messages: number | null;
  /** Of a completed job, but not in listings. Bytes if the value is not JSON. */
  readonly result?: Result;
  /** Why a failed, cancelled or timed-out job has no result; not in listings. */
  readonly failure?: Failure;
  /** The job is completed, but its result was removed from the store. */
  readonly forgotten?: boolean;
}

/** A call of a job, and those that it made. */
export interface TreeNode {
  /** `null`: no record describes the call. */
  readonly task: string | null;
  readonly call: string;
  readonly state: string;
  /** The name of the promise that the call is. */
  readonly promise?: string;
  readonly label?: string;
  /** The call is in the tree before, and with its children there. All that follows is left out here. */
  readonly seeAbove?: boolean;
  readonly attempt?: number;
  readonly durationMs?: number | null;
  /** Its value is older than the job. */
  readonly reused?: boolean;
  /** For how many calls it waits. */
  readonly waiting?: number;
  /** When the sleep or the limit ends for which it waits. */
  readonly waitsUntil?: Date;
  readonly nextAttemptAt?: Date;
  readonly lastFailure?: string;
  readonly failure?: Failure;
  readonly children: readonly TreeNode[];
  /** How many of its calls are not shown. */
  readonly leftOut?: number;
}

export interface Tree {
  readonly tree: TreeNode;
  /** Whether there is more than was asked for. */
  readonly cut: boolean;
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";

/** A line that a call has logged or printed. */
export interface LogLine {
  readonly time: Date;
  /** What was printed to stdout or stderr has `info`. */
  readonly level: LogLevel;
  /** Where the line comes from. */
  readonly stream: "log" | "stdout" | "stderr";
  readonly text: string;
  /** The fields that were logged with it. */
  readonly fields: Readonly<Record<string, string>>;
  /** The hash of the call. */
  readonly call: string;
  /** `null`: no record describes the call. */
  readonly task: string | null;
  /** In which attempt of the call, from 1. */
  readonly attempt: number;
  /** The number of the line among all lines of the call in the job, from 0. The oldest lines may not be kept. */
  readonly number: number;
  /** How many bytes of a long line are left out. */
  readonly leftOut?: number;
}

/** A promise that a job waits for. */
export interface OpenPromise {
  readonly name: string;
  /** The hash of the call that waits. */
  readonly call: string;
}

export interface TopicSummary {
  readonly topic: string;
  /** How many messages are in its queue. */
  readonly depth: number;
  /** Those that its workers have announced; `null` if none has. */
  readonly tasks: readonly string[] | null;
}

export interface TaskDetails {
  readonly task: string;
  readonly description: string | null;
  /** JSON Schemas, or `null`. */
  readonly inputSchema: unknown;
  readonly outputSchema: unknown;
  /** Who shares the outcomes of its calls, if the task says it: `"job"` or a duration. */
  readonly scope: string | null;
}

export interface TopicDetails {
  readonly topic: string;
  readonly depth: number;
  readonly tasks: readonly TaskDetails[] | null;
}

/** A message that no worker could take. */
export interface DeadLetter {
  readonly id: string;
  readonly topic: string;
  readonly at: Date;
  /** Why no worker could take it. */
  readonly reason: string;
  /** The message. */
  readonly body: string;
  /** `null`: the message does not say. */
  readonly job: string | null;
  readonly call: string | null;
  readonly task: string | null;
  readonly failure?: Failure;
}

type Source = Readonly<Record<string, unknown>>;

/** Members that are times (RFC 3339), in all documents. */
const TIMES = new Set(["at", "created", "deadline", "ended", "last", "next", "next_attempt_at", "starts", "time", "waits_until"]);
/** Members with another name in JavaScript than their camelCase. */
const NAMES: Record<string, string> = { result_base64: "result", payload_base64: "payload" };

/** A document's own members, renamed. What is in them stays as it is: it may be the user's. */
export function camel<Document>(source: unknown): Document {
  const members = Object.entries(source as Source).map(([name, value]) => {
    const renamed = NAMES[name] ?? name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (typeof value !== "string") return [renamed, value];
    if (name in NAMES) return [renamed, fromBase64(value)];
    return [renamed, TIMES.has(name) ? new Date(value) : value];
  });
  return Object.fromEntries(members) as Document;
}

export function jobStatus<Result>(source: unknown): JobStatus<Result> {
  const { job, ...rest } = camel<Source>(source);
  return { id: job, ...rest } as unknown as JobStatus<Result>;
}

export function treeNode(source: unknown): TreeNode {
  const node = camel<TreeNode>(source);
  return { ...node, children: (node.children ?? []).map(treeNode) };
}

export function logLine(source: unknown): LogLine {
  return { fields: {}, ...camel<Omit<LogLine, "fields">>(source) };
}

export function topicDetails(source: unknown): TopicDetails {
  const topic = camel<TopicDetails>(source);
  return { ...topic, tasks: topic.tasks?.map((task) => camel<TaskDetails>(task)) ?? null };
}
