/** Starts a job, by a form that is made from the input schema of its task. */
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { get, post, v1 } from "../api/http.ts";
import { useLive } from "../api/live.ts";
import type { Job, TopicDocument, TopicList } from "../api/types.ts";
import { go, place, set, to } from "../router.ts";
import { Problem } from "../ui/Problem.tsx";
import { SchemaForm } from "../ui/SchemaForm.tsx";
import { Setting } from "../ui/Setting.tsx";
import { Text } from "../ui/Text.tsx";

export function Start(): VNode {
  const { query } = place.value;
  const topics = useLive("topics", (signal) => get<TopicList>("/v1/topics", { signal }), { every: 60_000 });
  const all = topics.data.value?.topics ?? [];
  const topic = query.get("topic") ?? all[0]?.topic ?? "";
  const live = useLive(topic ? `topic ${topic}` : null, (signal) => get<TopicDocument>(v1("topics", topic), { signal }), { every: 60_000 });
  const tasks = live.data.value?.tasks ?? [];
  const task = query.get("task") ?? tasks[0]?.task ?? "";
  const known = tasks.find((one) => one.task === task);
  const error = useSignal<Error | undefined>(undefined);
  const isFresh = useSignal(false);
  const start = async (input: string): Promise<void> => {
    try {
      error.value = undefined;
      // The input is put in as it was written, so that no number loses digits.
      const options = isFresh.value ? ',"options":{"scope":"job"}' : "";
      const made = await post<Job>("/v1/jobs", { json: `{"topic":${JSON.stringify(topic)},"task":${JSON.stringify(task)},"input":${input}${options}}` });
      if (made) go(to(["jobs", made.job]));
    } catch (reason) {
      error.value = reason instanceof Error ? reason : new Error(String(reason));
    }
  };
  const failed = topics.error.value ?? live.error.value;
  return (
    <div class="narrow">
      <h1>Start a job</h1>
      {failed && <Problem error={failed} />}
      <div class="filters">
        <label>
          <span>Topic</span>
          <select value={topic} onChange={(event) => set({ topic: event.currentTarget.value, task: undefined }, { replace: true })}>
            {all.map((one) => (
              <option key={one.topic} value={one.topic}>
                {one.topic}
              </option>
            ))}
          </select>
        </label>
        {live.data.value?.tasks === null ? (
          <Setting name="Task" value={task} onSet={(name) => set({ topic, task: name }, { replace: true })} />
        ) : (
          <label>
            <span>Task</span>
            <select value={task} onChange={(event) => set({ topic, task: event.currentTarget.value }, { replace: true })}>
              {tasks.map((one) => (
                <option key={one.task} value={one.task}>
                  {one.task}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      {live.data.value?.tasks === null && <p class="lead">No worker of the topic has said which tasks it has. Write the name of one.</p>}
      {known?.description && (
        <p class="lead">
          <Text>{known.description}</Text>
        </p>
      )}
      {task !== "" && live.data.value && (
        <section class="card">
          <SchemaForm key={`${topic} ${task}`} schema={known?.input_schema} id="input" send="Start" onSend={start} isObject>
            <label class="inline">
              <input type="checkbox" checked={isFresh.value} onChange={(event) => (isFresh.value = event.currentTarget.checked)} /> share no results with other
              jobs
            </label>
          </SchemaForm>
          {error.value && <Problem error={error.value} />}
        </section>
      )}
    </div>
  );
}
