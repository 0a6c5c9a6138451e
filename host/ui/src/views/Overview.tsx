/** The first screen: is everything all right, and what is not? */
import type { ComponentChildren, VNode } from "preact";
import { useChanges } from "../api/changes.ts";
import { get, v1 } from "../api/http.ts";
import { listJobs } from "../api/jobs.ts";
import { useLive } from "../api/live.ts";
import type { DeadLetterList, Job, OpenPromises, ScheduleList, TopicDocument, TopicList } from "../api/types.ts";
import { count, many } from "../logic/text.ts";
import { to } from "../router.ts";
import { Problem } from "../ui/Problem.tsx";
import { State, States, word } from "../ui/State.tsx";
import { Text } from "../ui/Text.tsx";
import { Ago, now } from "../ui/Time.tsx";
import { findings, RECENT, type Seen } from "./overview.ts";

/** So many of each are shown here. */
const SHOWN = 4;
const LOOKED_AT = "20";
/** So many jobs are in the strip: whole rows of it (style.css). */
const STRIP = "40";

async function look(signal: AbortSignal): Promise<Seen> {
  const since = new Date(Date.now() - RECENT).toISOString();
  const [failed, timedOut, { topics }, promises] = await Promise.all([
    listJobs({ state: "failed", limit: LOOKED_AT, since }, signal),
    listJobs({ state: "timed-out", limit: LOOKED_AT, since }, signal),
    get<TopicList>("/v1/topics", { signal }),
    get<OpenPromises>("/v1/promises", { signal }),
  ]);
  const ofTopics = await Promise.all(
    topics.map(async ({ topic }) => {
      const [document, letters, { schedules }] = await Promise.all([
        get<TopicDocument>(v1("topics", topic), { signal }),
        get<DeadLetterList>(`${v1("topics", topic, "dead-letters")}?limit=${LOOKED_AT}`, { signal }),
        get<ScheduleList>(v1("topics", topic, "schedules"), { signal }),
      ]);
      return { document, letters: letters.dead_letters, schedules };
    }),
  );
  const schedules = await Promise.all(
    ofTopics
      .flatMap((topic) => topic.schedules)
      .filter(({ last_job }) => last_job !== null)
      .slice(0, Number(LOOKED_AT))
      // A job that `gc` has removed is no reason to say anything.
      .map(async (schedule) => ({ schedule, lastJob: await get<Job>(v1("jobs", schedule.last_job ?? ""), { signal }).catch(() => undefined) })),
  );
  const allFailed = [...failed.jobs, ...timedOut.jobs].toSorted((a, b) => b.created.localeCompare(a.created));
  // The list does not say why they have failed.
  const newest = await Promise.all(allFailed.slice(0, SHOWN).map((job) => get<Job>(v1("jobs", job.job), { signal }).catch(() => job)));
  return {
    failed: [...newest, ...allFailed.slice(SHOWN)],
    topics: ofTopics.map(({ document }) => document),
    deadLetters: ofTopics.flatMap(({ letters }) => letters),
    promises,
    schedules,
  };
}

export function Overview(): VNode {
  const seen = useLive("overview", look, { every: 10_000 });
  const recent = useLive("recent", (signal) => listJobs({ limit: STRIP }, signal), { every: 5_000 });
  useChanges("/v1/events", ({ subject, to: state }) => {
    if (subject !== "job") return;
    recent.refresh();
    if (state === "failed" || state === "timed-out") seen.refresh();
  });
  const all = seen.data.value;
  return (
    <>
      <h1 class="sr-only">Overview</h1>
      {seen.error.value && <Problem error={seen.error.value} retry={seen.refresh} />}
      {all ? <Verdict seen={all} /> : !seen.error.value && <p class="muted">Reading…</p>}
      {recent.data.value && <Recent jobs={recent.data.value.jobs} />}
      {all && <TopicCards topics={all.topics} />}
    </>
  );
}

