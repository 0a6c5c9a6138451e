//! A web application with its worker in the same process.
//!
//! `embedded COMPONENT.wasm [DATABASE [ADDRESS]]` serves HTTP and runs a worker. The worker handles the tasks of the
//! component, and two tasks that are written in Rust here. All of them share one SQLite file, so a report that was
//! started is finished after a restart.

use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use brrr_worker::{Call, Client, ClientError, HandlerResult, Options, StopReason, Worker};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The topic of all tasks in this program.
const TOPIC: &str = "reports";

/// A report on a number. It is a durable call: each call that it makes has one stored value, whatever happens to this process.
async fn report(call: Call) -> HandlerResult<Value> {
    let n: u64 = call.argument("n")?;
    // `square` is the task below. It refuses large numbers, so nothing else is asked for then.
    let square: u64 = call.call("square", json!({"n": n})).await?;
    // `fib` is a task of the component. Both calls are made at once.
    let (fib, next): (u64, u64) =
        tokio::try_join!(call.call("fib", json!({"n": n})), call.call("fib", json!({"n": n + 1})))?;
    Ok(json!({"n": n, "square": square, "fib": fib, "next": next}))
}

async fn square(call: Call) -> HandlerResult<u64> {
    let n: u64 = call.argument("n")?;
    n.checked_mul(n).ok_or_else(|| brrr_worker::HandlerError::permanent(format!("the square of {n} is too large")))
}

/// `GET /reports/30`: waits for the report and returns it.
async fn get_report(State(client): State<Client>, Path(n): Path<u64>) -> Response {
    let job = match client.start(TOPIC, "report", json!({"n": n})).await {
        Ok(job) => job,
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    };
    match job.result::<Value>().await {
        Ok(report) => Json(report).into_response(),
        Err(ClientError::Failed(failure)) => (StatusCode::UNPROCESSABLE_ENTITY, failure.to_string()).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let component = arguments.next().context("usage: embedded COMPONENT.wasm [DATABASE [ADDRESS]]")?;
    let database = arguments.next().unwrap_or_else(|| "app.db".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());

    let retried = Options { max_retries: Some(3), retry_delay: Some(Duration::from_secs(1)), ..Options::default() };
    let worker = Worker::builder()
        .backend(format!("sqlite:{database}"))
        .topic(TOPIC)
        .component(component)
        .handler_with("report", retried, report)
        .handler("square", square)
        .build()
        .await?;

    let (client, stop) = (worker.client(), worker.shutdown());
    let listener = TcpListener::bind(&address).await.with_context(|| format!("can't listen on {address}"))?;
    println!("http://{}/reports/30", listener.local_addr()?);
    let app = Router::new().route("/reports/{n}", get(get_report)).with_state(client);
    // Ctrl-C or SIGTERM stops the worker. When the worker stops, the server stops too.
    let stopped = stop.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        stopped.wait().await;
    });
    let (worked, served) = tokio::join!(worker.run(), async {
        let served = server.await;
        stop.begin(StopReason::Requested);
        served
    });
    worked?;
    Ok(served?)
}
