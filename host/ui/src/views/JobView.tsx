/** One job: its state, what became of it, and its calls as a timeline and as a graph. */
import { signal, useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useCallback, useEffect, useMemo, useRef } from "preact/hooks";
import { useChanges } from "../api/changes.ts";
import type { Change } from "../api/events.ts";
import { get, post, v1 } from "../api/http.ts";
import { useLive } from "../api/live.ts";
import type { Job, TopicDocument, Tree } from "../api/types.ts";
import { count, many } from "../logic/text.ts";
import { type Call, failureChain, type Folds, groupsAbove, isEnded, jobOf, type Row, rows, states } from "../logic/tree.ts";
import { moment, span } from "../logic/time.ts";
import { go, place, set, to } from "../router.ts";
import { attempt, confirm, tell } from "../ui/dialogs.tsx";
import { Payload } from "../ui/Payload.tsx";
import { Problem } from "../ui/Problem.tsx";
import { State, States } from "../ui/State.tsx";
import { Id, Text } from "../ui/Text.tsx";
import { Ago, Took } from "../ui/Time.tsx";
import { CallPanel } from "./CallPanel.tsx";
import { Graph } from "./Graph.tsx";
import { JobLogs } from "./Logs.tsx";
import { isUnattended } from "./overview.ts";
import { Timeline } from "./Timeline.tsx";

const isOver = (job: Job): boolean => job.state !== "running" && job.state !== "scheduled";

export function JobView({ id, hash }: { readonly id: string; readonly hash: string | undefined }): VNode {
  const job = useLive(`job ${id}`, (stop) => get<Job>(v1("jobs", id), { signal: stop }), { every: 3_000, until: isOver });
  const tree = useLive(`tree ${id}`, (stop) => get<Tree>(v1("jobs", id, "tree"), { signal: stop }), {
    every: 5_000,
    until: () => job.data.peek() !== undefined && isOver(job.data.peek() as Job),
  });
  // What has happened to each call, as far as the events tell.
  const history = useMemo(() => ({ calls: new Map<string, Change[]>(), version: signal(0) }), [id]);
  const pending = useRef(false);
  const note = useCallback(
    (change: Change): void => {
      const of = history.calls.get(change.call) ?? [];
      of.push(change);
      history.calls.set(change.call, of);
      if (change.subject === "job") job.refresh();
      if (pending.current) return;
      // Thousands of events may come at once.
      pending.current = true;
      setTimeout(() => {
        pending.current = false;
        history.version.value += 1;
        if (!isOver(job.data.peek() ?? ({ state: "running" } as Job)) || change.subject === "job") tree.refresh();
      }, 150);
    },
    [history, job, tree],
  );
  useChanges(v1("jobs", id, "events"), note);
  const shown = useMemo(() => {
    const made = tree.data.value && jobOf(tree.data.value.tree);
    // The records do not say which of the queued calls are run right now. The events do.
    for (const call of made?.calls.values() ?? []) {
      if (call.state === "ready" && history.calls.get(call.hash)?.at(-1)?.to === "running") call.state = "running";
    }
    return made;
  }, [tree.data.value, history.version.value]);
  // The end of a job changes the states of its calls.
  const over = job.data.value !== undefined && isOver(job.data.value);
  useEffect(() => {
    if (over) tree.refresh();
  }, [over]);

  if (job.error.value && !job.data.value) {
    return (
      <div class="empty">
        <h1>Job {id.slice(0, 12)}</h1>
        <Problem error={job.error.value} retry={job.refresh} />
      </div>
    );
  }
  if (!job.data.value) return <p class="muted">Reading…</p>;
  const of = shown && hash !== undefined ? shown.calls.get(hash) : undefined;
  return (
    <div class={hash === undefined ? "job" : "job with-call"}>
      <div class="job-main">
        <Head job={job.data.value} />
        {shown && <Why job={job.data.value} top={shown.top} />}
        {tree.error.value && <Problem error={tree.error.value} retry={tree.refresh} />}
        {!over && <NoWorker topic={job.data.value.topic} />}
        {shown && <Waits job={job.data.value} calls={shown.calls} />}
        {shown && <Calls id={id} job={job.data.value} top={shown} hash={hash} cut={tree.data.value?.cut ?? false} changes={history.version.value} />}
        {!shown && !tree.error.value && <p class="muted">Reading the calls…</p>}
        {shown && hash === undefined && <InAndOut job={job.data.value} top={shown.top} />}
      </div>
      {hash !== undefined && (
        <CallPanel
          key={hash}
          id={id}
          hash={hash}
          call={of}
          job={job.data.value}
          history={history.calls.get(hash)}
          version={history.version.value}
          close={() => go(to(["jobs", id], Object.fromEntries(place.peek().query)), { replace: true })}
        />
      )}
    </div>
  );
}

