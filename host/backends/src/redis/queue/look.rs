//! Looking through a topic without taking anything.

use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Place, Visit};
use redis::aio::ConnectionLike;
use redis::{RedisResult, cmd, pipe};

use super::super::{Redis, error};
use super::packed::{ripe, text, unpacked};
use super::server_time;

/// How many messages one look at a topic's list reads.
const PAGE: isize = 1000;

impl Redis {
    /// What is ready. From the end: what is taken meanwhile moves the rest towards the beginning, where it is yet to be read.
    async fn look_through_ready(
        &self,
        topic: &Topic,
        connection: &mut impl ConnectionLike,
        visit: &mut Visit<'_>,
    ) -> RedisResult<()> {
        for list in [self.0.keys.arrived(topic), self.0.keys.topic(topic)] {
            self.look_through_list(&list, connection, visit).await?;
        }
        Ok(())
    }

    async fn look_through_list(
        &self,
        list: &str,
        connection: &mut impl ConnectionLike,
        visit: &mut Visit<'_>,
    ) -> RedisResult<()> {
        let mut end: isize = match cmd("LLEN").arg(list).query_async(connection).await {
            // What another program has put there is no message.
            Err(error) if error::is_wrong_type(&error) => 0,
            length => length?,
        };
        while end > 0 {
            let start = (end - PAGE).max(0);
            let mut page = cmd("LRANGE");
            page.arg(list).arg(start).arg(end - 1);
            let bodies: Vec<Vec<u8>> = page.query_async(connection).await?;
            bodies.iter().for_each(|body| visit(&text(body), Place::Ready));
            end = start;
        }
        Ok(())
    }

    /// What is delayed, a page at a time, by when it is due.
    async fn look_through_delayed(
        &self,
        topic: &Topic,
        connection: &mut impl ConnectionLike,
        visit: &mut Visit<'_>,
    ) -> RedisResult<()> {
        // From which time on, and how many of that time were seen.
        let (mut from, mut seen) = ("-inf".to_owned(), 0);
        loop {
            let mut look = cmd("ZRANGEBYSCORE");
            look.arg(self.0.keys.delayed(topic.as_str())).arg(&from).arg("+inf").arg("WITHSCORES");
            look.arg("LIMIT").arg(seen).arg(PAGE);
            let page: Vec<(Vec<u8>, String)> = look.query_async(connection).await?;
            page.iter().for_each(|(member, _)| visit(&text(ripe(member).1), Place::Delayed));
            let Some((_, last)) = page.last().filter(|_| page.len() == PAGE as usize) else { return Ok(()) };
            let of_last = page.iter().filter(|(_, due)| due == last).count();
            seen = if *last == from { seen + of_last } else { of_last };
            from.clone_from(last);
        }
    }

    /// Topic and body of what this and other workers hold, and whether the lease has run out.
    pub(super) async fn held(&self, connection: &mut impl ConnectionLike) -> RedisResult<Vec<(String, String, bool)>> {
        let now = server_time(connection).await?;
        let mut look = cmd("ZRANGE");
        look.arg(self.0.keys.leases()).arg(0).arg(-1).arg("WITHSCORES");
        let leases: Vec<(String, f64)> = look.query_async(connection).await?;
        let mut found = Vec::with_capacity(leases.len());
        for chunk in leases.chunks(PAGE as usize) {
            let mut look = pipe();
            for (member, _) in chunk {
                let (worker, number) = member.rsplit_once('/').unwrap_or((member, ""));
                look.cmd("HGET").arg(self.0.keys.held(worker)).arg(number);
            }
            let held: Vec<Option<Vec<u8>>> = look.query_async(connection).await?;
            for ((_, until), held) in chunk.iter().zip(held) {
                if let Some((_, topic, body)) = held.as_deref().and_then(unpacked) {
                    found.push((topic.to_owned(), text(body), *until <= now as f64));
                }
            }
        }
        Ok(found)
    }

    pub(super) async fn try_look_through(&self, topic: &Topic, visit: &mut Visit<'_>) -> RedisResult<()> {
        let mut connection = self.0.connections.shared();
        self.look_through_ready(topic, &mut connection, visit).await?;
        self.look_through_delayed(topic, &mut connection, visit).await?;
        for (of, body, expired) in self.held(&mut connection).await? {
            if of == topic.as_str() {
                visit(&body, if expired { Place::Expired } else { Place::InWork });
            }
        }
        Ok(())
    }
}
