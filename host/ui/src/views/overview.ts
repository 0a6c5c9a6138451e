/** What is not all right. Pure: from the documents of the gateway to the findings of the first screen. */
import type { DeadLetter, Job, OpenPromises, Schedule, TopicDocument } from "../api/types.ts";

export interface Seen {
  readonly failed: readonly Job[];
  readonly topics: readonly TopicDocument[];
  readonly deadLetters: readonly DeadLetter[];
  readonly promises: OpenPromises;
  readonly schedules: readonly { readonly schedule: Schedule; readonly lastJob: Job | undefined }[];
}

/** A worker says every 10 s that it runs. */
const SILENT = 21_000;

/** Failures are new for a day. */
export const RECENT = 86_400_000;

export const isSilent = (worker: { readonly seen_ms_ago: number; readonly stopping: boolean }): boolean => worker.seen_ms_ago > SILENT;

/** Messages wait, and no worker takes them. */
export const isUnattended = ({ depth, workers }: { readonly depth: number; readonly workers: readonly { readonly stopping: boolean }[] }): boolean =>
  depth > 0 && workers.every(({ stopping }) => stopping);

export const isFailing = (job: Job | undefined): boolean => job?.state === "failed" || job?.state === "timed-out";

export interface Findings {
  readonly failed: readonly Job[];
  readonly deadLetters: readonly DeadLetter[];
  readonly unattended: readonly TopicDocument[];
  readonly silent: readonly { readonly topic: string; readonly worker: TopicDocument["workers"][number] }[];
  readonly schedules: readonly { readonly schedule: Schedule; readonly lastJob: Job | undefined }[];
}

export function findings({ failed, topics, deadLetters, schedules }: Seen, now: number): Findings {
  return {
    failed: failed.filter((job) => now - Date.parse(job.ended ?? job.created) < RECENT),
    deadLetters,
    unattended: topics.filter(isUnattended),
    silent: topics.flatMap(({ topic, workers }) => workers.filter(isSilent).map((worker) => ({ topic, worker }))),
    schedules: schedules.filter(({ lastJob }) => isFailing(lastJob)),
  };
}