function Head({ job }: { readonly job: Job }): VNode {
  const cancel = async (): Promise<void> => {
    const sure = await confirm("Cancel this job?", "Calls that run are stopped, and those that wait are given up. This can't be undone; a retry makes a new job.", "Cancel the job");
    if (sure && (await attempt(() => post(v1("jobs", job.job, "cancel"))))) tell("The job is cancelled.");
  };
  const retry = async (): Promise<void> => {
    await attempt(async () => {
      const made = await post<Job>(v1("jobs", job.job, "retry"));
      if (!made) return;
      go(to(["jobs", made.job]));
      tell("This is the new job. Calls that succeeded before are not run again.");
    });
  };
  const start = Date.parse(job.starts ?? job.created);
  return (
    <div class="job-head">
      <div class="title">
        <h1>
          <Text most={120}>{job.task ?? "unknown task"}</Text>
        </h1>
        <State state={job.state} />
        {job.label && (
          <span class="label">
            <Text most={80}>{job.label}</Text>
          </span>
        )}
        <span class="actions">
          {isOver(job) ? (
            <button type="button" onClick={() => void retry()}>
              Retry
            </button>
          ) : (
            <button type="button" class="danger" onClick={() => void cancel()}>
              Cancel
            </button>
          )}
        </span>
      </div>
      <dl class="facts">
        <div>
          <dt>Job</dt>
          <dd>
            <Id>{job.job}</Id>
          </dd>
        </div>
        <div>
          <dt>Topic</dt>
          <dd>
            <a href={to(["topics", job.topic])}>{job.topic}</a>
          </dd>
        </div>
        <div>
          <dt>Created</dt>
          <dd>
            <Ago at={job.created} />
          </dd>
        </div>
        {job.state === "scheduled" ? (
          <div>
            <dt>Starts</dt>
            <dd>
              <Ago at={start} />
            </dd>
          </div>
        ) : (
          <div>
            <dt>Duration</dt>
            <dd>{isOver(job) ? job.ended ? span(job.duration_ms ?? 0) : "–" : <Took from={start} />}</dd>
          </div>
        )}
        {job.messages !== null && job.messages !== undefined && (
          <div>
            <dt>Messages</dt>
            <dd class="number">{count(job.messages)}</dd>
          </div>
        )}
        {job.deadline && (
          <div>
            <dt>Deadline</dt>
            <dd title={moment(Date.parse(job.deadline))}>
              <Ago at={job.deadline} />
            </dd>
          </div>
        )}
        {job.retry_of && (
          <div>
            <dt>Retries</dt>
            <dd>
              <a href={to(["jobs", job.retry_of])}>{job.retry_of.slice(0, 8)}</a>
            </dd>
          </div>
        )}
      </dl>
    </div>
  );
}

/** Why the job has failed, with the calls that lead to the cause. */
function Why({ job, top }: { readonly job: Job; readonly top: Call }): VNode | null {
  const failure = top.failure ?? job.failure;
  if (!failure) return null;
  const chain = failureChain(top);
  const cause = chain.at(-1);
  return (
    <section class="why" aria-label="Failure">
      <p class="why-text">
        <strong>{failure.kind}</strong> <Text>{failure.message}</Text>
      </p>
      {cause && cause !== top && (
        <div class="chain">
          <ol aria-label="From the job to the cause">
            {chain.map((call) => (
              <li key={call.hash}>
                <a href={to(["jobs", job.job, "calls", call.hash], Object.fromEntries(place.value.query))}>
                  <Text most={60}>{call.label ?? call.task}</Text>
                </a>
              </li>
            ))}
          </ol>
          <a class="button" href={to(["jobs", job.job, "calls", cause.hash], Object.fromEntries(place.value.query))}>
            Go to the cause
          </a>
        </div>
      )}
    </section>
  );
}

/** Says so if nobody takes the messages of the job. */
function NoWorker({ topic }: { readonly topic: string }): VNode | null {
  // A gateway that does not serve the topic knows nothing of it.
  const live = useLive(`topic ${topic}`, (stop) => get<TopicDocument>(v1("topics", topic), { signal: stop }), { every: 5_000 });
  if (!live.data.value || live.error.value || !isUnattended(live.data.value)) return null;
  return (
    <p class="problem" role="alert">
      No worker takes the messages of this job. It goes on when one runs on the topic {topic}.
    </p>
  );
}

/** The promises that the job waits for. */
function Waits({ job, calls }: { readonly job: Job; readonly calls: ReadonlyMap<string, Call> }): VNode | null {
  if (job.state !== "running") return null;
  const open = [...calls.values()].filter((call) => call.promise !== undefined && call.state === "deferred");
  if (open.length === 0) return null;
  return (
    <section class="waits" aria-label="Waits for answers">
      {open.slice(0, WAITS_SHOWN).map((call) => (
        <p key={call.hash}>
          Waits for the promise{" "}
          <strong>
            <Text most={80}>{call.promise ?? ""}</Text>
          </strong>
          <a class="button" href={to(["jobs", job.job, "calls", call.hash], Object.fromEntries(place.value.query))}>
            Answer
          </a>
        </p>
      ))}
      {open.length > WAITS_SHOWN && <p class="muted">{count(open.length - WAITS_SHOWN)} more promises are open.</p>}
    </section>
  );
}

