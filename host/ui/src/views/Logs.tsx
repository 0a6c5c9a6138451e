/** What the calls of a job have logged: that of one call, and that of all calls by time. */
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { get, v1 } from "../api/http.ts";
import { useLive } from "../api/live.ts";
import type { CallLogsPage, LogLine, LogsPage } from "../api/types.ts";
import { many, size } from "../logic/text.ts";
import { clock, moment } from "../logic/time.ts";
import { type Call, isEnded } from "../logic/tree.ts";
import { place, set, to } from "../router.ts";
import { attempt } from "../ui/dialogs.tsx";
import { Problem } from "../ui/Problem.tsx";
import { Text } from "../ui/Text.tsx";

/** So many lines of a call are read. Few calls log more. */
const OF_CALL = 2_000;
/** So many lines of a job are read at once. */
const OF_JOB = 500;
/** A level shows the lines of more severe ones too. */
const LEVELS = [
  ["", "all"],
  ["info", "info"],
  ["warn", "warn"],
  ["error", "error"],
] as const;

interface OfCall {
  readonly id: string;
  readonly call: Call;
  /** Changes when something happens to the call. */
  readonly changes: number;
}

export function CallLogs({ id, call, changes }: OfCall): VNode {
  const path = `${v1("jobs", id, "calls", call.hash, "logs")}?limit=${OF_CALL}`;
  const isOver = useRef(false);
  isOver.current = isEnded(call.state);
  const logs = useLive(path, (signal) => get<CallLogsPage>(path, { signal }), { every: 3_000, until: () => isOver.current });
  useEffect(() => logs.refresh(), [call.state, changes]);
  const { lines = [], cut = 0, more = false } = logs.data.value ?? {};
  return (
    <>
      {logs.error.value && <Problem error={logs.error.value} />}
      {logs.data.value && lines.length === 0 && (
        <p class="muted">{isOver.current ? "The call has logged nothing." : "Nothing yet. The lines of a run are here when it has ended, or waits for other calls."}</p>
      )}
      {cut > 0 && <p class="muted">{many(cut, "older line is", "older lines are")} not kept any more.</p>}
      <Lines lines={lines} label="Logs" />
      {more && (
        <p class="muted">
          There are more: <code>brrr-host logs {id}</code> prints all.
        </p>
      )}
    </>
  );
}

interface OfJob {
  readonly id: string;
  readonly isOver: boolean;
  /** Changes when something happens to a call of the job. */
  readonly changes: number;
}

export function JobLogs({ id, isOver, changes }: OfJob): VNode {
  const chosen = place.value.query.get("level") ?? "";
  const path = `${v1("jobs", id, "logs")}?limit=${OF_JOB}${chosen && `&level=${encodeURIComponent(chosen)}`}`;
  const over = useRef(false);
  over.current = isOver;
  const first = useLive(path, (signal) => get<LogsPage>(path, { signal }), { every: 3_000, until: () => over.current });
  useEffect(() => first.refresh(), [isOver, changes]);
  // Pages after the first one, which stay as they were read.
  const later = useSignal<LogsPage | undefined>(undefined);
  useEffect(() => void (later.value = undefined), [path]);
  const next = (later.value ?? first.data.value)?.next;
  const lines = [...(first.data.value?.lines ?? []), ...(later.value?.lines ?? [])];
  const more = (): Promise<boolean> =>
    attempt(async () => {
      const page = await get<LogsPage>(`${path}&cursor=${encodeURIComponent(next ?? "")}`);
      later.value = { ...page, lines: [...(later.value?.lines ?? []), ...page.lines] };
    });
  return (
    <>
      <div class="chips small" role="group" aria-label="Level">
        {LEVELS.map(([level, name]) => (
          <button key={level} type="button" aria-pressed={chosen === level} onClick={() => set({ level }, { replace: true })}>
            {name}
          </button>
        ))}
      </div>
      {first.error.value && <Problem error={first.error.value} retry={first.refresh} />}
      {first.data.value && lines.length === 0 && (
        <div class="empty">
          <h2>No line</h2>
          <p>
            {chosen
              ? "No call has logged a line of this level or a more severe one."
              : isOver
                ? "No call of the job has logged or printed anything."
                : "The lines of a run are here when it has ended, or waits for other calls."}
          </p>
        </div>
      )}
      <Lines lines={lines} label="Logs of all calls" job={id} />
      {next && (
        <div class="more">
          <button type="button" onClick={() => void more()}>
            Show later lines
          </button>
        </div>
      )}
    </>
  );
}

/** With `job` each line leads to its call. */
function Lines({ lines, label, job }: { readonly lines: readonly LogLine[]; readonly label: string; readonly job?: string }): VNode | null {
  if (lines.length === 0) return null;
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls
    <div class={job === undefined ? "logs" : "logs of-job"} tabIndex={0} role="region" aria-label={label}>
      {lines.map((line, index) => {
        const isNewAttempt = job === undefined && line.attempt > (lines[index - 1]?.attempt ?? 1);
        return (
          <div key={`${line.call} ${line.number}`}>
            {isNewAttempt && <p class="log-attempt">attempt {line.attempt}</p>}
            <div class={`log log-${line.level}`}>
              <time dateTime={line.time} title={moment(Date.parse(line.time))}>
                {clock(Date.parse(line.time))}
              </time>
              <span class="log-level">{line.stream === "log" ? line.level : line.stream}</span>
              {job !== undefined && (
                <a class="log-task" href={to(["jobs", job, "calls", line.call], Object.fromEntries(place.value.query))}>
                  <Text most={60}>{line.task ?? line.call.slice(0, 8)}</Text>
                </a>
              )}
              <span class="log-text">
                <Text most={2_000}>{line.text}</Text>
                {Object.entries(line.fields ?? {}).map(([name, value]) => (
                  <span class="log-field" key={name}>
                    {" "}
                    <Text most={80}>{name}</Text>=<Text most={300}>{value}</Text>
                  </span>
                ))}
                {job !== undefined && line.attempt > 1 && <span class="log-field"> attempt {line.attempt}</span>}
                {typeof line.left_out === "number" && <span class="log-field"> … {size(line.left_out)} left out</span>}
              </span>
            </div>
          </div>
        );
      })}
    </div>
  );
}
