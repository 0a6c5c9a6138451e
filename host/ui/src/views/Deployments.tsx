/** The revisions of a topic's code: which of them take new jobs, and the buttons that change it. */
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { get, v1 } from "../api/http.ts";
import { useLive } from "../api/live.ts";
import type { Revision, RevisionList } from "../api/types.ts";
import { shares } from "../logic/shares.ts";
import { many } from "../logic/text.ts";
import { attempt, confirm, tell } from "../ui/dialogs.tsx";
import { Problem } from "../ui/Problem.tsx";
import { changeCode, PushTokenDialog } from "../ui/pushToken.tsx";
import { Text } from "../ui/Text.tsx";
import { Ago } from "../ui/Time.tsx";

export function Deployments({ topic }: { readonly topic: string }): VNode | null {
  const live = useLive(`deployments ${topic}`, (signal) => get<RevisionList>(v1("topics", topic, "deployments"), { signal }), { every: 5_000 });
  const revisions = live.data.value?.revisions ?? [];
  if (live.error.value) return <Problem error={live.error.value} retry={live.refresh} />;
  if (revisions.length === 0) return null;
  const parts = shares(revisions.map(({ percent }) => percent));
  return (
    <section>
      <h2>Deployments</h2>
      <div class="table-box">
        <table class="rows revisions">
          <caption class="sr-only">Deployments</caption>
          <thead>
            <tr>
              <th scope="col">Revision</th>
              <th scope="col">Pushed</th>
              <th scope="col">New jobs</th>
              <th scope="col">Workers</th>
              <th scope="col">
                <span class="sr-only">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {revisions.map((revision, index) => (
              <RevisionRow
                key={revision.revision}
                topic={topic}
                revision={revision}
                share={parts[index] ?? 0}
                isNewest={index === 0}
                isOldest={index === revisions.length - 1}
                refresh={live.refresh}
              />
            ))}
          </tbody>
        </table>
      </div>
      <PushTokenDialog />
    </section>
  );
}

interface RowProps {
  readonly topic: string;
  readonly revision: Revision;
  /** The part of new jobs that it really takes. */
  readonly share: number;
  readonly isNewest: boolean;
  readonly isOldest: boolean;
  readonly refresh: () => void;
}

function RevisionRow({ topic, revision, share, isNewest, isOldest, refresh }: RowProps): VNode {
  // What somebody has written, until it is in force.
  const written = useSignal<string | undefined>(undefined);
  const percent = written.value ?? String(revision.percent);
  const number = String(revision.revision);
  const act = async (action: string, body: unknown, done: string): Promise<void> => {
    await attempt(async () => {
      if (!(await changeCode(v1("topics", topic, "deployments", number, action), body))) return;
      written.value = undefined;
      tell(done);
    });
    refresh();
  };
  const ramp = (event: Event): void => {
    event.preventDefault();
    void act("ramp", { percent: Number(percent) }, `Revision ${number} was given ${percent} % of new jobs.`);
  };
  const rollback = async (): Promise<void> => {
    const text = `A new revision with the code of revision ${number} takes all new jobs. Jobs that run keep their code.`;
    if (await confirm(`Roll back to revision ${number}?`, text, "Roll back")) await act("rollback", {}, `The code of revision ${number} takes all new jobs.`);
  };
  const states = Object.entries(revision.workers as Record<string, unknown>);
  const failed = states.filter(([, state]) => typeof state === "object");
  const loaded = states.filter(([, state]) => state === "loaded").length;
  return (
    <tr>
      <td data-label="Revision" class="main-cell">
        <strong>{number}</strong>{" "}
        {revision.note && (
          <span>
            <Text most={400}>{revision.note}</Text>
          </span>
        )}
        {revision.restores !== null && revision.restores !== undefined && <span class="tag">code of {revision.restores}</span>}
        <span class="muted second">
          {revision.components.map(({ name, digest }) => (
            <span key={digest}>
              <Text most={80}>{name}</Text> <code title={digest}>{digest.slice(7, 19)}</code>{" "}
            </span>
          ))}
        </span>
        {failed.map(([worker, state]) => (
          <span class="why-text second" key={worker}>
            <Text most={60}>{worker}</Text> can't load it: <Text most={300}>{String((state as { failed?: unknown }).failed)}</Text>
          </span>
        ))}
      </td>
      <td data-label="Pushed">
        <Ago at={revision.from} />
        {revision.by && (
          <span class="muted second">
            by <Text most={60}>{revision.by}</Text>
          </span>
        )}
      </td>
      <td data-label="New jobs">
        <span class="slots">
          <meter min={0} max={100} value={share} aria-label={`${share} % of new jobs`} />
          <span class="number">{share} %</span>
        </span>
      </td>
      <td data-label="Workers">
        {failed.length > 0 ? (
          <span class="state state-failed">{many(failed.length, "failure")}</span>
        ) : states.length === 0 ? (
          <span class="muted">none</span>
        ) : (
          <span class="number">
            {loaded} of {states.length} loaded
          </span>
        )}
      </td>
      <td class="actions">
        {!isNewest && share < 100 && (
          <button type="button" onClick={() => void rollback()}>
            Roll back to {number}
          </button>
        )}
        {/* The oldest one takes what the others leave. */}
        {!isOldest && (
          <form class="inline" onSubmit={ramp}>
            <label class="inline">
              <span class="sr-only">Percent of new jobs for revision {number}</span>
              <input type="number" min={0} max={100} required value={percent} onInput={(event) => (written.value = event.currentTarget.value)} /> %
            </label>
            <button type="submit">Ramp</button>
          </form>
        )}
      </td>
    </tr>
  );
}
