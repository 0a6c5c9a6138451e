/** What is around each view: the navigation, the field to go to a job, the switch of the colours, the help. */
import { signal } from "@preact/signals";
import type { ComponentChildren, VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { isLive } from "../api/events.ts";
import { hasToken, logOut } from "../api/http.ts";
import { go, place, to } from "../router.ts";
import { Dialog, Dialogs } from "./dialogs.tsx";

interface Link {
  readonly name: string;
  readonly path: string;
  /** With `g` before it. */
  readonly key: string;
}

export const LINKS: readonly Link[] = [
  { name: "Overview", path: "", key: "o" },
  { name: "Jobs", path: "jobs", key: "j" },
  { name: "Promises", path: "promises", key: "p" },
  { name: "Schedules", path: "schedules", key: "s" },
  { name: "Dead letters", path: "dead-letters", key: "d" },
  { name: "Topics", path: "topics", key: "t" },
];

const isHelpShown = signal(false);

type Theme = "light" | "dark" | "system";
const THEMES: readonly Theme[] = ["system", "light", "dark"];
const SIGNS: Record<Theme, string> = { system: "◐", light: "☀", dark: "☾" };
const theme = signal<Theme>(THEMES.find((one) => one === localStorage.getItem("brrr-theme")) ?? "system");

function showTheme(): void {
  const { dataset } = document.documentElement;
  if (theme.value === "system") delete dataset["theme"];
  else dataset["theme"] = theme.value;
}

function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "system";
  localStorage.setItem("brrr-theme", theme.value);
  showTheme();
}
showTheme();

export function Shell({ children }: { readonly children: ComponentChildren }): VNode {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => shortcuts(() => field.current), []);
  const here = place.value.path[0] ?? "";
  const nav = useRef<HTMLElement>(null);
  // Not all links fit into a narrow window.
  useEffect(() => nav.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [here]);
  const find = (event: Event): void => {
    event.preventDefault();
    const id = field.current?.value.trim();
    if (!id || !field.current) return;
    field.current.value = "";
    field.current.blur();
    go(to(["jobs", id]));
  };
  return (
    <>
      <a class="skip" href="#view" onClick={(event) => (event.preventDefault(), document.querySelector<HTMLElement>("#view")?.focus())}>
        Skip to the view
      </a>
      <header>
        <a class="brand" href={to([])}>
          <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
            <rect width="32" height="32" rx="8" class="brand-back" />
            <path d="M9 16h6M15 16c3 0 2-6 6-6M15 16c3 0 2 6 6 6" class="brand-lines" />
            <circle cx="8" cy="16" r="3" class="brand-dot" />
            <circle cx="23" cy="10" r="3" class="brand-dot" />
            <circle cx="23" cy="22" r="3" class="brand-dot" />
          </svg>
          <span class="wide-only">brrr</span>
          <span class="sr-only">overview</span>
        </a>
        <nav ref={nav} aria-label="Views">
          {LINKS.map(({ name, path }) => (
            <a key={path} href={to(path ? [path] : [])} aria-current={here === path ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <form class="find" role="search" onSubmit={find}>
          <input ref={field} type="search" aria-label="Go to a job" placeholder="Job id" autocomplete="off" spellcheck={false} />
          <kbd aria-hidden="true">/</kbd>
        </form>
        <a class="button primary" href={to(["start"])}>
          <span>
            Start<span class="wide-only"> a job</span>
          </span>
        </a>
        {isLive.value && (
          <span class="live" title="Changes are shown when they happen">
            live
          </span>
        )}
        <button type="button" class="icon" onClick={nextTheme} aria-label={`Colours: ${theme.value}`} title={`Colours: ${theme.value}`}>
          {SIGNS[theme.value]}
        </button>
        <button type="button" class="icon" onClick={() => (isHelpShown.value = true)} aria-label="Help" title="Help (?)">
          ?
        </button>
        {hasToken() && (
          <button type="button" class="icon" onClick={logOut} aria-label="Forget the token" title="Forget the token">
            ⏏
          </button>
        )}
      </header>
      <main id="view" tabIndex={-1}>
        {children}
      </main>
      {isHelpShown.value && <Help close={() => (isHelpShown.value = false)} />}
      <Dialogs />
    </>
  );
}

function Help({ close }: { readonly close: () => void }): VNode {
  const keys: [keys: string[], what: string][] = [
    [["/"], "go to a job by its id"],
    [["?"], "this help"],
    ...LINKS.map(({ name, key }): [string[], string] => [["g", key], name]),
    [["g", "n"], "start a job"],
    [["↑", "↓"], "in the calls of a job: the call above or below"],
    [["←", "→"], "in the calls of a job: close or open"],
    [["Enter"], "in the calls of a job: show the call"],
    [["Esc"], "close a call or a dialog"],
  ];
  return (
    <Dialog title="Keyboard" close={close}>
      <dl class="keys">
        {keys.map(([all, what]) => (
          <div key={all.join("")}>
            <dt>
              {all.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <div class="buttons">
        <button type="button" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

/** The shortcuts of all views. They do nothing while somebody writes. */
function shortcuts(field: () => HTMLInputElement | null): () => void {
  let isAfterG = false;
  const press = (event: KeyboardEvent): void => {
    const { target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (target instanceof HTMLElement && target.matches("input, textarea, select")) return;
    const wasAfterG = isAfterG;
    isAfterG = event.key === "g" && !wasAfterG;
    if (wasAfterG) {
      const link = LINKS.find(({ key }) => key === event.key);
      if (link) go(to(link.path ? [link.path] : []));
      if (event.key === "n") go(to(["start"]));
      return;
    }
    if (event.key === "?") isHelpShown.value = true;
    if (event.key !== "/") return;
    event.preventDefault();
    field()?.focus();
  };
  addEventListener("keydown", press);
  return () => removeEventListener("keydown", press);
}
