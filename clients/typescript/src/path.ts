/** A path below `/v1` from a template whose names are encoded: path`/jobs/${id}/tree`. */
export function path(parts: TemplateStringsArray, ...names: string[]): string {
  return parts.reduce((text, part, i) => text + segment(names[i - 1] ?? "") + part);
}

function segment(name: string): string {
  // An address can't hold these, however they are encoded: `/jobs/..` is `/`.
  if (name === "" || name === "." || name === "..") {
    throw new TypeError(`${JSON.stringify(name)} can't be the name or id of anything: no address can hold it`);
  }
  return encodeURIComponent(name);
}
