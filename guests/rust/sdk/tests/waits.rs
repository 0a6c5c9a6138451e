//! What a handler asks for when all of it waits, and how it goes on with a part of it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use brrr::testing::{Want, polls, reject, resolve, run, spawned};
use brrr::{
    App, Call, Error, Failure, FailureKind, Handler, Result, first, first_n, join, join_all, sleep, timeout, try_join,
    try_join_all,
};

const TASKS: &[brrr::Task] = &[
    <nap as Handler>::TASK,
    <fails_after as Handler>::TASK,
    <one as Handler>::TASK,
    <values as Handler>::TASK,
    <outcomes as Handler>::TASK,
    <chains as Handler>::TASK,
    <race as Handler>::TASK,
    <race_beside as Handler>::TASK,
    <foreign as Handler>::TASK,
    <fail_fast as Handler>::TASK,
    <caught as Handler>::TASK,
    <limited as Handler>::TASK,
    <twice as Handler>::TASK,
    <limits as Handler>::TASK,
    <sleeps as Handler>::TASK,
    <asks as Handler>::TASK,
    <ordered as Handler>::TASK,
    <kept as Handler>::TASK,
    <shouts as Handler>::TASK,
    <detached as Handler>::TASK,
    <detached_together as Handler>::TASK,
];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Takes so long.
#[brrr::handler(leaf)]
async fn nap(ms: u64, tag: String) -> String {
    sleep(Duration::from_millis(ms)).await;
    tag
}

#[brrr::handler(leaf, max_retries = 0)]
async fn fails_after(ms: u64) -> Result<String> {
    sleep(Duration::from_millis(ms)).await;
    Err(Error::permanent("no luck"))
}

fn naps(tags: &str) -> Vec<Call<String>> {
    tags.char_indices().map(|(at, tag)| nap(100 * at as u64, tag.to_string())).collect()
}

/// What was asked for: how many calls each time, and the wish.
fn asked() -> Vec<(usize, Want)> {
    polls().iter().filter(|poll| !poll.calls.is_empty()).map(|poll| (poll.calls.len(), poll.want)).collect()
}

#[brrr::handler]
async fn one() -> Result<String> {
    Ok(nap(1, "a".into()).await?)
}

#[test]
fn one_call_is_all_there_is() {
    assert_eq!(run(TASKS, one()).unwrap(), "a");
    assert_eq!(asked(), [(1, Want::All)]);
}

#[brrr::handler]
async fn values(tuple: bool) -> Result<String> {
    if tuple {
        let (a, b) = try_join!(nap(1, "a".into()), nap(2, "b".into()))?;
        return Ok(a + &b);
    }
    Ok(try_join_all(naps("abc")).await?.concat())
}

#[test]
fn an_awaiter_of_values_asks_for_all() {
    assert_eq!(run(TASKS, values(true)).unwrap(), "ab");
    assert_eq!(asked(), [(2, Want::All)]);
    assert_eq!(run(TASKS, values(false)).unwrap(), "abc");
    assert_eq!(asked(), [(3, Want::All)]);
}

#[brrr::handler]
async fn outcomes(tuple: bool) -> Result<usize> {
    if tuple {
        let (a, b) = join!(fails_after(1), nap(500, "b".into()));
        return Ok(usize::from(a.is_err()) + b?.len());
    }
    Ok(join_all([fails_after(1), nap(500, "b".into())]).await.iter().filter(|outcome| outcome.is_ok()).count())
}

#[test]
fn an_awaiter_of_outcomes_asks_for_so_many() {
    assert_eq!(run(TASKS, outcomes(true)), Ok(2));
    assert_eq!(asked(), [(2, Want::Some(2))]);
    assert_eq!(run(TASKS, outcomes(false)), Ok(1));
    assert_eq!(asked(), [(2, Want::Some(2))]);
}

/// The chain k is slow at its step k.
#[brrr::handler]
async fn chains() -> Result<Vec<String>> {
    let chain = async |k: u64| {
        let mut last = String::new();
        for i in 0..3 {
            last = nap(if i == k { 1000 } else { 0 }, format!("{k}{i}")).await?;
        }
        Ok::<_, Failure>(last)
    };
    Ok(try_join_all((0..3).map(chain)).await?)
}

