//! `run --processes N`: a parent that keeps N workers of itself alive, each a process with the same arguments.
//!
//! Parent and child hold the two ends of a socket, the child's as its stdin: a byte from the child says that it serves, a
//! byte from the parent that it is to end, and the end of the stream that the other side is gone. So no child outlives
//! its parent, whatever killed that, and a child may be told to stop by both (Ctrl-C reaches every process of a terminal,
//! a service manager's SIGTERM every process of a service) without taking the second time for "at once".

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use brrr_worker::topic_worker::{Shutdown, StopReason};

use super::Args;
use crate::cli::Told;
use crate::cli::output::say;
use crate::cli::signals::on_signals;
use crate::exit::Exit;

/// More than the cores of any machine that this is for; a larger number is a slip.
const MOST: u32 = 512;

/// Which child a process is, from 0; not set: none.
const CHILD: &str = "BRRR_PROCESS";

/// After how long a worker that died is started again: doubled each time, until one has lived for `SETTLED`.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
const SETTLED: Duration = Duration::from_secs(30);

/// How many processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processes(u32);

impl FromStr for Processes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "auto" | "cores") {
            let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
            return Ok(Self(u32::try_from(cores).unwrap_or(MOST).min(MOST)));
        }
        match text.parse() {
            Ok(count) if (1..=MOST).contains(&count) => Ok(Self(count)),
            _ => Err(format!("1 to {MOST}, or `auto`: one for each core")),
        }
    }
}

impl Processes {
    /// What each gets of what a single one would have.
    pub fn share(self, of: u32) -> u32 {
        of.div_ceil(self.0)
    }
}

/// What this process is to the one that started it.
pub struct Membership {
    index: u32,
    parent: UnixStream,
}

impl Membership {
    /// Of a process that a parent has started; `None`: a user did.
    pub fn find() -> io::Result<Option<Self>> {
        let Some(index) = std::env::var(CHILD).ok().and_then(|text| text.parse().ok()) else { return Ok(None) };
        let parent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Some(Self { index, parent }))
    }

    /// Only one process can listen on an address.
    pub fn has_gateway(&self) -> bool {
        self.index == 0
    }

    /// Stops when the parent says so or is gone, and when a signal does, however often: the parent is who decides that it
    /// is enough, and then kills.
    pub fn shutdown(&self) -> io::Result<Shutdown> {
        let shutdown = Shutdown::on_any_signal()?;
        let (told, mut parent) = (shutdown.clone(), self.parent.try_clone()?);
        thread::Builder::new().name("brrr-parent".into()).spawn(move || {
            if parent.read(&mut [0]).unwrap_or(0) == 0 && told.begun().is_none() {
                tracing::warn!("the process that started this worker is gone: letting running calls end");
            }
            told.begin(StopReason::Terminate);
        })?;
        Ok(shutdown)
    }

    /// Says that this worker serves.
    pub fn ready(&self) {
        // A parent that is gone is noticed by who listens to it.
        let _ = (&self.parent).write_all(b"+");
    }
}

/// What the parent hears.
enum News {
    Ready(u32),
    /// The end of the stream: the process has ended, or is about to.
    Ended(u32),
    Stop,
}

/// A worker, and what is known about it.
struct Worker {
    index: u32,
    process: Child,
    orders: UnixStream,
    ready: Option<Instant>,
}

/// Shared with the thread that hears signals.
#[derive(Default)]
struct Fleet {
    workers: Vec<Worker>,
    stopping: bool,
}

impl Fleet {
    fn kill(&mut self) {
        for worker in &mut self.workers {
            // One that has ended is what was wanted.
            let _ = worker.process.kill();
        }
    }

    fn stop(&mut self) {
        self.stopping = true;
        for worker in &mut self.workers {
            let _ = worker.orders.write_all(b"-");
        }
    }
}

fn lock(fleet: &Mutex<Fleet>) -> MutexGuard<'_, Fleet> {
    fleet.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Is this process to start others? One worker needs no parent.
pub fn is_parent(args: &Args) -> bool {
    args.processes.0 > 1 && std::env::var_os(CHILD).is_none()
}

/// Keeps so many workers running until it is told to stop.
///
/// # Errors
/// When they could share no backend, are to watch, or the first can't be started.
pub fn supervise(args: &Args) -> anyhow::Result<Exit> {
    if args.watch {
        let text = "--watch is for one process: with --processes each would build by itself; leave one of them out";
        return Err(Told::new(Exit::Usage, text).into());
    }
    if args.backend.config(args.lease).is_of_one_process() {
        let text = "`memory:` is of one process alone: several would share nothing; use sqlite:PATH, or --processes 1";
        return Err(Told::new(Exit::BadBackend, text).into());
    }
    let fleet = Arc::new(Mutex::new(Fleet::default()));
    let (sender, news) = mpsc::channel();
    let (first, second, told) = (fleet.clone(), fleet.clone(), sender.clone());
    on_signals(
        move |name| {
            say(format_args!("{name}: letting running calls end; once more stops at once"));
            lock(&first).stop();
            // Nobody listens: it is over anyway.
            let _ = told.send(News::Stop);
        },
        move |name| {
            let mut fleet = lock(&second);
            fleet.kill();
            say(format_args!("{name}: stopped at once; what was running comes back when its lease runs out"));
            // Kept locked to the end of the process, which is next: whoever waits for the workers must not see theirs first.
            std::mem::forget(fleet);
        },
    )?;
    let program = std::env::current_exe()?;
    let parent =
        Parent { fleet: fleet.clone(), program, sender, wanted: args.processes.0, due: Vec::new(), started: 0 };
    let ended = parent.run(&news);
    // Without a reason to wait for them: each has either ended or is not wanted any more.
    lock(&fleet).kill();
    ended
}

