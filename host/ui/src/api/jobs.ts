/** Requests about jobs. */
import { get, v1 } from "./http.ts";
import type { JobsPage } from "./types.ts";

export type Filter = Readonly<Record<string, string | undefined>>;

export function listJobs(filter: Filter, signal?: AbortSignal): Promise<JobsPage> {
  const query = new URLSearchParams(Object.entries(filter).filter((entry): entry is [string, string] => Boolean(entry[1])));
  return get<JobsPage>(`${v1("jobs")}?${query.toString()}`, signal ? { signal } : {});
}
