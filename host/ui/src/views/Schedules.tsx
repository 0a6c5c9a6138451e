/** The schedules of all topics. */
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useChanges } from "../api/changes.ts";
import { get, post, v1 } from "../api/http.ts";
import { useLive } from "../api/live.ts";
import type { Job, Schedule, ScheduleList } from "../api/types.ts";
import { to } from "../router.ts";
import { attempt, tell } from "../ui/dialogs.tsx";
import { Problem } from "../ui/Problem.tsx";
import { State } from "../ui/State.tsx";
import { Text } from "../ui/Text.tsx";
import { Ago } from "../ui/Time.tsx";
import { ofTopics } from "./topics.ts";

interface Line {
  readonly schedule: Schedule;
  /** `undefined`: there was none yet, or it was removed. */
  readonly lastJob: Job | undefined;
}

/** The states of so many last jobs are read. */
const JOBS = 100;

async function read(signal: AbortSignal): Promise<Line[]> {
  const topics = await ofTopics<ScheduleList>("schedules", signal);
  const all = topics.flatMap(({ document }) => document.schedules);
  return Promise.all(
    all.map(async (schedule, index) => {
      const { last_job: last } = schedule;
      const lastJob = last !== null && index < JOBS ? await get<Job>(v1("jobs", last), { signal }).catch(() => undefined) : undefined;
      return { schedule, lastJob };
    }),
  );
}

export function Schedules(): VNode {
  const lines = useLive("schedules", read, { every: 5_000 });
  useChanges("/v1/events", ({ subject }) => subject === "job" && lines.refresh());
  const found = lines.data.value;
  return (
    <>
      <h1>Schedules</h1>
      {lines.error.value && <Problem error={lines.error.value} retry={lines.refresh} />}
      {found?.length === 0 && (
        <div class="empty">
          <h2>No schedule</h2>
          <p>
            <code>brrr-host cron add nightly '0 3 * * *' --topic demo report</code> adds one.
          </p>
        </div>
      )}
      {found && found.length > 0 && (
        <div class="table-box">
          <table class="rows">
            <caption class="sr-only">Schedules</caption>
            <thead>
              <tr>
                <th scope="col">Schedule</th>
                <th scope="col">When</th>
                <th scope="col">Next</th>
                <th scope="col">Last job</th>
                <th scope="col">
                  <span class="sr-only">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {found.map((line) => (
                <ScheduleRow key={`${line.schedule.topic}/${line.schedule.name}`} line={line} refresh={lines.refresh} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {!found && !lines.error.value && <p class="muted">Reading…</p>}
    </>
  );
}

function ScheduleRow({ line: { schedule, lastJob }, refresh }: { readonly line: Line; readonly refresh: () => void }): VNode {
  const isBusy = useSignal(false);
  const path = v1("topics", schedule.topic, "schedules", schedule.name);
  const act = async (action: string): Promise<void> => {
    isBusy.value = true;
    await attempt(async () => {
      const made = await post<Job>(`${path}/${action}`);
      if (action !== "run") return tell(`${schedule.name} is ${action === "pause" ? "paused" : "on again"}.`);
      const id = made?.job ?? "";
      return tell(
        <>
          <a href={to(["jobs", id])}>A job</a> of {schedule.name} was started.
        </>,
      );
    });
    isBusy.value = false;
    refresh();
  };
  return (
    <tr>
      <td data-label="Schedule" class="main-cell">
        <strong>
          <Text most={100}>{schedule.name}</Text>
        </strong>
        <span class="muted second">
          <Text most={80}>{schedule.task}</Text> on <a href={to(["topics", schedule.topic])}>{schedule.topic}</a>
        </span>
      </td>
      <td data-label="When">
        <code>{schedule.cron}</code>
        <span class="muted second">
          {schedule.tz}
          {schedule.overlap !== "allow" && ` · ${schedule.overlap}`}
        </span>
      </td>
      <td data-label="Next">{schedule.paused ? <span class="state state-cancelled">paused</span> : schedule.next ? <Ago at={schedule.next} /> : "never"}</td>
      <td data-label="Last job">
        {schedule.last_job ? (
          <>
            {lastJob && <State state={lastJob.state} />}{" "}
            <a href={to(["jobs", schedule.last_job])}>{lastJob ? <Ago at={lastJob.created} /> : schedule.last_job.slice(0, 8)}</a>
          </>
        ) : (
          <span class="muted">none yet</span>
        )}
      </td>
      <td class="actions">
        <button type="button" disabled={isBusy.value} onClick={() => void act("run")} aria-label={`Run now: ${schedule.name}`}>
          Run now
        </button>
        <button type="button" disabled={isBusy.value} onClick={() => void act(schedule.paused ? "resume" : "pause")} aria-label={`${schedule.paused ? "Resume" : "Pause"}: ${schedule.name}`}>
          {schedule.paused ? "Resume" : "Pause"}
        </button>
      </td>
    </tr>
  );
}
