/** Rows of jobs, which several views show. */
import type { VNode } from "preact";
import type { Job } from "../api/types.ts";
import { span } from "../logic/time.ts";
import { to } from "../router.ts";
import { State } from "../ui/State.tsx";
import { Text } from "../ui/Text.tsx";
import { Ago, Took } from "../ui/Time.tsx";

export function JobRow({ job }: { readonly job: Job }): VNode {
  const name = job.task ?? "unknown task";
  return (
    <tr>
      <td data-label="Job" class="main-cell">
        <a href={to(["jobs", job.job])}>
          <Text most={80}>{name}</Text>
        </a>
        {job.label && (
          <span class="label">
            <Text most={60}>{job.label}</Text>
          </span>
        )}
        <code class="muted job-id">{job.job.slice(0, 8)}</code>
      </td>
      <td data-label="State">
        <State state={job.state} />
      </td>
      <td data-label="Topic">
        <Text most={80}>{job.topic}</Text>
      </td>
      <td data-label="Created">
        <Ago at={job.starts ?? job.created} />
      </td>
      <td data-label="Duration" class="number">
        {job.state === "running" ? <Took from={Date.parse(job.starts ?? job.created)} /> : job.ended ? span(job.duration_ms ?? 0) : "–"}
      </td>
    </tr>
  );
}

export function JobTable({ jobs, caption }: { readonly jobs: readonly Job[]; readonly caption: string }): VNode {
  return (
    <div class="table-box">
      <table class="rows jobs-table">
        <caption class="sr-only">{caption}</caption>
        <thead>
          <tr>
            <th scope="col">Job</th>
            <th scope="col">State</th>
            <th scope="col">Topic</th>
            <th scope="col">Created</th>
            <th scope="col" class="number">
              Duration
            </th>
          </tr>
        </thead>
        <tbody>
          {jobs.map((job) => (
            <JobRow key={job.job} job={job} />
          ))}
        </tbody>
      </table>
    </div>
  );
}
