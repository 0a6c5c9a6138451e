/** The address of the view that is shown. Views are paths below /ui, and their settings are in the query, so that a link shows the same. */
import { signal } from "@preact/signals";

export const BASE = "/ui";

export interface Place {
  /** The parts of the path below /ui, decoded. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

export const place = signal<Place>(read());

function read(): Place {
  const rest = location.pathname.slice(BASE.length);
  const path = rest.split("/").filter((part) => part !== "");
  return { path: path.map(decoded), query: new URLSearchParams(location.search) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a view. Settings that are `undefined` or empty are left out. */
export function to(path: readonly string[], query: Record<string, string | undefined> = {}): string {
  const settings = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const search = new URLSearchParams(settings).toString();
  return `${BASE}/${path.map(encodeURIComponent).join("/")}${search && `?${search}`}`;
}

export function go(address: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  const before = place.peek().path.join("/");
  place.value = read();
  if (!replace && before !== place.value.path.join("/")) scrollTo(0, 0);
}

/** Changes settings of the view that is shown. */
export function set(query: Record<string, string | undefined>, options?: { readonly replace?: boolean }): void {
  const { path, query: old } = place.peek();
  go(to(path, { ...Object.fromEntries(old), ...query }), options);
}

/** Lets links within the page change the view without loading the page again. */
export function followLinks(): void {
  addEventListener("popstate", () => (place.value = read()));
  document.addEventListener("click", (event) => {
    const anchor = event.target instanceof Element ? event.target.closest("a") : null;
    if (!anchor || event.defaultPrevented || event.button !== 0 || anchor.target || anchor.hasAttribute("download")) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (anchor.origin !== location.origin || !anchor.pathname.startsWith(`${BASE}/`)) return;
    event.preventDefault();
    if (anchor.href !== location.href) go(anchor.pathname + anchor.search);
  });
}
