//! One job over components in every language: a parent in each language gathers one child in every other language.

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::fleet::{Fleet, Program, load};
use crate::languages::{LANGUAGES, Language};

/// One worker with all languages. Each component serves only the tasks that carry its language's name. The other tasks
/// have the same names in all components, and a worker refuses two components that claim one task.
static ALL: OnceCell<Program> = OnceCell::const_new();

async fn all() -> Program {
    let mut guests = Vec::new();
    for language in others(None) {
        let mut guest = load(&language.component(language.conformance)).await;
        guest.tasks.retain(|task| task.name.starts_with(&format!("{}_", language.name)));
        guests.push(guest);
    }
    Program::of(guests)
}

/// All languages except one. With `BRRR_LANGUAGE`, only those that are built.
fn others(parent: Option<&'static Language>) -> impl Iterator<Item = &'static Language> {
    let by_hand = std::env::var_os("BRRR_LANGUAGE").is_some();
    LANGUAGES
        .iter()
        .filter(move |language| parent.is_none_or(|parent| parent.name != language.name))
        .filter(move |language| !by_hand || language.component(language.conformance).exists())
}

async fn gather(fleet: &Fleet, topics: impl Fn(&Language) -> Value) {
    let children: Vec<_> = others(Some(fleet.language)).collect();
    let tasks: Vec<_> = children.iter().map(|child| format!("{}_greet", child.name)).collect();
    let topics: Vec<_> = children.iter().map(|child| topics(child)).collect();
    let task = format!("{}_gather", fleet.language.name);
    let greetings = fleet.value(&task, json!({"name": "Zoë", "tasks": tasks, "topics": topics})).await;
    let expected: Vec<_> = children.iter().map(|child| format!("Zoë from {}", child.name)).collect();
    assert_eq!(greetings, json!(expected));
    assert_eq!(fleet.messages().await, 1 + children.len() as u64 + 1);
}

/// The parent calls its own topic. One worker serves this topic with all components.
pub async fn gathers_all_others_on_one_topic(fleet: &Fleet) {
    let all = ALL.get_or_init(all).await;
    fleet.serve("all", all.handler.clone());
    gather(fleet, |_| json!("all")).await;
}

/// Each language has its own topic, and the parent has another one.
pub async fn gathers_all_others_across_topics(fleet: &Fleet) {
    for language in others(Some(fleet.language)) {
        let component = language.component(language.conformance);
        let program = language.program.get_or_init(async || Program::load(&component).await).await;
        fleet.serve(language.name, program.handler.clone());
    }
    gather(fleet, |child| json!(child.name)).await;
}

/// A guest of the asynchronous world and a guest of the plain world in one worker. Each calls the other.
pub async fn two_worlds_in_one_worker(fleet: &Fleet) {
    static BOTH: OnceCell<Program> = OnceCell::const_new();
    let plain = LANGUAGES.iter().find(|language| language.name == "rust").expect("a row");
    let both = BOTH
        .get_or_init(async || {
            let mut guests = Vec::new();
            for (language, tasks) in [(plain, ["relays", "leaf"]), (fleet.language, ["chains", "rust_greet"])] {
                let mut guest = load(&language.component(language.conformance)).await;
                guest.tasks.retain(|task| tasks.contains(&task.name.as_str()));
                guests.push(guest);
            }
            Program::of(guests)
        })
        .await;
    let worlds: Vec<_> = both.handler.guests().map(|guest| guest.world.name()).collect();
    assert_eq!(worlds, ["worker", "worker-async"]);
    fleet.serve("both", both.handler.clone());
    let relayed = json!({"task": "chains", "topic": "both", "args": {"n": 3}});
    let outer = json!({"task": "relays", "topic": "both", "args": relayed});
    // The fleet's own worker calls the plain guest. The plain guest calls the asynchronous guest, whose children are in
    // the plain guest.
    assert_eq!(fleet.value("relays", outer).await, json!([3, 4, 5]));
}