#[test]
fn chains_go_on_independently() {
    assert_eq!(run(TASKS, chains()).unwrap(), ["02", "12", "22"]);
    let polls = polls();
    let polls: Vec<_> = polls.iter().filter(|poll| !poll.calls.is_empty()).collect();
    let (last, others) = polls.split_last().unwrap();
    assert!(others.iter().all(|poll| poll.want == Want::Progress) && last.want == Want::All, "{polls:?}");
    // None waits for the slow step of another: after two polls, each of them waits for its own, and what was asked for before
    // comes first. The end takes two polls: the slow steps of all come at one time, then what is left of the first two chains.
    let third = [r#"[{"ms": 1000, "tag": "00"}]"#, r#"[{"ms": 1000, "tag": "11"}]"#, r#"[{"ms": 1000, "tag": "22"}]"#];
    assert_eq!(polls.len(), 5);
    assert_eq!(polls[2].calls, third.map(|arguments| format!("nap {arguments}")));
}

#[brrr::handler]
async fn race(need: usize) -> Result<String> {
    let outcomes = first_n(need, naps("abc").into_iter().rev()).await;
    let outcomes: Result<Vec<_>, Failure> = outcomes.into_iter().map(Option::transpose).collect();
    Ok(outcomes?.into_iter().map(|tag| tag.unwrap_or("-".into())).collect())
}

#[test]
fn a_race_asks_for_what_it_needs() {
    assert_eq!(run(TASKS, race(1)).unwrap(), "--a");
    assert_eq!(asked(), [(3, Want::Some(1))]);
    assert_eq!(run(TASKS, race(2)).unwrap(), "-ba");
    assert_eq!(asked(), [(3, Want::Some(2))]);
    assert_eq!(run(TASKS, race(0)).unwrap(), "---");
    assert_eq!(asked(), []);
}

#[brrr::handler]
async fn race_beside() -> Result<String> {
    let race = async { first([nap(100, "a".into()), nap(900, "b".into())]).await };
    let (race, other) = join!(race, nap(300, "c".into()));
    Ok(format!("{}{}", race.1?, other?))
}

#[test]
fn a_race_beside_another_call_is_one_awaiter_of_several() {
    assert_eq!(run(TASKS, race_beside()).unwrap(), "ac");
    // The call that lost is left out.
    assert_eq!(asked(), [(3, Want::Progress), (1, Want::Some(1))]);
}

/// Polls two calls by hand, as a `select!` of another crate does: it ends with the first.
#[brrr::handler]
async fn foreign() -> Result<String> {
    let (mut slow, mut fast) = (pin!(nap(5000, "slow".into())), pin!(nap(100, "fast".into())));
    let won = poll_fn(|context| match slow.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(value),
        Poll::Pending => fast.as_mut().poll(context),
    })
    .await?;
    // The other one is still wanted.
    Ok(won + &slow.await?)
}

#[test]
fn calls_that_wait_by_other_means_are_several_awaiters() {
    assert_eq!(run(TASKS, foreign()).unwrap(), "fastslow");
    assert_eq!(asked(), [(2, Want::Progress), (1, Want::All)]);
}

#[brrr::handler(max_retries = 0)]
async fn fail_fast() -> Result<String> {
    let before = brrr::system::now();
    let failed = try_join!(nap(9000, "a".into()), fails_after(100), nap(0, "b".into()));
    let took = brrr::system::now().duration_since(before)?;
    assert!(took < ms(9000), "{took:?}");
    // Nobody waits for the slow one any more.
    let next = nap(1, "c".into()).await?;
    Ok(failed.unwrap_err().message + &next)
}

#[test]
fn the_first_failure_ends_the_wait() {
    assert_eq!(run(TASKS, fail_fast()).unwrap(), "no luckc");
    assert_eq!(asked(), [(3, Want::All), (1, Want::All)]);
}

