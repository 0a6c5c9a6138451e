//! What a guest must not do, one attack a task. Each is to cost its own call, and nothing else: `tests/cli/hostile`.

mod blocked;
mod children;
mod floods;
mod loops;
mod memory;
mod payloads;
mod requests;

/// A call without harm, which gives what it got: what the others call.
#[brrr::handler(raw)]
fn quiet(payload: Vec<u8>) -> Vec<u8> {
    payload
}

brrr::worker!(
    quiet,
    loops::spin,
    loops::spin_on_the_clock,
    loops::spin_on_random,
    loops::spin_on_one_call,
    loops::spin_on_races,
    loops::spin_on_sleeps,
    loops::timers_left_behind,
    memory::grow,
    memory::crumbs,
    memory::four_gib,
    memory::recurse,
    memory::recurse_in_host,
    children::many,
    children::same,
    children::endless,
    children::tree,
    children::itself,
    children::mutual,
    children::chain,
    children::named,
    children::labelled,
    payloads::result,
    payloads::results,
    payloads::results_in_turn,
    payloads::nested,
    payloads::nested_child,
    payloads::payload,
    payloads::message,
    payloads::details,
    payloads::promises,
    payloads::made_up_failure,
    floods::stdout,
    floods::stderr,
    floods::log,
    floods::fields,
    floods::one_line,
    floods::escapes,
    blocked::sleep,
    blocked::never_ready,
    blocked::request,
    blocked::stdin,
    blocked::timers,
    requests::headers,
    requests::request_line,
    requests::requests,
    requests::parts,
    requests::kept_headers,
    requests::kept_bodies,
);
