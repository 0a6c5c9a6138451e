//! Tests that run on each backend: SQLite, Redis, and Redis with DynamoDB Local.

use crate::aws;
use crate::harness::Env;
use crate::redis;
use crate::servers::Server;
use crate::servers::redis::Flavour;

/// Queues on Redis, and records on DynamoDB Local. `None`: a server is missing here.
pub fn redis_and_dynamodb() -> Option<(Env, Server)> {
    let server = Flavour::Redis.start(None, &[])?;
    let mut env = aws::env_on(crate::servers::dynamodb::shared()?);
    env.set("BRRR_QUEUE", "redis:");
    env.set("REDIS_URL", redis::url(&server));
    env.run(["setup"]).ok();
    Some((env, server))
}

/// Makes three tests of each of these functions, which take an `&Env` or an `&mut Env`.
macro_rules! on_each_backend {
    ($($test:ident)+) => {
        $(mod $test {
            #[test]
            fn on_sqlite() {
                let env = &mut crate::harness::Env::new();
                super::$test(env);
            }

            #[test]
            fn on_redis() {
                let Some(server) = crate::servers::redis::Flavour::Redis.start(None, &[]) else { return };
                let env = &mut crate::redis::env_on(crate::redis::url(&server));
                super::$test(env);
            }

            #[test]
            fn on_redis_and_dynamodb() {
                let Some((mut env, _server)) = crate::each_backend::redis_and_dynamodb() else { return };
                let env = &mut env;
                super::$test(env);
            }
        })+
    };
}
pub(crate) use on_each_backend;
