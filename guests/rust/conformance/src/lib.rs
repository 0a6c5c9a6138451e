//! The tasks of `guests/CONFORMANCE.md`: what a handler does when all is well (`graph`), when it is not (`hostile`), with
//! options (`options`), with what the host allows it (`allowed`), at the edges of the SDK (`edges`), with clock, chance and system (`outside`), when it
//! waits for time and for people (`waits`), and among components
//! in other languages (`mixed`). The host's other tests use some more, of which that page says nothing.

mod allowed;
mod edges;
mod errors;
mod graph;
mod hostile;
mod mixed;
mod options;
mod outside;
mod waits;

brrr::worker!(
    graph::hello,
    graph::noop,
    graph::fib,
    graph::leaf,
    graph::fan_out,
    graph::gather,
    graph::sequential,
    graph::chains,
    graph::race,
    graph::race_of,
    graph::prints,
    graph::big_result,
    hostile::fails,
    hostile::stubborn,
    hostile::always_fails,
    hostile::calls_always_fails,
    hostile::fails_child,
    hostile::catches,
    hostile::flaky,
    hostile::panics,
    hostile::loops,
    hostile::grows,
    hostile::recurses,
    hostile::unknown_child,
    hostile::cycle_a,
    hostile::cycle_b,
    hostile::cycle_self,
    hostile::nondeterministic,
    hostile::choice,
    hostile::leaf_calls,
    options::full_options,
    options::spin_briefly_limited,
    options::patient,
    options::sleeper,
    options::with_options,
    options::wavers,
    edges::echo,
    edges::about,
    edges::call_raw,
    edges::call_topic,
    edges::call_hash,
    edges::relays,
    edges::waits_for_nothing,
    edges::lets_go,
    edges::ragged,
    outside::clock,
    outside::random,
    outside::sleeps,
    outside::real,
    outside::forbidden,
    allowed::http_get,
    allowed::http_send,
    allowed::http_several,
    allowed::http_beside,
    allowed::http_caught,
    allowed::http_cut_short,
    allowed::http_patient,
    allowed::http_limited,
    allowed::env_get,
    allowed::file_read,
    allowed::file_write,
    errors::cut,
    errors::causes,
    errors::several,
    errors::nothing,
    errors::no_number,
    errors::zone,
    waits::nap,
    waits::sides,
    waits::fail_fast,
    waits::too_late,
    waits::twice_late,
    waits::asks,
    waits::asks_or,
    waits::asks_caught,
    waits::dice,
    waits::scoped,
    waits::attaches,
    waits::reads_details,
    waits::logs_fields,
    waits::described,
    mixed::rust_greet,
    mixed::rust_gather,
);

#[cfg(test)]
mod tests;
