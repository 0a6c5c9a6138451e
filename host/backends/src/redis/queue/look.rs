//! Looks through a topic and takes nothing.

use brrr_protocol::model::Topic;
use brrr_protocol::ports::{MessageState, Visit};
use redis::aio::ConnectionLike;
use redis::{RedisResult, cmd, pipe};

use super::super::{Redis, error};
use super::packed::{ripe, text, unpacked};
use super::server_time;

/// How many messages one command reads from a list.
const PAGE: isize = 1000;

impl Redis {
    /// Looks at the ready messages, from the end of the list. Messages that are taken in between move the rest towards
    /// the beginning, which is read later. So no message is missed.
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
            // A key of another program holds no messages.
            Err(error) if error::is_wrong_type(&error) => 0,
            length => length?,
        };
        while end > 0 {
            let start = (end - PAGE).max(0);
            let mut page = cmd("LRANGE");
            page.arg(list).arg(start).arg(end - 1);
            let bodies: Vec<Vec<u8>> = page.query_async(connection).await?;
            bodies.iter().for_each(|body| visit(&text(body), MessageState::Ready));
            end = start;
        }
        Ok(())
    }

    /// Looks at the delayed messages in pages, by the time when they are due.
    async fn look_through_delayed(
        &self,
        topic: &Topic,
        connection: &mut impl ConnectionLike,
        visit: &mut Visit<'_>,
    ) -> RedisResult<()> {
        // The due time at which the next page begins, and the number of messages of that time that were seen.
        let (mut from, mut seen) = ("-inf".to_owned(), 0);
        loop {
            let mut look = cmd("ZRANGEBYSCORE");
            look.arg(self.0.keys.delayed(topic.as_str())).arg(&from).arg("+inf").arg("WITHSCORES");
            look.arg("LIMIT").arg(seen).arg(PAGE);
            let page: Vec<(Vec<u8>, String)> = look.query_async(connection).await?;
            page.iter().for_each(|(member, _)| visit(&text(ripe(member).1), MessageState::Delayed));
            let Some((_, last)) = page.last().filter(|_| page.len() == PAGE as usize) else { return Ok(()) };
            let of_last = page.iter().filter(|(_, due)| due == last).count();
            seen = if *last == from { seen + of_last } else { of_last };
            from.clone_from(last);
        }
    }

    /// Topic and body of each message that any worker holds, and whether its lease has run out.
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
                visit(&body, if expired { MessageState::Expired } else { MessageState::Leased });
            }
        }
        Ok(())
    }
}
