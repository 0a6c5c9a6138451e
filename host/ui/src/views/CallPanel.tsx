/** One call of a job: what it was given, what became of it, and its calls. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren, VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Change } from "../api/events.ts";
import { get, v1 } from "../api/http.ts";
import { useLive } from "../api/live.ts";
import type { AwaitedPromises, Failure, Job, Tree } from "../api/types.ts";
import { count, many } from "../logic/text.ts";
import { type Call, failureChain, isFailed, jobOf, states } from "../logic/tree.ts";
import { moment, span } from "../logic/time.ts";
import { place, to } from "../router.ts";
import { Payload } from "../ui/Payload.tsx";
import { Problem } from "../ui/Problem.tsx";
import { State, States, word } from "../ui/State.tsx";
import { Id, Text } from "../ui/Text.tsx";
import { Ago } from "../ui/Time.tsx";
import { CallLogs } from "./Logs.tsx";
import { PromiseForm } from "./PromiseForm.tsx";

interface Props {
  readonly id: string;
  readonly hash: string;
  /** `undefined`: the tree of the job does not show it. */
  readonly call: Call | undefined;
  readonly job: Job;
  readonly history: readonly Change[] | undefined;
  /** Changes with the history. */
  readonly version: number;
  readonly close: () => void;
}

const CHILDREN_SHOWN = 50;

export function CallPanel({ id, hash, call: known, job, history, close }: Props): VNode {
  const element = useRef<HTMLElement>(null);
  // The tree of a large job does not have all calls, so this one is read alone.
  const alone = useLive(known ? null : `call ${id} ${hash}`, (signal) => get<Tree>(v1("jobs", id, "calls", hash), { signal }), { every: 5_000 });
  const call = known ?? (alone.data.value && jobOf(alone.data.value.tree).top);
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) close();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
  return (
    <aside ref={element} class="panel" aria-label="Call">
      <div class="panel-head">
        <h2>
          {call?.promise !== undefined && <span class="muted">promise </span>}
          <Text most={120}>{call?.label ?? call?.promise ?? call?.task ?? "Call"}</Text>
        </h2>
        {call && <State state={call.state} />}
        <button type="button" class="icon close" aria-label="Close the call" title="Close (Esc)" onClick={close}>
          ✕
        </button>
      </div>
      {alone.error.value && <Problem error={alone.error.value} retry={alone.refresh} />}
      {call && <Body id={id} call={call} job={job} history={history} />}
    </aside>
  );
}

function Body({ id, call, job, history }: { readonly id: string; readonly call: Call; readonly job: Job; readonly history: readonly Change[] | undefined }): VNode {
  const cause = failureChain(call).at(-1);
  const isOpenPromise = call.promise !== undefined && call.state === "deferred" && job.state === "running";
  return (
    <>
      <dl class="facts small">
        <Fact name="Call">
          <Id>{call.hash}</Id>
        </Fact>
        {call.label !== undefined && (
          <Fact name={call.promise === undefined ? "Task" : "Promise"}>
            <Text most={120}>{call.promise ?? call.task}</Text>
          </Fact>
        )}
        {call.asked !== undefined && (
          <Fact name="Asked for">
            <Ago at={call.asked} />
          </Fact>
        )}
        {call.asked !== undefined && call.ended !== undefined && !call.reused && <Fact name="Took">{span(Math.max(0, call.ended - call.asked))}</Fact>}
        {call.promise === undefined && <Fact name="Attempt">{call.attempt}</Fact>}
        {call.reused && <Fact name="Value">of an earlier job</Fact>}
        {call.waiting !== undefined && call.waiting > 0 && <Fact name="Waits for">{many(call.waiting, "call")}</Fact>}
        {call.waitsUntil !== undefined && (
          <Fact name="Waits until">
            <Ago at={call.waitsUntil} />
          </Fact>
        )}
        {call.nextAttemptAt !== undefined && (
          <Fact name="Next attempt">
            <Ago at={call.nextAttemptAt} />
          </Fact>
        )}
      </dl>
      {call.failure && (
        <Section title="Failure">
          <FailureBox failure={call.failure} />
          {cause && cause !== call && (
            <p>
              <a class="button" href={link(id, cause)}>
                Go to the cause: <Text most={60}>{cause.task}</Text>
              </a>
            </p>
          )}
        </Section>
      )}
      {!call.failure && call.lastFailure && (
        <Section title="Last failure">
          <p class="why-text">
            <Text>{call.lastFailure}</Text>
          </p>
        </Section>
      )}
      {isOpenPromise && (
        <Section title="Answer">
          <PromiseAnswer id={id} name={call.promise ?? ""} />
        </Section>
      )}
      {call.promise === undefined && call.state !== "unscheduled" && (
        <Section title="Payload">
          <Payload path={v1("jobs", id, "calls", call.hash, "payload")} label="Payload" />
        </Section>
      )}
      {call.state === "completed" && (
        <Section title="Result">
          <Payload path={v1("jobs", id, "calls", call.hash, "result")} label="Result" />
        </Section>
      )}
      {call.promise === undefined && call.state !== "unscheduled" && (
        <Section title="Logs">
          <CallLogs id={id} call={call} changes={history?.length ?? 0} />
        </Section>
      )}
      {history && history.length > 0 && (
        <Section title="What happened">
          <History changes={history.filter(({ subject }) => subject === "task")} />
        </Section>
      )}
      {call.parents.length > 0 && (
        <Section title={call.parents.length === 1 ? "Parent" : `${count(call.parents.length)} parents`}>
          <ul class="call-list">
            {call.parents.slice(0, CHILDREN_SHOWN).map((parent) => (
              <CallLine key={parent.hash} id={id} call={parent} />
            ))}
          </ul>
        </Section>
      )}
      {call.children.length > 0 && <Children id={id} call={call} />}
    </>
  );
}