/** What the job was started with, and its result. */
function InAndOut({ job, top }: { readonly job: Job; readonly top: Call }): VNode {
  return (
    <div class="in-and-out">
      <section class="card">
        <h2>Payload</h2>
        <Payload path={v1("jobs", job.job, "calls", top.hash, "payload")} label="Payload" />
      </section>
      {top.state === "completed" && (
        <section class="card">
          <h2>Result</h2>
          <Payload path={v1("jobs", job.job, "calls", top.hash, "result")} label="Result" />
        </section>
      )}
    </div>
  );
}

const WAITS_SHOWN = 3;
const VIEWS = [
  ["timeline", "Timeline"],
  ["graph", "Graph"],
  ["logs", "Logs"],
] as const;

interface CallsProps {
  readonly id: string;
  readonly job: Job;
  readonly top: ReturnType<typeof jobOf>;
  readonly hash: string | undefined;
  readonly cut: boolean;
  /** Changes when something happens to a call. */
  readonly changes: number;
}

function Calls({ id, job, top, hash, cut, changes }: CallsProps): VNode {
  const folds = useSignal<Folds>({ opened: new Set(), closed: new Set() });
  const current = useSignal<string | undefined>(hash);
  const view = VIEWS.find(([one]) => one === place.value.query.get("view"))?.[0] ?? "timeline";
  // A call that a link leads to can be seen.
  useEffect(() => {
    const call = hash === undefined ? undefined : top.calls.get(hash);
    if (!call) return;
    const needed = groupsAbove(call).filter((group) => !folds.value.opened.has(group));
    if (needed.length > 0) folds.value = { ...folds.value, opened: new Set([...folds.value.opened, ...needed]) };
    current.value = call.hash;
  }, [hash, top.calls.has(hash ?? "")]);
  const all = useMemo(() => rows(top, folds.value), [top, folds.value]);
  const counts = useMemo(() => states(top.calls.values()), [top]);
  const index = Math.max(0, all.findIndex((row) => row.id === current.value));

  const toggle = (row: Row, open: boolean): void => {
    const isGroup = row.kind === "group";
    const { opened, closed } = folds.value;
    // Groups are closed at first, and calls are open.
    const changed = new Set(isGroup ? opened : closed);
    const key = isGroup ? row.id : row.call.hash;
    if (open === isGroup) changed.add(key);
    else changed.delete(key);
    folds.value = isGroup ? { opened: changed, closed } : { opened, closed: changed };
  };
  const show = (row: Row): void => {
    current.value = row.id;
    if (row.kind === "group") toggle(row, !row.isOpen);
    else go(to(["jobs", id, "calls", row.call.hash], Object.fromEntries(place.peek().query)), { replace: hash !== undefined });
  };
  const move = (to_: number): void => void (current.value = all[Math.min(Math.max(to_, 0), all.length - 1)]?.id);
  const key = (event: KeyboardEvent): void => {
    const row = all[index];
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const actions: Record<string, () => void> = {
      ArrowDown: () => move(index + 1),
      ArrowUp: () => move(index - 1),
      PageDown: () => move(index + 15),
      PageUp: () => move(index - 15),
      Home: () => move(0),
      End: () => move(all.length - 1),
      ArrowRight: () => (row.isOpen === false ? toggle(row, true) : move(index + 1)),
      ArrowLeft: () => (row.isOpen ? toggle(row, false) : move(row.parent)),
      Enter: () => show(row),
      " ": () => show(row),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  };
  const props = { job, rows: all, current: index, selected: hash, onKey: key, onShow: show, onToggle: toggle };
  return (
    <section class="calls" aria-label="Calls">
      <div class="section-head">
        <h2>
          {cut ? `${count(top.calls.size)}+ calls` : many(top.calls.size, "call")}
        </h2>
        <States states={counts} />
        <div class="tabs" role="group" aria-label="View">
          {VIEWS.map(([one, name]) => (
            <button key={one} type="button" aria-pressed={view === one} onClick={() => set({ view: one === "timeline" ? undefined : one, level: undefined }, { replace: true })}>
              {name}
            </button>
          ))}
        </div>
      </div>
      {cut && <p class="muted">The job has more calls than are shown here.</p>}
      {view === "timeline" && <Timeline {...props} />}
      {view === "graph" && <Graph {...props} />}
      {view === "logs" && <JobLogs id={id} isOver={isOver(job)} changes={changes} />}
      {!isEnded(job.state) && job.state === "scheduled" && <p class="muted">The job has not started yet.</p>}
    </section>
  );
}
