//! The graphs that the histories use.

use crate::graph::Node::{
    All, Catch, CatchThen, Each, Fail, Flaky, GivesUp, Moody, Poison, Race, Sides, Sleep, Unknown, Within,
};
use crate::graph::{Graph, graph};

pub static GRAPHS: &[Graph] = &[
    graph("one child", &[("a", All(&["b"])), ("b", All(&[]))], &["a"]),
    graph("two children", &[("a", All(&["b", "c"])), ("b", All(&[])), ("c", All(&[]))], &["a"]),
    graph("one after the other", &[("a", Each(&["b", "c"])), ("b", All(&[])), ("c", All(&[]))], &["a"]),
    graph("chain", &[("a", All(&["b"])), ("b", All(&["c"])), ("c", All(&[]))], &["a"]),
    graph("diamond", &[("a", All(&["b", "c"])), ("b", All(&["d"])), ("c", All(&["d"])), ("d", All(&[]))], &["a"]),
    graph("a child of two parents", &[("a", All(&["b", "c"])), ("b", All(&["c"])), ("c", All(&[]))], &["a"]),
    graph("two jobs share a child", &[("a", All(&["c"])), ("b", All(&["c"])), ("c", All(&[]))], &["a", "b"]),
    graph(
        "two jobs share a chain",
        &[("a", All(&["c"])), ("b", All(&["c"])), ("c", All(&["d"])), ("d", All(&[]))],
        &["a", "b"],
    ),
    graph(
        "two jobs meet at two heights",
        &[("a", All(&["c"])), ("b", All(&["d"])), ("c", All(&["d", "e"])), ("d", All(&["e"])), ("e", All(&[]))],
        &["a", "b"],
    ),
    graph(
        "three jobs share a diamond",
        &[("a", All(&["c", "d"])), ("b", All(&["c"])), ("c", All(&["e"])), ("d", All(&["e"])), ("e", All(&[]))],
        &["a", "b", "d"],
    ),
    graph("two jobs, one call", &[("a", All(&["b"])), ("b", All(&[]))], &["a", "a"]),
    graph("three jobs, one call", &[("a", All(&["b"])), ("b", All(&[]))], &["a", "a", "a"]),
    graph("a job's call is another's child", &[("a", All(&["b"])), ("b", All(&["c"])), ("c", All(&[]))], &["a", "b"]),
    graph("failure", &[("a", All(&["b"])), ("b", Fail)], &["a"]),
    graph("failure caught", &[("a", Catch(&["b", "c"])), ("b", Fail), ("c", All(&[]))], &["a"]),
    graph(
        "two parents of a failure",
        &[("a", Catch(&["b", "c"])), ("b", Catch(&["f"])), ("c", Catch(&["f"])), ("f", Fail)],
        &["a"],
    ),
    graph(
        "two jobs share a failure",
        &[("a", All(&["c"])), ("b", Catch(&["c"])), ("c", All(&["d"])), ("d", Fail)],
        &["a", "b"],
    ),
    graph("race", &[("a", Race(&["b", "c"], &["d"])), ("b", All(&[])), ("c", All(&["d"])), ("d", All(&[]))], &["a"]),
    graph(
        "a job that is over before its calls",
        &[("a", Race(&["b", "c"], &[])), ("b", All(&[])), ("c", All(&["d", "e"])), ("d", All(&[])), ("e", All(&[]))],
        &["a"],
    ),
    graph(
        "another job wants the loser",
        &[
            ("a", Race(&["c", "b"], &[])),
            ("b", All(&[])),
            ("c", All(&["d"])),
            ("d", All(&["e"])),
            ("e", All(&[])),
            ("x", All(&["c"])),
        ],
        &["a", "x"],
    ),
    graph(
        "a failure wins the race",
        &[("a", Race(&["c", "b"], &[])), ("b", Fail), ("c", All(&["d"])), ("d", All(&[])), ("x", All(&["d"]))],
        &["a", "x"],
    ),
    Graph { retries: 2, ..graph("tried again", &[("a", All(&["b"])), ("b", Flaky(1, &[]))], &["a"]) },
    Graph { retries: 2, ..graph("tried too often", &[("a", Catch(&["b"])), ("b", Flaky(9, &[]))], &["a"]) },
    Graph {
        retries: 2,
        ..graph(
            "tried again after its children",
            &[("a", Flaky(1, &["b", "c"])), ("b", Flaky(2, &["c"])), ("c", All(&[]))],
            &["a"],
        )
    },
    Graph {
        retries: 1,
        ..graph(
            "two jobs share what is tried again",
            &[
                ("a", All(&["c"])),
                ("b", Catch(&["c", "f"])),
                ("c", Flaky(1, &["d"])),
                ("d", Flaky(1, &[])),
                ("f", Flaky(3, &[])),
            ],
            &["a", "b"],
        )
    },
    Graph {
        deadline: 2_000,
        retries: 3,
        ..graph(
            "a deadline",
            &[("a", All(&["b"])), ("b", Flaky(2, &["c"])), ("c", All(&[])), ("x", All(&["c"]))],
            &["a", "x"],
        )
    },
    Graph {
        deadline: 1,
        ..graph(
            "hardly any time",
            &[("a", All(&["c"])), ("b", All(&["c"])), ("c", All(&["d"])), ("d", All(&[]))],
            &["a", "b"],
        )
    },
    Graph {
        max_messages: 3,
        ..graph(
            "too many calls",
            &[("a", All(&["b", "c"])), ("b", All(&["d"])), ("c", All(&["d"])), ("d", All(&[])), ("x", All(&["b"]))],
            &["a", "x"],
        )
    },
    Graph {
        max_messages: 2,
        ..graph("too many children", &[("a", All(&["b", "c"])), ("b", All(&[])), ("c", All(&[]))], &["a"])
    },
    Graph {
        max_messages: 3,
        ..graph(
            "too many calls below who catches",
            &[("a", Catch(&["b"])), ("b", All(&["c", "d", "e"])), ("c", All(&[])), ("d", All(&[])), ("e", All(&[]))],
            &["a"],
        )
    },
    Graph {
        retries: 1,
        ..graph(
            "tried too often after its children",
            &[("a", Catch(&["b"])), ("b", Flaky(9, &["c"])), ("c", All(&[]))],
            &["a"],
        )
    },
    Graph {
        retries: 2,
        ..graph("the fast one wins", &[("a", Race(&["s", "f"], &[])), ("s", Flaky(1, &[])), ("f", All(&[]))], &["a"])
    },
    graph(
        "what fails in one job alone",
        &[
            ("a", CatchThen(&["m"], &["c", "d"])),
            ("b", CatchThen(&["m"], &["d", "c"])),
            ("m", Moody(&["e"])),
            ("c", All(&[])),
            ("d", All(&["e"])),
            ("e", All(&[])),
        ],
        &["a", "b"],
    ),
    graph("a job that fails where another does not", &[("m", Moody(&["e"])), ("e", All(&[]))], &["m", "m"]),
    graph("a call that fails in one of three jobs", &[("m", Moody(&["e"])), ("e", All(&[]))], &["m", "m", "m"]),
    graph("sleep", &[("a", Sleep(&[2_000], &["b"])), ("b", All(&[]))], &["a"]),
    graph("a long sleep after a short one", &[("a", Sleep(&[10, 100_000], &[]))], &["a"]),
    graph(
        "two jobs share a sleeper",
        &[("a", All(&["s"])), ("b", All(&["s"])), ("s", Sleep(&[5_000], &[]))],
        &["a", "b"],
    ),
    graph(
        "in time, and too late",
        &[
            ("a", Within(&[(90_000, "b"), (200_000, "s")])),
            ("b", All(&["c"])),
            ("c", All(&[])),
            ("s", Sleep(&[300_000], &[])),
        ],
        &["a"],
    ),
    graph(
        "too late, then in time",
        &[("a", Within(&[(1_000, "s"), (10_000, "c")])), ("s", Sleep(&[3_000], &[])), ("c", Sleep(&[5_000], &[]))],
        &["a"],
    ),
    graph("in time, then asleep", &[("a", Within(&[(90_000, "b"), (200_000, "")])), ("b", All(&[]))], &["a"]),
    graph(
        "a shorter wait after a longer one",
        &[("a", Within(&[(500_000, "c"), (1_000, "s")])), ("c", All(&[])), ("s", Sleep(&[100_000], &[]))],
        &["a"],
    ),
    graph(
        "two chains side by side",
        &[
            ("a", Sides(&[&["s", "b"], &["c", "d"]])),
            ("s", Sleep(&[60_000], &[])),
            ("b", All(&[])),
            ("c", All(&[])),
            ("d", All(&["c"])),
        ],
        &["a"],
    ),
    graph(
        "chains side by side that share a call with another job",
        &[
            ("a", Sides(&[&["c", "b"], &["d", "c"], &["e"]])),
            ("b", All(&["c"])),
            ("c", All(&["e"])),
            ("d", All(&[])),
            ("e", All(&[])),
        ],
        &["a", "b"],
    ),
    graph(
        "a failure beside a chain",
        &[
            ("a", Catch(&["g"])),
            ("g", Sides(&[&["s", "b"], &["f"]])),
            ("s", Sleep(&[60_000], &[])),
            ("b", All(&[])),
            ("f", Fail),
        ],
        &["a"],
    ),
    graph(
        "a failure before the slow one",
        &[
            ("a", Catch(&["g", "b"])),
            ("g", All(&["s", "f"])),
            ("s", Sleep(&[60_000], &[])),
            ("f", Fail),
            ("b", All(&[])),
        ],
        &["a"],
    ),
    graph(
        "one of two given up",
        &[("a", GivesUp(1_000, &["s", "e"])), ("s", Sleep(&[1_000], &[])), ("e", Sleep(&[100_000], &[]))],
        &["a"],
    ),
    Graph {
        deadline: 30_000,
        ..graph(
            "a deadline while asleep",
            &[("a", Sleep(&[20_000, 90_000], &[])), ("b", Sleep(&[10], &[]))],
            &["a", "b"],
        )
    },
    graph("self", &[("a", All(&["a"]))], &["a"]),
    graph("cycle below", &[("r", All(&["a"])), ("a", All(&["b"])), ("b", All(&["a"]))], &["r"]),
    graph(
        "cycle of three",
        &[("a", All(&["b", "x"])), ("b", All(&["c"])), ("c", All(&["a"])), ("x", All(&[]))],
        &["a"],
    ),
    graph(
        "a cycle that two jobs wait for",
        &[("x", All(&["b"])), ("y", All(&["a"])), ("a", All(&["b"])), ("b", All(&["a"]))],
        &["x", "y", "a"],
    ),
    graph("cycle of two jobs", &[("a", All(&["b"])), ("b", All(&["a"]))], &["a", "b"]),
];

