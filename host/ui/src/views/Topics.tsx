/** The topics of the gateway. */
import type { VNode } from "preact";
import { get } from "../api/http.ts";
import { useLive } from "../api/live.ts";
import type { TopicList } from "../api/types.ts";
import { count } from "../logic/text.ts";
import { to } from "../router.ts";
import { Problem } from "../ui/Problem.tsx";

export function Topics(): VNode {
  const topics = useLive("topics", (signal) => get<TopicList>("/v1/topics", { signal }), { every: 3_000 });
  const found = topics.data.value?.topics;
  return (
    <>
      <h1>Topics</h1>
      {topics.error.value && <Problem error={topics.error.value} retry={topics.refresh} />}
      {found && (
        <div class="table-box">
          <table class="rows">
            <caption class="sr-only">Topics</caption>
            <thead>
              <tr>
                <th scope="col">Topic</th>
                <th scope="col" class="number">
                  Messages
                </th>
                <th scope="col" class="number">
                  Workers
                </th>
                <th scope="col" class="number">
                  Tasks
                </th>
                <th scope="col">
                  <span class="sr-only">More</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {found.map(({ topic, depth, workers, tasks }) => (
                <tr key={topic}>
                  <td data-label="Topic" class="main-cell">
                    <a href={to(["topics", topic])}>{topic}</a>
                  </td>
                  <td data-label="Messages" class="number">
                    {count(depth)}
                  </td>
                  <td data-label="Workers" class="number">
                    {workers === 0 && depth > 0 ? <span class="state state-failed">none</span> : count(workers)}
                  </td>
                  <td data-label="Tasks" class="number">
                    {tasks ? count(tasks.length) : "–"}
                  </td>
                  <td class="actions">
                    <a href={to(["jobs"], { topic })}>jobs</a>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {!found && !topics.error.value && <p class="muted">Reading…</p>}
    </>
  );
}
