//! A peer worker, modelled from the protocol: at most once, every wake-up sent, the last writer of a value wins, the
//! record before the message. It knows no failures, no `run` records, and it never crashes here (a crash of a peer
//! loses its message, which no worker of ours can heal).

use std::collections::HashSet;

use brrr_protocol::Result;
use brrr_protocol::model::CallHash;
use brrr_protocol::ports::{Backend, Delivery, Key, Outgoing, Store, Swap};
use brrr_protocol::wire::{CallRecord, Message, PendingReturns, Return};

use crate::graph::{Graph, Node, topic};
use crate::world::View;

pub async fn handle(view: &View, graph: &Graph, delivery: &Delivery) -> Result<()> {
    let message = Message::decode(delivery.body.as_bytes())?;
    let name = message.call.as_str();
    let children: &[&str] = match graph.node(name) {
        Node::All(children) | Node::Each(children) => children,
        // A peer's handler can't catch or race; graphs with these have no peers.
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
    let me = Return { root: parent.root.clone(), parent: parent.call.clone(), topic: topic() };
    let key = Key::pending_returns(child);
    loop {
        let bytes = view.get(&key).await?;
        let (mut pending, send) = match &bytes {
            None => (PendingReturns { scheduled_at: Some(1), ..PendingReturns::default() }, true),
            Some(bytes) => {
                let pending = PendingReturns::decode(bytes)?;
                let send = pending.only_under_other_roots(&me);
                (pending, send)
            }
        };
        pending.returns.insert(me.clone());
        if view.swap(&key, bytes.as_ref(), Some(pending.encode())).await? == Swap::Done {
            if send {
                let message = Message { root: me.root, call: child.clone() };
                view.queue().send_many(&[Outgoing::now(&topic(), &message)]).await?;
            }
            return Ok(());
        }
    }
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
