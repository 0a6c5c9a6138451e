/** The documents of the API. Those that the OpenAPI document describes are made from it (`scripts/ui.sh types`). */
import type { components } from "./schema.d.ts";

type Schemas = components["schemas"];

export type Job = Schemas["JobWithResult"];
export type JobsPage = Schemas["JobsPage"];
export type Failure = Schemas["Failure"];
export type TopicList = Schemas["TopicList"];
export type TopicLine = Schemas["TopicLine"];
export type TopicDocument = Schemas["TopicDocument"];
export type TaskDocument = Schemas["TaskDocument"];
export type Worker = Schemas["Worker"];
export type Revision = Schemas["Revision"];
export type RevisionList = Schemas["RevisionList"];
export type DeadLetter = Schemas["DeadLetter"];
export type DeadLetterList = Schemas["DeadLetterList"];
export type OpenPromise = Schemas["OpenPromise"];
export type OpenPromises = Schemas["OpenPromises"];
export type AwaitedPromises = Schemas["AwaitedPromises"];
export type LogLine = Schemas["LogLineView"];
export type LogsPage = Schemas["LogsPage"];
export type CallLogsPage = Schemas["CallLogsPage"];

/** A call in the document of a tree. All but the first members are left out where the call is shown before (`see_above`). */
export interface Branch {
  readonly task: string | null;
  readonly call: string;
  readonly state: string;
  readonly promise?: string;
  readonly label?: string;
  readonly see_above?: boolean;
  readonly attempt?: number;
  readonly asked?: string | null;
  readonly ended?: string | null;
  readonly duration_ms?: number | null;
  readonly reused?: boolean;
  readonly waiting?: number;
  readonly waits_until?: string;
  readonly next_attempt_at?: string;
  readonly last_failure?: string;
  readonly failure?: Failure;
  readonly children?: readonly Branch[];
  readonly left_out?: number;
}

export interface Tree {
  readonly tree: Branch;
  /** Is anything left out for its size? */
  readonly cut: boolean;
}

export interface Schedule {
  readonly name: string;
  readonly topic: string;
  readonly task: string;
  readonly cron: string;
  readonly tz: string;
  readonly input?: unknown;
  readonly overlap: string;
  readonly catch_up: string;
  readonly paused: boolean;
  readonly next: string | null;
  readonly last: string | null;
  readonly last_job: string | null;
}

export interface ScheduleList {
  readonly schedules: readonly Schedule[];
}
