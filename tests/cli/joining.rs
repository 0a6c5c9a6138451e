//! Jobs that are started for a running call, on SQLite and Redis.

use crate::gateway::Http;
use crate::makespan::on_each_backend;

#[test]
fn jobs_for_a_call_that_runs_join_it() {
    on_each_backend(|fleet| {
        let worker = fleet.worker("events", &["--http", "127.0.0.1:0"]);
        let call = ["schedule", "sleeper", "{\"seconds\": 2}"];
        fleet.env.run(call).ok();
        fleet.until("the call runs", &["events"], "sleeper", "running", 1);
        fleet.env.run(call).ok();
        let http = Http::of(&worker);
        assert_eq!(http.post("/sleeper", "{\"seconds\": 2}").status, 202);
        fleet.until_ended(3);
        assert_eq!(fleet.count("events", "sleeper", "running"), 1, "{}", fleet.backend);
        worker.stop().ok();
    });
}

/// A job that has joined a call ends at its own deadline. The call goes on for the first job.
#[test]
fn a_job_that_has_joined_has_a_deadline_of_its_own() {
    on_each_backend(|fleet| {
        let worker = fleet.worker("events", &[]);
        fleet.env.run(["schedule", "sleeper", "{\"seconds\": 4}"]).ok();
        fleet.until("the call runs", &["events"], "sleeper", "running", 1);
        let late = fleet.env.run(["call", "sleeper", "{\"seconds\": 4}", "--timeout", "1s"]);
        assert_eq!(late.code, Some(32), "{late:#?}");
        fleet.until_ended(1);
        assert_eq!(fleet.count("events", "sleeper", "running"), 1, "{}", fleet.backend);
        worker.stop().ok();
    });
}
