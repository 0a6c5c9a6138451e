//! The scripts: each is `lua/lib.lua` and a body of its own. Loaded into the server when it does not know them.

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
    DISCHARGE: "lua/discharge.lua";
    RECEIVE: "lua/receive.lua";
    FORGET: "lua/forget.lua";
    RELEASE: "lua/release.lua";
    SWAP: "lua/swap.lua";
    PUT_IF: "lua/put_if.lua";
    SCHEDULE: "lua/schedule.lua";
}

impl Script {
    pub async fn load(&self, connection: &mut impl ConnectionLike) -> RedisResult<()> {
        self.0.prepare_invoke().load_async(connection).await.map(drop)
    }

    /// A call of the script. No key is declared: which ones a transition touches is known only from what it reads, and
    /// only a cluster would need it.
    pub fn call(&self, keys: &Keys) -> Call<'_> {
        let mut invocation = self.0.prepare_invoke();
        invocation.arg(keys.prefix());
        Call(invocation)
    }
}

/// Tries after the first, which loads the script itself.
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
                // Loaded a moment ago, and forgotten again: somebody flushes scripts, or the server was replaced just then.
                // Nothing was done yet.
                Err(error) if is_unknown(&error) && tries < MORE_TRIES => tries += 1,
                answer => return answer,
            }
        }
    }
}
