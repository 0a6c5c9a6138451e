//! The real binary with local servers that speak the protocols of DynamoDB and SQS.

use std::sync::Arc;

use brrr_backends::dynamodb::{DynamoDb, DynamoDbOptions};
use brrr_backends::redis::{Redis, RedisOptions};
use brrr_backends::{Combined, aws};
use rustix::process::Signal;

use crate::harness::{Env, eventually};
use crate::servers::redis::Flavour;
use crate::servers::{Server, dynamodb, elasticmq};

/// A folder whose commands keep their records in DynamoDB, in a table that no other test uses.
pub fn env_on(records: &Server) -> Env {
    let mut env = Env::new();
    env.set("BRRR_STORE", "dynamodb:");
    env.set("DYNAMODB_TABLE_NAME", format!("cli-{:016x}", fastrand::u64(..)));
    env.set("AWS_ENDPOINT_URL_DYNAMODB", format!("http://127.0.0.1:{}", records.port));
    for (name, value) in
        [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "s3cret")]
    {
        env.set(name, value);
    }
    env
}

/// Opens what the commands use that have their records in this table of the server at `records`, and their queues on this Redis.
pub async fn open_with_redis(table: &str, records: &str, redis: &str) -> Combined {
    use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
    // Fixed credentials, so that those of the person who runs the tests are not used.
    let profile = "[default]\naws_access_key_id=local\naws_secret_access_key=s3cret\n";
    let files = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Credentials, profile).build();
    let loader = aws::loader().region("us-east-1").profile_files(files).profile_name("default").endpoint_url(records);
    let options = DynamoDbOptions { table: table.to_owned(), namespace: String::new() };
    let store = DynamoDb::new(options, &loader.load().await).expect("a table's client");
    let redis = Arc::new(Redis::connect(RedisOptions::new(redis)).await.expect("a server"));
    Combined {
        name: format!("redis: + {}", store.name()),
        store: Arc::new(store),
        queue: redis.clone(),
        counters: redis.clone(),
        events: Some(redis),
    }
}

/// Starts a job, kills its worker, and checks that a second worker finishes the job. Also checks that no credentials
/// are in the log, and that no call of the tree is in the dead-letter queue.
fn a_job_survives_its_worker(env: &Env) {
    let lease = ["--lease", "2s", "--log-level", "debug"];
    let first = env.worker(&lease);
    let scheduled = env.run(["schedule", "fib", "{\"n\": 9, \"salt\": \"x\"}", "--output", "json"]).json();
    let job = scheduled["job"].as_str().expect("a job");
    eventually("the tree grows", || {
        let tree = env.run(["job", job]).stdout;
        if tree.contains("fib") && tree.lines().count() > 8 { Ok(()) } else { Err(tree) }
    });
    first.signal(Signal::KILL);
    assert!(!first.stderr().contains("s3cret"));
    drop(first);
    let second = env.worker(&lease);
    let answer = eventually("the job ends", || {
        let read = env.run(["read", "--job", job]);
        if read.code == Some(0) { Ok(read.stdout) } else { Err(format!("{read:?}")) }
    });
    assert_eq!(answer, "34\n");
    let flaky = env.run(["call", "flaky", "{\"until\": 2}"]);
    assert_eq!(flaky.ok(), "{\"attempt\":2}");
    let dead_letters = env.run(["dlq", "list"]);
    assert!(!dead_letters.stdout.contains("fib"), "{dead_letters:?}");
    second.stop().ok();
}

#[test]
fn redis_and_dynamodb() {
    let (Some(records), Some(redis)) = (dynamodb::shared(), Flavour::Redis.start(None, &[])) else { return };
    let mut env = env_on(records);
    // Commands don't create the table themselves; `setup` does.
    env.set("BRRR_QUEUE", "redis:");
    env.set("REDIS_URL", format!("redis://127.0.0.1:{}", redis.port));
    let guest = crate::harness::guest();
    env.run(["run", guest.to_str().expect("UTF-8")]).refused(22, &["brrr-host setup"]);
    env.run(["call", "fib", "{\"n\": 1}"]).refused(22, &["brrr-host setup"]);
    assert_eq!(env.run(["setup"]).ok().lines().count(), 1);
    assert!(env.run(["setup"]).ok().contains("there"), "again");
    a_job_survives_its_worker(&env);
}

#[test]
fn sqs_and_dynamodb_without_redis() {
    let (Some(records), Some(queues)) = (dynamodb::shared(), elasticmq::shared()) else { return };
    let mut env = env_on(records);
    env.set("BRRR_QUEUE", format!("sqs://q{:08x}-", fastrand::u32(..)));
    env.set("AWS_ENDPOINT_URL_SQS", format!("http://127.0.0.1:{}", queues.port));
    env.run(["setup", "--store", "dynamodb:"]).ok();
    let guest = crate::harness::guest();
    let guest = guest.to_str().expect("UTF-8");
    // A timeout that SQS would refuse is an error when the worker starts.
    env.run(["run", "--timeout", "13h", guest]).refused(20, &["12"]);
    a_job_survives_its_worker(&env);
    // A call that is too large for the store fails. No other call is affected.
    let worker = env.worker(&[]);
    let large = env.run(["call", "big_result", "{\"bytes\": 500000}"]);
    assert_eq!(large.code, Some(30), "{large:?}");
    assert!(large.stderr.contains("400 KB") || large.stderr.contains("limit"), "{large:?}");
    assert_eq!(env.run(["call", "fib", "{\"n\": 6}"]).ok(), "8");
    worker.stop().ok();
}
