/** The revisions of a topic's code. What changes them is shown if the gateway can do it. */
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { can } from "../api/features.ts";
import { get, post, v1 } from "../api/http.ts";
import { useLive } from "../api/live.ts";
import type { Revision, RevisionList } from "../api/types.ts";
import { many } from "../logic/text.ts";
import { attempt, confirm, tell } from "../ui/dialogs.tsx";
import { Problem } from "../ui/Problem.tsx";
import { Text } from "../ui/Text.tsx";
import { Ago } from "../ui/Time.tsx";

const PATH = "/v1/topics/{topic}/deployments";

export function Deployments({ topic }: { readonly topic: string }): VNode | null {
  const live = useLive(`deployments ${topic}`, (signal) => get<RevisionList>(v1("topics", topic, "deployments"), { signal }), { every: 5_000 });
  const revisions = live.data.value?.revisions ?? [];
  if (live.error.value) return <Problem error={live.error.value} retry={live.refresh} />;
  if (revisions.length === 0) return null;
  return (
    <section>
      <h2>Deployments</h2>
      <div class="revisions">
        {revisions.map((revision) => (
          <RevisionCard key={revision.revision} topic={topic} revision={revision} refresh={live.refresh} />
        ))}
      </div>
    </section>
  );
}

function RevisionCard({ topic, revision, refresh }: { readonly topic: string; readonly revision: Revision; readonly refresh: () => void }): VNode {
  const percent = useSignal(String(revision.percent));
  const number = String(revision.revision);
  const act = async (action: string, body: unknown, done: string): Promise<void> => {
    await attempt(async () => {
      await post(`${v1("topics", topic, "deployments", number)}/${action}`, { body });
      tell(done);
    });
    refresh();
  };
  const ramp = (event: Event): void => {
    event.preventDefault();
    void act("ramp", { percent: Number(percent.value) }, `Revision ${number} takes ${percent.value} % of the new jobs.`);
  };
  const rollback = async (): Promise<void> => {
    const text = `A new revision with the code of revision ${number} takes all new jobs. Jobs that run keep their code.`;
    if (await confirm(`Roll back to revision ${number}?`, text, "Roll back")) await act("rollback", {}, `The code of revision ${number} is in force.`);
  };
  const states = Object.entries(revision.workers as Record<string, unknown>);
  const failed = states.filter(([, state]) => typeof state === "object");
  return (
    <section class={revision.percent > 0 ? "card revision in-force" : "card revision"}>
      <div class="section-head">
        <h3>Revision {number}</h3>
        <span class="share">
          <meter min={0} max={100} value={revision.percent} aria-label={`${revision.percent} % of new jobs`} />
          <span class="number">{revision.percent} %</span>
        </span>
        <span class="muted">
          <Ago at={revision.from} />
          {revision.by && (
            <>
              {" "}
              by <Text most={60}>{revision.by}</Text>
            </>
          )}
          {revision.restores !== null && revision.restores !== undefined && ` · code of revision ${revision.restores}`}
        </span>
      </div>
      {revision.note && (
        <p>
          <Text most={400}>{revision.note}</Text>
        </p>
      )}
      <ul class="components">
        {revision.components.map(({ name, digest }) => (
          <li key={digest}>
            <Text most={80}>{name}</Text> <code class="muted">{digest.slice(0, 19)}</code>
          </li>
        ))}
      </ul>
      {states.length > 0 && (
        <p class="muted">
          {many(states.filter(([, state]) => state === "loaded").length, "worker has", "workers have")} loaded it
          {failed.length > 0 && `, ${failed.length} could not`}
        </p>
      )}
      {failed.map(([worker, state]) => (
        <p class="why-text" key={worker}>
          <Text most={60}>{worker}</Text>: <Text most={300}>{String((state as { failed?: unknown }).failed)}</Text>
        </p>
      ))}
      <div class="buttons">
        {can("post", `${PATH}/{revision}/ramp`) && (
          <form class="inline" onSubmit={ramp}>
            <label>
              <span class="sr-only">Percent of new jobs for revision {number}</span>
              <input type="number" min={0} max={100} value={percent.value} onInput={(event) => (percent.value = event.currentTarget.value)} />
            </label>
            <button type="submit">Ramp</button>
          </form>
        )}
        {can("post", `${PATH}/{revision}/rollback`) && revision.percent === 0 && (
          <button type="button" onClick={() => void rollback()}>
            Roll back to this
          </button>
        )}
      </div>
    </section>
  );
}
