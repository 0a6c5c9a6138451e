/** One topic: its workers, the revisions of its code, its tasks. */
import type { VNode } from "preact";
import { get, v1 } from "../api/http.ts";
import { useLive } from "../api/live.ts";
import type { TaskDocument, TopicDocument, Worker } from "../api/types.ts";
import { count } from "../logic/text.ts";
import { to } from "../router.ts";
import { Problem } from "../ui/Problem.tsx";
import { Text } from "../ui/Text.tsx";
import { Ago } from "../ui/Time.tsx";
import { Deployments } from "./Deployments.tsx";
import { isSilent, isUnattended } from "./overview.ts";

export function TopicView({ topic }: { readonly topic: string }): VNode {
  const live = useLive(`topic ${topic}`, (signal) => get<TopicDocument>(v1("topics", topic), { signal }), { every: 3_000 });
  const found = live.data.value;
  return (
    <>
      <div class="title">
        <h1>
          <Text most={80}>{topic}</Text>
        </h1>
        <span class="actions">
          <a class="button" href={to(["jobs"], { topic })}>
            Jobs
          </a>
        </span>
      </div>
      {live.error.value && <Problem error={live.error.value} retry={live.refresh} />}
      {found && (
        <>
          {isUnattended(found) && (
            <p class="problem" role="alert">
              {count(found.depth)} {found.depth === 1 ? "message waits" : "messages wait"}, and no worker takes {found.depth === 1 ? "it" : "them"}.
            </p>
          )}
          <dl class="facts">
            <div>
              <dt>Messages</dt>
              <dd class="number">{count(found.depth)}</dd>
            </div>
            <div>
              <dt>Workers</dt>
              <dd class="number">{count(found.workers.length)}</dd>
            </div>
            <div>
              <dt>Tasks</dt>
              <dd class="number">{found.tasks ? count(found.tasks.length) : "–"}</dd>
            </div>
          </dl>
          <Workers topic={topic} workers={found.workers} />
          <Deployments topic={topic} />
          <Tasks topic={topic} tasks={found.tasks ?? undefined} />
        </>
      )}
      {!found && !live.error.value && <p class="muted">Reading…</p>}
    </>
  );
}

function Workers({ topic, workers }: { readonly topic: string; readonly workers: readonly Worker[] }): VNode {
  return (
    <section>
      <h2>Workers</h2>
      {workers.length === 0 ? (
        <p class="muted">
          None runs. <code>brrr-host run --topic {topic} app.wasm</code> starts one, and without a component one that runs what is pushed.
        </p>
      ) : (
        <div class="table-box">
          <table class="rows">
            <caption class="sr-only">Workers</caption>
            <thead>
              <tr>
                <th scope="col">Worker</th>
                <th scope="col">Version</th>
                <th scope="col">Started</th>
                <th scope="col">Seen</th>
                <th scope="col">Running</th>
              </tr>
            </thead>
            <tbody>
              {workers.map((worker) => (
                <tr key={worker.worker}>
                  <td data-label="Worker" class="main-cell">
                    <strong>
                      <Text most={80}>{worker.host}</Text>
                    </strong>
                    <span class="muted">
                      <Text most={80}>{worker.worker}</Text>
                    </span>
                  </td>
                  <td data-label="Version">
                    <Text most={40}>{worker.version}</Text>
                  </td>
                  <td data-label="Started">
                    <Ago at={worker.started} />
                  </td>
                  <td data-label="Seen">
                    {isSilent(worker) ? (
                      <span class="state state-failed">
                        silent, <Ago at={worker.seen} />
                      </span>
                    ) : worker.stopping ? (
                      <span class="state state-cancelled">stopping</span>
                    ) : (
                      <Ago at={worker.seen} />
                    )}
                  </td>
                  <td data-label="Running">
                    <span class="slots">
                      <meter min={0} max={Math.max(worker.slots, 1)} value={worker.running} aria-label={`${worker.running} of ${worker.slots} slots`} />
                      <span class="number">
                        {count(worker.running)} of {count(worker.slots)}
                      </span>
                    </span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Tasks({ topic, tasks }: { readonly topic: string; readonly tasks: readonly TaskDocument[] | undefined }): VNode {
  return (
    <section>
      <h2>Tasks</h2>
      {!tasks && <p class="muted">No worker has announced its tasks.</p>}
      {tasks && (
        <ul class="tasks">
          {tasks.map((task) => (
            <Task key={task.task} topic={topic} task={task} />
          ))}
        </ul>
      )}
    </section>
  );
}

function Task({ topic, task: { task, description, input_schema: input, output_schema: output, scope } }: { readonly topic: string; readonly task: TaskDocument }): VNode {
  const schemas = [
    ["Input", input],
    ["Result", output],
  ] as const;
  return (
    <li class="task">
      <div class="task-name">
        <h3>
          <Text most={80}>{task}</Text>
        </h3>
        {scope && <span class="tag">scope {scope}</span>}
      </div>
      <div class="task-text">
        {description && (
          <p>
            <Text most={400}>{description}</Text>
          </p>
        )}
        {Boolean(input ?? output) && (
          <details>
            <summary>Schemas</summary>
            {schemas.map(
              ([name, schema]) =>
                schema !== null &&
                schema !== undefined && (
                  <div key={name}>
                    <h4>{name}</h4>
                    {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls */}
                    <pre tabIndex={0} role="region" aria-label={`${name} of ${task}`}>
                      <Text most={4_000}>{JSON.stringify(schema, null, 2)}</Text>
                    </pre>
                  </div>
                ),
            )}
          </details>
        )}
      </div>
      <span class="actions">
        <a href={to(["jobs"], { topic, task })}>jobs</a>
        <a href={to(["start"], { topic, task })}>start a job</a>
      </span>
    </li>
  );
}