const link = (id: string, call: Call): string => to(["jobs", id, "calls", call.hash], Object.fromEntries(place.value.query));

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }): VNode {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Section({ title, children }: { readonly title: string; readonly children: ComponentChildren }): VNode {
  return (
    <section class="panel-section">
      <h3>{title}</h3>
      {children}
    </section>
  );
}

function FailureBox({ failure }: { readonly failure: Failure }): VNode {
  const details = failure.details === undefined ? undefined : JSON.stringify(failure.details, null, 2);
  return (
    <>
      <p class="why-text">
        <strong>{failure.kind}</strong> <Text>{failure.message}</Text>
      </p>
      {failure.chain.length > 1 && (
        <ol class="chain-lines">
          {failure.chain.map((line, index) => (
            <li key={index}>
              <Text most={300}>{line}</Text>
            </li>
          ))}
        </ol>
      )}
      {details !== undefined && (
        <>
          <h4>Details</h4>
          {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls */}
          <pre tabIndex={0} role="region" aria-label="Details">
            <Text most={4_000}>{details}</Text>
          </pre>
        </>
      )}
    </>
  );
}

function History({ changes }: { readonly changes: readonly Change[] }): VNode {
  const first = Date.parse(changes[0]?.at ?? "");
  return (
    <ol class="history">
      {changes.slice(-60).map((change, index) => (
        <li key={index}>
          <span class="number muted" title={moment(Date.parse(change.at))}>
            +{span(Date.parse(change.at) - first)}
          </span>
          <span>
            {word(change.to)}
            {change.attempt > 1 && <span class="muted"> · attempt {change.attempt}</span>}
            {change.failure && (
              <>
                {" "}
                · <Text most={200}>{change.failure.message}</Text>
              </>
            )}
            {change.retry_in_ms !== undefined && <span class="muted"> · again in {span(change.retry_in_ms)}</span>}
          </span>
        </li>
      ))}
    </ol>
  );
}

function PromiseAnswer({ id, name }: { readonly id: string; readonly name: string }): VNode {
  const awaited = useLive(`promises ${id}`, (signal) => get<AwaitedPromises>(v1("jobs", id, "promises"), { signal }), { every: 10_000 });
  const promise = awaited.data.value?.promises.find((one) => one.name === name);
  if (awaited.error.value) return <Problem error={awaited.error.value} />;
  if (!awaited.data.value) return <p class="muted">Reading…</p>;
  return promise ? <PromiseForm job={id} promise={promise} /> : <p class="muted">The job does not wait for it any more.</p>;
}

function Children({ id, call }: { readonly id: string; readonly call: Call }): VNode {
  const shown = useSignal(CHILDREN_SHOWN);
  const state = useSignal("");
  const counts = states(call.children);
  const all = call.children.filter((child) => state.value === "" || child.state === state.value);
  // What is wrong comes first.
  const sorted = all.length > CHILDREN_SHOWN ? all.toSorted((a, b) => Number(isFailed(b.state)) - Number(isFailed(a.state))) : all;
  return (
    <Section title={many(call.children.length, "child", "children")}>
      {counts.length > 1 && (
        <div class="chips small" role="group" aria-label="State of the children">
          {[["", call.children.length] as const, ...counts].map(([one, number]) => (
            <button key={one} type="button" aria-pressed={state.value === one} onClick={() => (state.value = one)}>
              {one ? word(one) : "all"} {count(number)}
            </button>
          ))}
        </div>
      )}
      {counts.length === 1 && <States states={counts} />}
      <ul class="call-list">
        {sorted.slice(0, shown.value).map((child) => (
          <CallLine key={child.hash} id={id} call={child} />
        ))}
      </ul>
      {sorted.length > shown.value && (
        <button type="button" class="link" onClick={() => (shown.value += 200)}>
          show more ({count(sorted.length - shown.value)})
        </button>
      )}
      {call.leftOut > 0 && <p class="muted">{count(call.leftOut)} more are not shown.</p>}
    </Section>
  );
}

function CallLine({ id, call }: { readonly id: string; readonly call: Call }): VNode {
  return (
    <li>
      <State state={call.state} />
      <a href={link(id, call)}>
        <Text most={80}>{call.label ?? call.promise ?? call.task}</Text>
      </a>
      <span class="muted number">{call.asked !== undefined && call.ended !== undefined && !call.reused ? span(Math.max(0, call.ended - call.asked)) : ""}</span>
    </li>
  );
}