function Verdict({ seen }: { readonly seen: Seen }): VNode {
  const { failed, deadLetters, unattended, silent, schedules } = findings(seen, now.value);
  const cards: VNode[] = [];
  const card = (key: string, title: string, href: string, items: ComponentChildren[]): void => {
    cards.push(
      <section class="card bad" key={key}>
        <h2>
          <a href={href}>{title}</a>
        </h2>
        <ul>
          {items.slice(0, SHOWN).map((item, index) => (
            <li key={index}>{item}</li>
          ))}
        </ul>
        {items.length > SHOWN && (
          <p>
            <a href={href}>{count(items.length - SHOWN)} more</a>
          </p>
        )}
      </section>,
    );
  };
  const enough = (number: number): string => (number >= Number(LOOKED_AT) ? `${number}+` : count(number));
  if (unattended.length > 0) {
    const items = unattended.map(({ topic, depth }) => (
      <>
        <a href={to(["topics", topic])}>{topic}</a> {many(depth, "message")}, no worker
      </>
    ));
    card("unattended", `${many(unattended.length, "topic")} without a worker`, to(["topics"]), items);
  }
  if (failed.length > 0) {
    const items = failed.map((job) => (
      <>
        <a href={to(["jobs", job.job])}>
          <Text most={60}>{job.task ?? "unknown task"}</Text>
        </a>{" "}
        {job.failure ? <Text most={120}>{job.failure.message}</Text> : word(job.state)}
      </>
    ));
    card("failed", `${enough(failed.length)} failed ${failed.length === 1 ? "job" : "jobs"} in a day`, to(["jobs"], { state: failed.every(({ state }) => state === "timed-out") ? "timed-out" : "failed" }), items);
  }
  if (deadLetters.length > 0) {
    const items = deadLetters.map((letter) => (
      <>
        <a href={to(["dead-letters"], { topic: letter.topic })}>
          <Text most={60}>{letter.task ?? "a message"}</Text>
        </a>{" "}
        <Text most={80}>{letter.reason}</Text>
      </>
    ));
    card("dead-letters", `${enough(deadLetters.length)} dead ${deadLetters.length === 1 ? "letter" : "letters"}`, to(["dead-letters"]), items);
  }
  if (silent.length > 0) {
    const items = silent.map(({ topic, worker }) => (
      <>
        <a href={to(["topics", topic])}>
          <Text most={60}>{worker.worker}</Text>
        </a>{" "}
        on {topic}, last seen <Ago at={worker.seen} />
      </>
    ));
    card("silent", `${many(silent.length, "silent worker")}`, to(["topics"]), items);
  }
  if (schedules.length > 0) {
    const items = schedules.map(({ schedule, lastJob }) => (
      <>
        <a href={to(["jobs", schedule.last_job ?? ""])}>
          <Text most={60}>{schedule.name}</Text>
        </a>{" "}
        {word(lastJob?.state ?? "")} <Ago at={lastJob?.ended ?? lastJob?.created ?? 0} />
      </>
    ));
    card("schedules", `${many(schedules.length, "failing schedule")}`, to(["schedules"]), items);
  }
  const { promises, cut } = seen.promises;
  return (
    <>
      <div class={cards.length > 0 ? "verdict bad" : "verdict good"} role="status">
        <span class="verdict-sign" aria-hidden="true">
          {cards.length > 0 ? "!" : "✓"}
        </span>
        <div>
          <p class="verdict-title">{cards.length > 0 ? `${many(cards.length, "thing needs", "things need")} attention` : "Everything is all right"}</p>
          <p class="muted">
            {cards.length > 0
              ? "The others are all right: "
              : "No failed job in a day, no dead letter, no silent worker, no failing schedule, and each topic with messages has a worker. "}
            {cards.length > 0 &&
              [
                ["failed", "jobs"],
                ["dead-letters", "dead letters"],
                ["unattended", "topics"],
                ["silent", "workers"],
                ["schedules", "schedules"],
              ]
                .filter(([key]) => !cards.some((one) => one.key === key))
                .map(([, name]) => name)
                .join(", ")}
          </p>
        </div>
      </div>
      <div class="cards">
        {cards}
        {promises.length > 0 && (
          <section class="card ask">
            <h2>
              <a href={to(["promises"])}>
                {count(promises.length)}
                {cut ? "+" : ""} open {promises.length === 1 ? "promise" : "promises"}
              </a>
            </h2>
            <ul>
              {promises.slice(0, SHOWN).map((promise) => (
                <li key={promise.call}>
                  <a href={to(["promises"])}>
                    <Text most={60}>{promise.name}</Text>
                  </a>{" "}
                  of <Text most={60}>{promise.task ?? promise.job}</Text>, started <Ago at={promise.created} />
                </li>
              ))}
            </ul>
          </section>
        )}
      </div>
    </>
  );
}

