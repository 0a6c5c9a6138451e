/** Messages that no worker could take. */
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useChanges } from "../api/changes.ts";
import { post, send, v1 } from "../api/http.ts";
import { useLive } from "../api/live.ts";
import type { DeadLetter, DeadLetterList } from "../api/types.ts";
import { place, set, to } from "../router.ts";
import { attempt, confirm, tell } from "../ui/dialogs.tsx";
import { Problem } from "../ui/Problem.tsx";
import { Text } from "../ui/Text.tsx";
import { Ago } from "../ui/Time.tsx";
import { ofTopics } from "./topics.ts";

export function DeadLetters(): VNode {
  const letters = useLive("dead-letters", (signal) => ofTopics<DeadLetterList>("dead-letters", signal), { every: 5_000 });
  useChanges("/v1/events", ({ to: state }) => state === "failed" && letters.refresh());
  const topic = place.value.query.get("topic") ?? "";
  const topics = letters.data.value?.map((one) => one.topic) ?? [];
  const found = letters.data.value?.flatMap(({ document }) => document.dead_letters).filter((letter) => topic === "" || letter.topic === topic);
  return (
    <>
      <h1>Dead letters</h1>
      <p class="lead">Messages that no worker could take, with the reason. They stay here until somebody sends them again or drops them.</p>
      {topics.length > 1 && (topic !== "" || found?.length !== 0) && (
        <div class="chips" role="group" aria-label="Topic">
          {["", ...topics].map((one) => (
            <button key={one} type="button" aria-pressed={topic === one} onClick={() => set({ topic: one })}>
              {one || "all"}
            </button>
          ))}
        </div>
      )}
      {letters.error.value && <Problem error={letters.error.value} retry={letters.refresh} />}
      {found?.length === 0 && (
        <div class="empty">
          <h2>No dead letter</h2>
          <p>Each message has found a worker that could take it.</p>
        </div>
      )}
      <div class="letters">
        {found?.map((letter) => (
          <Letter key={`${letter.topic}/${letter.id}`} letter={letter} refresh={letters.refresh} />
        ))}
      </div>
      {!found && !letters.error.value && <p class="muted">Reading…</p>}
    </>
  );
}

function Letter({ letter, refresh }: { readonly letter: DeadLetter; readonly refresh: () => void }): VNode {
  const isBusy = useSignal(false);
  const path = v1("topics", letter.topic, "dead-letters", letter.id);
  const act = async (action: () => Promise<void>): Promise<void> => {
    isBusy.value = true;
    await attempt(action);
    isBusy.value = false;
    refresh();
  };
  const again = (): Promise<void> =>
    act(async () => {
      const sent = await post<{ job: string | null }>(`${path}/send`);
      const job = sent?.job;
      tell(
        job ? (
          <>
            It was sent in a <a href={to(["jobs", job])}>new job</a>.
          </>
        ) : (
          "It was sent again."
        ),
      );
    });
  const drop = async (): Promise<void> => {
    const sure = await confirm("Drop this dead letter?", "Nobody will work on the message. This can't be undone.", "Drop it");
    if (!sure) return;
    await act(async () => {
      await send(path, { method: "DELETE" });
      tell("The dead letter is gone.");
    });
  };
  return (
    <section class="card letter">
      <div class="section-head">
        <h2>
          <Text most={80}>{letter.task ?? "a message"}</Text>
        </h2>
        <span class="muted">
          on <a href={to(["topics", letter.topic])}>{letter.topic}</a> · <Ago at={letter.at} />
        </span>
        <span class="actions">
          <button type="button" class="primary" disabled={isBusy.value} onClick={() => void again()}>
            Send again
          </button>
          <button type="button" class="danger" disabled={isBusy.value} onClick={() => void drop()}>
            Drop
          </button>
        </span>
      </div>
      <p class="why-text">
        <Text>{letter.reason}</Text>
      </p>
      <p class="muted">
        {letter.job && letter.call ? (
          <a href={to(["jobs", letter.job, "calls", letter.call])}>
            the call in job <Text most={8}>{letter.job.slice(0, 8)}</Text>
          </a>
        ) : (
          <>
            message <Text most={200}>{letter.body}</Text>
          </>
        )}
      </p>
      {letter.payload !== undefined && letter.payload !== null && letter.payload !== "" && (
        <details>
          <summary>Payload</summary>
          {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls */}
          <pre tabIndex={0} role="region" aria-label="Payload">
            <Text most={4_000}>{letter.payload}</Text>
          </pre>
        </details>
      )}
    </section>
  );
}
