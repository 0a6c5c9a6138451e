/** Chooses the view of the address. */
import type { VNode } from "preact";
import { useEffect } from "preact/hooks";
import { isLockedOut } from "./api/http.ts";
import { place, to } from "./router.ts";
import { Login } from "./ui/Login.tsx";
import { LINKS, Shell } from "./ui/Shell.tsx";
import { DeadLetters } from "./views/DeadLetters.tsx";
import { JobView } from "./views/JobView.tsx";
import { Jobs } from "./views/Jobs.tsx";
import { Overview } from "./views/Overview.tsx";
import { Promises } from "./views/Promises.tsx";
import { Schedules } from "./views/Schedules.tsx";
import { Start } from "./views/Start.tsx";
import { TopicView } from "./views/TopicView.tsx";
import { Topics } from "./views/Topics.tsx";

export function App(): VNode {
  if (isLockedOut.value) return <Login />;
  return (
    <Shell>
      <View />
    </Shell>
  );
}

function View(): VNode {
  const { path } = place.value;
  const [first = "", id, part, hash] = path;
  useEffect(() => {
    const name = LINKS.find((link) => link.path === first)?.name ?? "Start a job";
    document.title = id === undefined ? `${name} · brrr` : `${id.slice(0, 12)} · ${name} · brrr`;
  }, [first, id]);
  if (first === "" && path.length === 0) return <Overview />;
  if (first === "jobs" && id === undefined) return <Jobs />;
  if (first === "jobs" && id !== undefined && part === undefined) return <JobView key={id} id={id} hash={undefined} />;
  if (first === "jobs" && id !== undefined && part === "calls" && hash !== undefined) return <JobView key={id} id={id} hash={hash} />;
  if (first === "topics" && id === undefined) return <Topics />;
  if (first === "topics" && id !== undefined && part === undefined) return <TopicView key={id} topic={id} />;
  if (id === undefined) {
    if (first === "promises") return <Promises />;
    if (first === "schedules") return <Schedules />;
    if (first === "dead-letters") return <DeadLetters />;
    if (first === "start") return <Start />;
  }
  return (
    <div class="empty">
      <h1>There is no such view</h1>
      <p>
        <a href={to([])}>Go to the overview</a>
      </p>
    </div>
  );
}