function Recent({ jobs }: { readonly jobs: readonly Job[] }): VNode {
  if (jobs.length === 0) {
    return (
      <div class="empty">
        <h2>No job yet</h2>
        <p>
          <a href={to(["start"])}>Start one here</a>, or by <code>brrr-host call</code>.
        </p>
      </div>
    );
  }
  const counts = new Map<string, number>();
  for (const { state } of jobs) counts.set(state, (counts.get(state) ?? 0) + 1);
  return (
    <section>
      <div class="section-head">
        <h2>
          <a href={to(["jobs"])}>Newest jobs</a>
        </h2>
        <States states={[...counts].toSorted((a, b) => b[1] - a[1])} />
        <a class="actions" href={to(["jobs"])}>
          all jobs
        </a>
      </div>
      <div class="card">
        <ol class="strip" aria-label="The newest jobs, newest first">
          {jobs.map((job) => (
            <li key={job.job}>
              <a href={to(["jobs", job.job])} class={`cell state-${job.state}`} title={`${job.task ?? "unknown task"}: ${word(job.state)}`}>
                <span class="sr-only">
                  <Text most={60}>{job.task ?? "unknown task"}</Text> {word(job.state)}
                </span>
              </a>
            </li>
          ))}
        </ol>
        <ul class="newest">
          {jobs.slice(0, 9).map((job) => (
            <li key={job.job}>
              <State state={job.state} />
              <span class="newest-name">
                <a href={to(["jobs", job.job])}>
                  <Text most={60}>{job.task ?? "unknown task"}</Text>
                </a>
                {job.label && (
                  <span class="label">
                    <Text most={40}>{job.label}</Text>
                  </span>
                )}
              </span>
              <span class="muted">
                <Ago at={job.created} />
              </span>
            </li>
          ))}
        </ul>
      </div>
    </section>
  );
}

function TopicCards({ topics }: { readonly topics: readonly TopicDocument[] }): VNode {
  return (
    <section>
      <div class="section-head">
        <h2>
          <a href={to(["topics"])}>Topics</a>
        </h2>
      </div>
      <div class="cards">
        {topics.map(({ topic, depth, workers, tasks }) => {
          const running = workers.reduce((sum, worker) => sum + worker.running, 0);
          const slots = workers.reduce((sum, worker) => sum + worker.slots, 0);
          return (
            <section class="card" key={topic}>
              <h3>
                <a href={to(["topics", topic])}>{topic}</a>
              </h3>
              <dl class="facts small">
                <div>
                  <dt>Messages</dt>
                  <dd class="number">{count(depth)}</dd>
                </div>
                <div>
                  <dt>Workers</dt>
                  <dd class="number">{count(workers.length)}</dd>
                </div>
                <div>
                  <dt>Running</dt>
                  <dd class="number">
                    {count(running)} <span class="muted">of {count(slots)}</span>
                  </dd>
                </div>
                <div>
                  <dt>Tasks</dt>
                  <dd class="number">{tasks ? count(tasks.length) : "–"}</dd>
                </div>
              </dl>
            </section>
          );
        })}
      </div>
    </section>
  );
}