/// Begins calls, and looks at the first ones last.
#[brrr::handler]
async fn kept() -> Result<String> {
    let (mut quick, mut slow) = (pin!(nap(0, "a".into())), pin!(nap(900, "b".into())));
    poll_fn(|context| {
        assert!(quick.as_mut().poll(context).is_pending() && slow.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    let others = nap(0, "c".into()).await? + &nap(0, "d".into()).await?;
    Ok(quick.await? + &slow.await? + &others)
}

#[test]
fn an_outcome_that_is_there_is_not_asked_for_again() {
    assert_eq!(run(TASKS, kept()).unwrap(), "abcd");
    // All three; then the slow one and the new one; then the slow one.
    assert_eq!(asked(), [(3, Want::Progress), (2, Want::Progress), (1, Want::All)]);
}

/// Begins with a call, and does something after it.
#[repr(C)]
struct Shouted {
    call: Call<String>,
    mark: &'static str,
}

impl Future for Shouted {
    type Output = Result<String, Failure>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let polled = std::pin::Pin::new(&mut self.call).poll(context);
        polled.map_ok(|value| value + self.mark)
    }
}

#[brrr::handler]
async fn shouts() -> Result<String> {
    let all = naps("ab").into_iter().map(|call| Shouted { call, mark: "!" });
    Ok(try_join_all(all).await?.concat())
}

#[test]
fn what_contains_a_call_is_an_awaiter_of_its_own() {
    assert_eq!(run(TASKS, shouts()).unwrap(), "a!b!");
    assert_eq!(asked(), [(2, Want::Progress), (1, Want::All)]);
}

/// Each failure is caught, and the rest is asked for again.
#[brrr::handler]
async fn caught() -> Result<String> {
    let catching = async |call: Call<String>| call.await.unwrap_or_else(|failure| failure.message);
    let all = join_all([fails_after(100), nap(200, "a".into())].map(catching)).await;
    Ok(all.join(" "))
}

#[test]
fn a_caught_failure_is_no_end() {
    assert_eq!(run(TASKS, caught()).unwrap(), "no luck a");
    assert_eq!(asked(), [(2, Want::Progress), (1, Want::All)]);
}

#[brrr::handler]
async fn limited(took: u64, limit: u64) -> Result<String> {
    match timeout(ms(limit), nap(took, "in time".into())).await {
        Ok(value) => Ok(value?),
        Err(elapsed) => Ok(elapsed.to_string()),
    }
}

#[test]
fn a_limit_is_the_time_until_which_is_asked() {
    let before = brrr::system::now();
    assert_eq!(run(TASKS, limited(100, 60_000)).unwrap(), "in time");
    let [poll] = &polls()[..] else { panic!("one poll") };
    let limit = poll.until.unwrap().duration_since(before).unwrap();
    assert!((ms(59_990)..ms(70_000)).contains(&limit), "{limit:?}");
    assert_eq!((poll.calls.len(), poll.want), (1, Want::All));

    assert_eq!(run(TASKS, limited(60_000, 100)).unwrap(), "it took longer than 100ms");
    assert_eq!(polls().len(), 1);
}

#[brrr::handler]
async fn twice() -> Result<(String, String)> {
    let late = timeout(ms(100), nap(1000, "a".into())).await;
    let late = late.map_or(Ok("too late".into()), |value| value)?;
    Ok((late, nap(1000, "a".into()).await?))
}

#[test]
fn a_call_that_was_too_late_is_there_later() {
    assert_eq!(run(TASKS, twice()), Ok(("too late".into(), "a".into())));
}

/// Two limits at once, one of which is over before the calls are there.
#[brrr::handler]
async fn limits() -> Result<String> {
    let limited = async |limit, took, tag: &str| match timeout(ms(limit), nap(took, tag.into())).await {
        Ok(value) => value,
        Err(_) => Ok("-".into()),
    };
    let (a, b, ()) = join!(limited(100, 700, "a"), limited(900, 500, "b"), sleep(ms(300)));
    Ok(a? + &b?)
}

#[test]
fn the_earliest_timer_counts() {
    assert_eq!(run(TASKS, limits()).unwrap(), "-b");
    // Until the first limit; until the sleep is over, for what is left; until the second limit.
    assert_eq!(asked(), [(2, Want::Progress), (1, Want::All), (1, Want::All)]);
    let until: Vec<_> = polls().iter().filter_map(|poll| poll.until).collect();
    let first = until[0];
    let later: Vec<_> = until.iter().map(|until| until.duration_since(first).unwrap().as_millis()).collect();
    assert!(later[0] == 0 && (190..=210).contains(&later[1]) && (790..=810).contains(&later[2]), "{later:?}");
}

#[brrr::handler]
async fn sleeps(ms: u64) -> Result<u64> {
    let before = brrr::system::now();
    sleep(Duration::from_millis(ms)).await;
    Ok(brrr::system::now().duration_since(before)?.as_millis() as u64)
}

#[test]
fn a_sleep_is_a_poll_without_calls() {
    let slept = run(TASKS, sleeps(1_000_000)).unwrap();
    assert!((1_000_000..1_001_000).contains(&slept), "{slept}");
    let [poll] = &polls()[..] else { panic!("one poll") };
    assert_eq!((poll.calls.len(), poll.want, poll.until.is_some()), (0, Want::All, true));
    // There is nothing to wait for.
    run(TASKS, sleeps(0)).unwrap();
    assert_eq!(polls(), []);
}

#[brrr::handler]
async fn asks(app: App, name: String, limit: u64) -> Result<String> {
    match timeout(ms(limit), app.promise::<String>(name)).await {
        Ok(Err(failure)) if failure.kind == FailureKind::Rejected => Ok(format!("rejected: {}", failure.message)),
        Ok(answer) => Ok(answer?),
        Err(_) => Ok("too late".into()),
    }
}

#[test]
fn a_promise_is_awaited_like_a_call() {
    resolve("yes", "of course");
    reject("no", "never");
    assert_eq!(run(TASKS, asks("yes".into(), 1000)).unwrap(), "of course");
    assert_eq!(polls()[0].calls, ["brrr.promise yes"]);
    assert_eq!(run(TASKS, asks("no".into(), 1000)).unwrap(), "rejected: never");
    assert_eq!(run(TASKS, asks("maybe".into(), 1000)).unwrap(), "too late");
}

/// Calls of one awaiter that come one by one; another one is made meanwhile.
#[brrr::handler]
async fn ordered() -> Result<String> {
    let two = async {
        let a = nap(10, "a".into()).await?;
        Ok::<_, Failure>(a + &nap(500, "b".into()).await?)
    };
    let (ab, c) = try_join!(two, nap(300, "c".into()))?;
    Ok(ab + &c)
}

#[test]
fn what_was_asked_for_before_comes_first_again() {
    assert_eq!(run(TASKS, ordered()).unwrap(), "abc");
    let polls = polls();
    let tags = |poll: &brrr::testing::Poll| -> String {
        poll.calls.iter().filter_map(|call| call.split("\"tag\": \"").nth(1)?.chars().next()).collect()
    };
    let tags: Vec<_> = polls.iter().filter(|poll| !poll.calls.is_empty()).map(tags).collect();
    assert_eq!(tags, ["ac", "cb", "b"]);
}

fn job(number: usize) -> String {
    format!("{number:032x}")
}

/// Starts jobs while a call is waited for already.
#[brrr::handler]
async fn detached(app: App) -> Result<(String, Vec<String>)> {
    let mut slow = pin!(nap(5000, "slow".into()));
    assert!(poll_fn(|context| Poll::Ready(slow.as_mut().poll(context).is_pending())).await);
    // Two that are alike are two jobs.
    let mut jobs = vec![nap(1, "a".into()).topic("t").spawn().await?, nap(1, "a".into()).spawn().await?];
    jobs.push(app.spawn("no_such_task").arg("n", 1).await?);
    jobs.push(Call::raw_named("raw", b"x".to_vec()).spawn().await?);
    Ok((slow.await?, jobs))
}

#[test]
fn a_detached_job_waits_for_nothing() {
    assert_eq!(run(TASKS, detached()), Ok(("slow".into(), (1..=4).map(job).collect())));
    assert_eq!(asked(), [(1, Want::All)]);
    let started = spawned();
    assert_eq!(
        started.iter().map(|spawned| spawned.job.clone()).collect::<Vec<_>>(),
        (1..=4).map(job).collect::<Vec<_>>()
    );
    assert_eq!((started[0].task.as_str(), started[0].topic.as_deref()), ("nap", Some("t")));
    assert_eq!((started[2].task.as_str(), started[2].topic.as_deref()), ("no_such_task", None));
    assert_eq!(
        (started[0].payload.as_slice(), started[3].payload.as_slice()),
        (&br#"[{"ms": 1, "tag": "a"}]"#[..], &b"x"[..])
    );
}

/// Like calls, they can be gathered and raced.
#[brrr::handler]
async fn detached_together() -> Result<(String, Vec<String>, usize)> {
    let (call, one) = try_join!(nap(1, "a".into()), nap(2, "b".into()).spawn())?;
    let mut jobs = try_join_all((0..2).map(|ms| nap(ms, "c".into()).spawn())).await?;
    jobs.push(one);
    let (winner, won) = first([nap(9, "d".into()), nap(9, "e".into()).spawn()]).await;
    jobs.push(won?);
    Ok((call, jobs, winner))
}

#[test]
fn detached_jobs_are_calls_to_what_waits_for_several() {
    let jobs = [2, 3, 1, 4].map(job).to_vec();
    assert_eq!(run(TASKS, detached_together()), Ok(("a".into(), jobs, 1)));
    assert_eq!(asked(), [(1, Want::All), (2, Want::Some(1))]);
}
