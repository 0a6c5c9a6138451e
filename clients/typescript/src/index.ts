/**
 * The client of the HTTP API of brrr-host: starts, follows and schedules jobs from an application. It needs `fetch` and
 * nothing else, so it runs in Node, Deno, Bun and browsers.
 *
 *     const client = new Client("http://localhost:8080");
 *     const job = await client.start<number>("demo", "fib", { n: 30 });
 *     console.log(await job.result({ timeout: "30s" }));
 */
export { Client, type JobFilter } from "./client.js";
export {
  Deployments,
  type ComponentStatus,
  type PushedRevision,
  type PushOptions,
  type RevisionStatus,
  type UploadedComponent,
} from "./code.js";
export { type ClientOptions, type Fetch } from "./http.js";
export { Job, type KnownJob, type RequestOptions, type WaitOptions } from "./job.js";
export { JobPromise } from "./promise.js";
export { Schedule, type Overlap, type ScheduleSpec, type ScheduleStatus } from "./schedule.js";
export { type Input, type JobOptions, type StartOptions } from "./options.js";
export { type Duration } from "./duration.js";
export { type EventState, type FollowOptions, type JobEvent } from "./events.js";
export type {
  DeadLetter,
  JobState,
  JobStatus,
  LogLevel,
  LogLine,
  OpenPromise,
  TaskDetails,
  TopicDetails,
  TopicSummary,
  Tree,
  TreeNode,
} from "./documents.js";
export {
  ApiError,
  BrrrError,
  ConflictError,
  ConnectionError,
  ForgottenError,
  InvalidInputError,
  JobCancelledError,
  JobError,
  JobFailedError,
  JobTimedOutError,
  NotFoundError,
  UnauthorizedError,
  UnavailableError,
  WaitTimeoutError,
  type Failure,
  type InputError,
  type Problem,
} from "./errors.js";
