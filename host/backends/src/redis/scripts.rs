//! The scripts. Each one is `lua/lib.lua` and its own file. A script is loaded into the server if the server does not
//! know it.

use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{RedisResult, ToRedisArgs, Value};

use super::keys::Keys;

pub(super) struct Script(redis::Script);

macro_rules! scripts {
    ($($name:ident: $file:literal;)+) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script(redis::Script::new(concat!(include_str!("lua/lib.lua"), include_str!($file))))
        });)+
    };
}

scripts! {
    LOAD: "lua/load.lua";
    OUTCOMES: "lua/outcomes.lua";
    DEFER: "lua/defer.lua";
    COMPLETE: "lua/complete.lua";
    FAIL: "lua/fail.lua";
    NOTIFY_PARENTS: "lua/notify_parents.lua";
    RECEIVE: "lua/receive.lua";
    FORGET: "lua/forget.lua";
    RETURN: "lua/return.lua";
    SWAP: "lua/swap.lua";
    PUT_IF: "lua/put_if.lua";
    SCHEDULE: "lua/schedule.lua";
    JOBS: "lua/jobs.lua";
}

impl Script {
    pub async fn load(&self, connection: &mut impl ConnectionLike) -> RedisResult<()> {
        self.0.prepare_invoke().load_async(connection).await.map(drop)
    }

    /// A call of the script. It declares no keys: a transition finds its keys by reading, and only a cluster would need
    /// the declaration.
    pub fn call(&self, keys: &Keys) -> Call<'_> {
        let mut invocation = self.0.prepare_invoke();
        invocation.arg(keys.prefix());
        Call(invocation)
    }
}

/// The number of retries. Already the first try loads a script that the server does not know.
const MORE_TRIES: u32 = 3;

fn is_unknown(error: &redis::RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::NoScript)
}

pub(super) struct Call<'a>(redis::ScriptInvocation<'a>);

impl Call<'_> {
    pub fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.0.arg(arg);
        self
    }

    pub fn args<T: ToRedisArgs>(self, args: impl IntoIterator<Item = T>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    pub async fn run(self, connection: &mut impl ConnectionLike) -> RedisResult<Value> {
        let mut tries = 0;
        loop {
            match self.0.invoke_async(connection).await {
                // The script was loaded a moment ago, and the server does not know it any more: somebody flushed the
                // scripts, or the server was replaced. Nothing was executed yet.
                Err(error) if is_unknown(&error) && tries < MORE_TRIES => tries += 1,
                answer => return answer,
            }
        }
    }
}
