/** The jobs, newest first, with filters that are part of the address. */
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect } from "preact/hooks";
import { useChanges } from "../api/changes.ts";
import { get } from "../api/http.ts";
import { type Filter, listJobs } from "../api/jobs.ts";
import { useLive } from "../api/live.ts";
import type { Job, TopicList } from "../api/types.ts";
import { place, set, to } from "../router.ts";
import { attempt } from "../ui/dialogs.tsx";
import { Problem } from "../ui/Problem.tsx";
import { Setting } from "../ui/Setting.tsx";
import { word } from "../ui/State.tsx";
import { JobTable } from "./rows.tsx";

const STATES = ["running", "failed", "completed", "scheduled", "cancelled", "timed-out"];
const SPANS: [query: string, name: string, ms: number][] = [
  ["1h", "in the last hour", 3_600_000],
  ["24h", "in the last 24 hours", 86_400_000],
  ["7d", "in the last 7 days", 7 * 86_400_000],
];
const PAGE = "50";

export function Jobs(): VNode {
  const { query } = place.value;
  const of = (name: string): string => query.get(name) ?? "";
  const span = SPANS.find(([name]) => name === of("since"));
  const filter = (): Filter => ({
    state: of("state"),
    topic: of("topic"),
    task: of("task"),
    label: of("label"),
    since: span ? new Date(Date.now() - span[2]).toISOString() : undefined,
    limit: PAGE,
  });
  const key = JSON.stringify(["state", "topic", "task", "label", "since"].map(of));
  const first = useLive(key, (signal) => listJobs(filter(), signal), { every: 5_000 });
  useChanges("/v1/events", ({ subject }) => subject === "job" && first.refresh());
  // Pages after the first one, which stay as they were read.
  const older = useSignal<{ readonly jobs: readonly Job[]; readonly next: string | null | undefined } | undefined>(undefined);
  const isReading = useSignal(false);
  useEffect(() => void (older.value = undefined), [key]);
  const topics = useLive("topics", (signal) => get<TopicList>("/v1/topics", { signal }), { every: 60_000 });

  const page = first.data.value;
  const next = older.value ? older.value.next : page?.next;
  const seen = new Set(page?.jobs.map(({ job }) => job));
  const jobs = [...(page?.jobs ?? []), ...(older.value?.jobs ?? []).filter(({ job }) => !seen.has(job))];
  const more = async (): Promise<void> => {
    isReading.value = true;
    await attempt(async () => {
      const read = await listJobs({ ...filter(), cursor: next ?? undefined });
      older.value = { jobs: [...(older.value?.jobs ?? []), ...read.jobs], next: read.next };
    });
    isReading.value = false;
  };
  const isFiltered = key !== JSON.stringify(["", "", "", "", ""]);
  const tasks = [...new Set(topics.data.value?.topics.flatMap((topic) => topic.tasks ?? []))].toSorted();
  return (
    <>
      <h1>Jobs</h1>
      <div class="chips" role="group" aria-label="State">
        {["", ...STATES].map((state) => (
          <button key={state} type="button" aria-pressed={of("state") === state} onClick={() => set({ state })}>
            {state ? word(state) : "all"}
          </button>
        ))}
      </div>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <label>
          <span>Topic</span>
          <select value={of("topic")} onChange={(event) => set({ topic: event.currentTarget.value })}>
            <option value="">all</option>
            {[...new Set([...(topics.data.value?.topics.map(({ topic }) => topic) ?? []), ...(of("topic") ? [of("topic")] : [])])].map((topic) => (
              <option key={topic} value={topic}>
                {topic}
              </option>
            ))}
          </select>
        </label>
        <Setting name="Task" value={of("task")} placeholder="all" list="tasks" onSet={(task) => set({ task })} />
        <datalist id="tasks">
          {tasks.map((task) => (
            <option key={task} value={task} />
          ))}
        </datalist>
        <Setting name="Label" value={of("label")} placeholder="all" onSet={(label) => set({ label })} />
        <label>
          <span>Created</span>
          <select value={of("since")} onChange={(event) => set({ since: event.currentTarget.value })}>
            <option value="">any time</option>
            {SPANS.map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        </label>
        {isFiltered && (
          <button type="button" class="link" onClick={() => set({ state: "", topic: "", task: "", label: "", since: "" })}>
            clear
          </button>
        )}
      </form>
      {first.error.value && <Problem error={first.error.value} retry={first.refresh} />}
      {page && jobs.length > 0 && <JobTable jobs={jobs} caption="Jobs, newest first" />}
      {page && jobs.length === 0 && (
        <div class="empty">
          <h2>{isFiltered ? "No such job" : "No job yet"}</h2>
          <p>
            {isFiltered ? (
              next ? (
                "None of the newest jobs is one. There may be older ones."
              ) : (
                "Change the filters above to see others."
              )
            ) : (
              <>
                <a href={to(["start"])}>Start one here</a>, or by <code>brrr-host call</code>.
              </>
            )}
          </p>
        </div>
      )}
      {!page && !first.error.value && <p class="muted">Reading…</p>}
      {next && (
        <div class="more">
          <button type="button" disabled={isReading.value} onClick={() => void more()}>
            {isReading.value ? "Reading…" : "Show older jobs"}
          </button>
        </div>
      )}
    </>
  );
}
