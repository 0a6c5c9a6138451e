//! A peer worker, modelled from the protocol: deliveries are at most once, it sends every notification, and the last writer of a
//! value wins. It writes the record before it sends the message, and its reads may be stale. It knows no failures and no `run`
//! records. If it dies, its message is lost, and no worker of ours can heal that.

use std::collections::HashSet;

use brrr_protocol::model::CallHash;
use brrr_protocol::ports::{BackendParts as _, Delivery, Key, Outgoing, Store, Swap};
use brrr_protocol::wire::{CallRecord, Message, PendingReturns, Return};
use brrr_protocol::{Error, ErrorKind, Result};

use bytes::Bytes;

use crate::graph::{Graph, Node, topic};
use crate::world::View;

pub async fn handle(view: &View, graph: &Graph, delivery: &Delivery) -> Result<()> {
    let message = Message::decode(delivery.body.as_bytes())?;
    let name = message.call.as_str();
    let children: &[&str] = match graph.node(name) {
        Node::All(children) | Node::Each(children) => children,
        // A peer's handler cannot catch failures and cannot race, so graphs with these have no peers.
        other => unreachable!("{other:?}"),
    };
    let mut text = String::new();
    let mut missing = Vec::new();
    for child in children {
        match view.get(&Key::value(&CallHash::from(*child))).await? {
            Some(value) => text.push_str(std::str::from_utf8(&value).unwrap()),
            None => missing.push(CallHash::from(*child)),
        }
    }
    if missing.is_empty() {
        return complete(view, &message, format!("{name}({text})")).await;
    }
    for child in missing {
        register(view, &message, &child).await?;
    }
    Ok(())
}

async fn register(view: &View, parent: &Message, child: &CallHash) -> Result<()> {
    view.put(&Key::call(child), CallRecord::encode(child.as_str(), b"")).await?;
    let me = Return { job_id: parent.job_id.clone(), parent: parent.call.clone(), topic: topic() };
    let key = Key::pending_returns(child);
    // As often as real peers do.
    for _ in 0..100 {
        let bytes = view.get(&key).await?;
        let (mut pending, send) = match &bytes {
            None => (PendingReturns { scheduled_at: Some(1), ..PendingReturns::default() }, true),
            Some(bytes) => {
                let pending = PendingReturns::decode(bytes)?;
                let send = pending.only_in_other_jobs(&me);
                (pending, send)
            }
        };
        pending.returns.insert(me.clone());
        if view.swap(&key, bytes.as_ref(), Some(encode(&pending))).await? == Swap::Done {
            if send {
                let message = Message { job_id: me.job_id, call: child.clone() };
                view.queue().send_many(&[Outgoing::now(&topic(), &message)]).await?;
            }
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Unavailable, "simulation", "register", "it did not succeed in 100 times"))
}

async fn complete(view: &View, message: &Message, value: String) -> Result<()> {
    view.put(&Key::value(&message.call), value.into()).await?;
    let key = Key::pending_returns(&message.call);
    let mut handled = HashSet::new();
    while let Some(bytes) = view.get(&key).await? {
        for entry in PendingReturns::decode(&bytes)?.returns {
            if handled.insert(entry.clone()) {
                view.queue().send_many(&[Outgoing::now(&entry.topic, &entry.message())]).await?;
            }
        }
        if view.swap(&key, Some(&bytes), None).await? == Swap::Done {
            break;
        }
    }
    Ok(())
}

/// Encodes the record as a peer does: the entries are in another order than ours.
fn encode(pending: &PendingReturns) -> Bytes {
    let text = |text: &str| format!("{}:{text}", text.len());
    let entry =
        |r: &Return| format!("li1e{}{}{}e", text(r.job_id.as_str()), text(r.parent.as_str()), text(r.topic.as_str()));
    let returns: String = pending.returns.iter().rev().map(entry).collect();
    let sent = pending.scheduled_at.map_or(String::new(), |at| format!("12:scheduled_ati{at}e"));
    format!("d7:returnsl{returns}e{sent}e").into()
}
