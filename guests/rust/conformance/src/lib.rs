//! The tasks that the host's tests run: what a handler does when all is well (`graph`), when it is not (`hostile`),
//! with options (`options`), and at the edges of the SDK (`edges`).

mod edges;
mod graph;
mod hostile;
mod options;

brrr::worker!(
    graph::hello,
    graph::noop,
    graph::fib,
    graph::leaf,
    graph::fan_out,
    graph::sequential,
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
    edges::clock,
    edges::random,
    edges::sleeps,
    edges::waits_for_nothing,
);

#[cfg(test)]
mod tests;
