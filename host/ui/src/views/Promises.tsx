/** The promises that running jobs wait for. */
import type { VNode } from "preact";
import { useChanges } from "../api/changes.ts";
import { get } from "../api/http.ts";
import { useLive } from "../api/live.ts";
import type { OpenPromises } from "../api/types.ts";
import { to } from "../router.ts";
import { Problem } from "../ui/Problem.tsx";
import { Text } from "../ui/Text.tsx";
import { Ago } from "../ui/Time.tsx";
import { PromiseForm } from "./PromiseForm.tsx";

export function Promises(): VNode {
  const open = useLive("promises", (signal) => get<OpenPromises>("/v1/promises", { signal }), { every: 5_000 });
  useChanges("/v1/events", () => open.refresh());
  const found = open.data.value;
  return (
    <>
      <h1>Open promises</h1>
      <p class="lead">These jobs wait until somebody answers. An answer can't be changed.</p>
      {open.error.value && <Problem error={open.error.value} retry={open.refresh} />}
      {found?.cut && <p class="muted">Only the newest running jobs were looked at.</p>}
      {found?.promises.length === 0 && (
        <div class="empty">
          <h2>No job waits for an answer</h2>
          <p>
            A handler waits by <code>await app.promise("approval")</code>.
          </p>
        </div>
      )}
      <div class="promises">
        {found?.promises.map((promise) => (
          <section class="card" key={`${promise.job} ${promise.call}`}>
            <h2>
              <Text most={80}>{promise.name}</Text>
            </h2>
            <p class="muted">
              <a href={to(["jobs", promise.job, "calls", promise.call])}>
                <Text most={60}>{promise.task ?? "unknown task"}</Text> {promise.job.slice(0, 8)}
              </a>
              {promise.label && (
                <>
                  {" "}
                  · <Text most={60}>{promise.label}</Text>
                </>
              )}{" "}
              · started <Ago at={promise.created} />
              {promise.awaited_by && promise.awaited_by !== promise.task && (
                <>
                  {" "}
                  · awaited by <Text most={60}>{promise.awaited_by}</Text>
                </>
              )}
            </p>
            <PromiseForm job={promise.job} promise={promise} onDone={open.refresh} />
          </section>
        ))}
      </div>
      {!found && !open.error.value && <p class="muted">Reading…</p>}
    </>
  );
}