/// The graphs for which every pair of crash points is tested, at any distance. In a separate test a job of each graph is
/// cancelled while it runs.
pub const SMALL: &[&str] = &[
    "one child",
    "two children",
    "a child of two parents",
    "chain",
    "diamond",
    "tried again",
    "a deadline",
    "two jobs share a child",
];

/// Calls whose messages become dead letters, until a person fixes the cause and retries their job.
pub static ILL: &[Graph] = &[
    graph("poison", &[("a", All(&["b"])), ("b", Poison)], &["a"]),
    graph("poison at the top", &[("a", Poison)], &["a"]),
    graph(
        "poison that two jobs take",
        &[("a", All(&["c", "d"])), ("b", Catch(&["c"])), ("c", Poison), ("d", All(&[]))],
        &["a", "b"],
    ),
    Graph {
        deadline: 2_000,
        ..graph("nobody handles it in time", &[("a", All(&["b", "c"])), ("b", Unknown), ("c", All(&[]))], &["a"])
    },
    graph("nobody handles it", &[("a", All(&["b", "c"])), ("b", Unknown), ("c", All(&[]))], &["a"]),
    graph(
        "nobody handles what two jobs want",
        &[("a", All(&["c"])), ("b", Catch(&["c"])), ("c", Unknown)],
        &["a", "b"],
    ),
];
