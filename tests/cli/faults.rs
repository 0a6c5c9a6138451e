//! Faults of handlers in C++ and Go, as their author meets them: from the source to the message of the failure.
//!
//! Needs the tools of the two languages, as `new` does.

use crate::harness::{Env, Running};
use crate::new::{build, newcomer};

/// A worker of a project with these sources, in place of those of the template.
fn worker(env: &Env, language: &str, file: &str, source: &str) -> (Running, String) {
    env.run(["new", "--lang", language, "faults"]).ok();
    env.write(&format!("faults/{file}"), source);
    let built = build(env, &["build", "faults"]);
    assert_eq!(built.ok(), "faults/faults.wasm");
    let worker = env.start(["run", "--topic", "demo", "faults"]);
    worker.wait_for_stderr("serving topic demo");
    (worker, built.stderr)
}

/// Checks that a call fails, and that the lines about it have all of `words`.
#[track_caller]
fn fails(env: &Env, task: &str, arguments: &str, words: &[&str]) {
    let ended = env.run(["call", "--topic", "demo", task, arguments]);
    assert_eq!(ended.code, Some(30), "{ended:#?}");
    words.iter().for_each(|word| assert!(ended.stderr.contains(word), "{word:?} is not in {ended:#?}"));
}

const CPP: &str = r#"
#include <brrr.hpp>
#include <cstdio>
#include <format>
#include <string>
#include <vector>
std::string format_number(double n) { return std::format("{:.2f}", n); }
std::int64_t to_number(std::string text) { return std::stoi(text); }
std::int64_t item(std::uint32_t i) { return std::vector{1, 2, 3}.at(i); }
void gives_up() { std::fputs("there is no way on", stderr); std::abort(); }
std::int64_t deeper(std::int64_t n) { volatile std::int64_t frame[64] = {n}; return deeper(n + 1) + frame[n % 64]; }
constexpr brrr::Task<format_number> format_task{"format_number", {"n"}};
constexpr brrr::Task<to_number> to_number_task{"to_number", {"text"}, {.max_retries = 0}};
constexpr brrr::Task<item> item_task{"item", {"i"}, {.max_retries = 0}};
constexpr brrr::Task<gives_up> gives_up_task{"gives_up", {}, {.max_retries = 0}};
constexpr brrr::Task<deeper> deeper_task{"deeper", {"n"}, {.max_retries = 0}};
BRRR_WORKER(format_task, to_number_task, item_task, gives_up_task, deeper_task)
"#;

#[test]
fn cpp_says_what_its_library_has_to_say() {
    let env = newcomer();
    let (worker, _) = worker(&env, "cpp", "app.cpp", CPP);
    assert_eq!(env.run(["call", "--topic", "demo", "format_number", "{\"n\": 1.5}"]).ok(), "1.50");
    fails(&env, "to_number", "{\"text\": \"x\"}", &["invalid_argument", "stoi: no conversion"]);
    fails(&env, "item", "{\"i\": 3}", &["out_of_range", "vector"]);
    fails(&env, "gives_up", "{}", &["there is no way on"]);
    fails(&env, "deeper", "{\"n\": 0}", &["its stack overflowed", "does it recurse without end"]);
    worker.stop().ok();
}

const GO: &str = r#"package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

var once = brrr.Options{MaxRetries: 1, RetryDelay: 10 * time.Millisecond}

type args struct {
	Half string `json:"half"`
}

func main() {
	brrr.Handle("zone", func(context.Context, struct{}) (string, error) {
		_, err := time.LoadLocation("Europe/Zurich")
		return "", err
	}, brrr.Options{MaxRetries: brrr.NoRetries})
	brrr.Handle("permanent", func(_ context.Context, in args) (int, error) {
		return 0, brrr.Permanent(errors.New("half: " + in.Half[:2]))
	}, once)
	brrr.Handle("panics", func(_ context.Context, in args) (int, error) {
		panic("half: " + in.Half[:2])
	}, brrr.Options{MaxRetries: brrr.NoRetries})
	brrr.Handle("status", func(context.Context, struct{}) (string, error) {
		return http.StatusText(200), nil
	})
}
"#;

#[test]
fn go_says_what_a_component_lacks_and_takes_any_text() {
    let env = newcomer();
    let (worker, built) = worker(&env, "go", "main.go", GO);
    assert!(built.contains("warning: the program has net/http") && built.contains("brrr/brrrhttp"), "{built}");
    fails(&env, "zone", "{}", &["Europe/Zurich", "import _ \"time/tzdata\""]);
    fails(&env, "panics", "{\"half\": \"😀\"}", &["panic: half: \u{fffd}", "at main.", "main.go:"]);
    fails(&env, "permanent", "{\"half\": \"😀\"}", &["permanent failed\n", "half: \u{fffd}"]);
    worker.stop().ok();
}