/// How a worker ended.
struct Ended {
    id: u32,
    status: ExitStatus,
    exit: Option<Exit>,
    /// How long it served.
    lived: Duration,
    /// It was told to.
    wanted: bool,
}

impl Ended {
    /// With what all of them end, if the next one would end in the same way.
    fn reason_to_end(&self, at_start: bool) -> Option<Exit> {
        match self.exit? {
            // Nobody reads what any of them prints.
            Exit::BrokenPipe => self.exit,
            // Somebody stopped this one by a signal.
            Exit::Done | Exit::Interrupted | Exit::Terminated => None,
            // It has said why: a bad argument, component or backend.
            exit => at_start.then_some(exit),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ended unexpectedly ({})", self.id, self.status)
    }
}

struct Parent {
    fleet: Arc<Mutex<Fleet>>,
    program: PathBuf,
    sender: Sender<News>,
    wanted: u32,
    /// Workers to be started again: when, which, and after what delay.
    due: Vec<(Instant, u32, Duration)>,
    /// Workers that have served once. The next one is started when this one does, so that the first compiles for all, and
    /// what is wrong with the arguments is said once.
    started: u32,
}

impl Parent {
    fn run(mut self, news: &Receiver<News>) -> anyhow::Result<Exit> {
        let mut delays = vec![FIRST_DELAY; self.wanted as usize];
        let mut worst = Exit::Done;
        self.start(0)?;
        loop {
            match self.next(news) {
                Some(News::Ready(index)) => {
                    if let Some(worker) = lock(&self.fleet).workers.iter_mut().find(|worker| worker.index == index) {
                        worker.ready = Some(Instant::now());
                    }
                    if index == self.started {
                        self.started += 1;
                        if self.started < self.wanted {
                            self.start(self.started)?;
                        } else {
                            tracing::info!("{} processes serve", self.wanted);
                        }
                    }
                }
                Some(News::Ended(index)) => {
                    let Some(ended) = self.bury(index)? else { continue };
                    if ended.wanted {
                        worst = if ended.exit == Some(Exit::Done) { worst } else { ended.exit.unwrap_or(Exit::Fault) };
                    } else if let Some(exit) = ended.reason_to_end(index >= self.started) {
                        return self.end(news, exit);
                    } else {
                        let delay = &mut delays[index as usize];
                        if ended.lived > SETTLED {
                            *delay = FIRST_DELAY;
                        }
                        tracing::warn!("{ended}; another one is started in {delay:?}");
                        self.due.push((Instant::now() + *delay, index, *delay));
                        *delay = (*delay * 2).min(LONGEST_DELAY);
                    }
                }
                Some(News::Stop) => self.due.clear(),
                None => self.start_due()?,
            }
            let fleet = lock(&self.fleet);
            if fleet.stopping && fleet.workers.is_empty() {
                return Ok(worst);
            }
        }
    }

    /// The next news; `None`: a worker is due.
    fn next(&self, news: &Receiver<News>) -> Option<News> {
        let Some(due) = self.due.iter().map(|(at, ..)| *at).min() else { return news.recv().ok() };
        news.recv_timeout(due.saturating_duration_since(Instant::now())).ok()
    }

    fn start_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.due).into_iter().partition(|(at, ..)| *at <= now);
        self.due = later;
        for (_, index, delay) in due {
            if let Err(error) = self.start(index) {
                // A machine without room for a process may have some later.
                tracing::warn!("a process could not be started: {error:#}");
                self.due.push((now + delay.max(Duration::from_secs(1)), index, delay));
            }
        }
        Ok(())
    }

    fn start(&self, index: u32) -> anyhow::Result<()> {
        let mut fleet = lock(&self.fleet);
        if fleet.stopping {
            return Ok(());
        }
        let (orders, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.program);
        command.args(std::env::args_os().skip(1)).env(CHILD, index.to_string()).stdin(OwnedFd::from(theirs));
        let process = command.spawn()?;
        // The command holds the child's end, whose closing is how its death is noticed.
        drop(command);
        let (mut hears, sender) = (orders.try_clone()?, self.sender.clone());
        thread::Builder::new().name(format!("brrr-process-{index}")).spawn(move || {
            while hears.read(&mut [0]).unwrap_or(0) > 0 {
                let _ = sender.send(News::Ready(index));
            }
            let _ = sender.send(News::Ended(index));
        })?;
        fleet.workers.push(Worker { index, process, orders, ready: None });
        Ok(())
    }

    /// Takes the worker out that has ended.
    fn bury(&self, index: u32) -> io::Result<Option<Ended>> {
        let mut fleet = lock(&self.fleet);
        let Some(place) = fleet.workers.iter().position(|worker| worker.index == index) else { return Ok(None) };
        let mut worker = fleet.workers.swap_remove(place);
        let wanted = fleet.stopping;
        drop(fleet);
        let status = worker.process.wait()?;
        Ok(Some(Ended {
            id: worker.process.id(),
            status,
            exit: status.code().and_then(|code| Exit::from_code(u8::try_from(code).ok()?)),
            lived: worker.ready.map_or(Duration::ZERO, |ready| ready.elapsed()),
            wanted,
        }))
    }

    /// Ends all others, and waits for them.
    fn end(self, news: &Receiver<News>, exit: Exit) -> anyhow::Result<Exit> {
        lock(&self.fleet).stop();
        while !lock(&self.fleet).workers.is_empty() {
            if let Ok(News::Ended(index)) = news.recv() {
                self.bury(index)?;
            }
        }
        Ok(exit)
    }
}
