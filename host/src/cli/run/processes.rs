//! `run --processes N`: a parent process that keeps N workers alive. Each worker is a process with the same arguments.
//!
//! Parent and child hold the two ends of a socket. The child's end is its stdin. A byte from the child says that the
//! child is serving. A byte from the parent tells the child to stop. The end of the stream says that the other side has
//! ended. So no child outlives its parent, however the parent was killed. A child may get two requests to stop: Ctrl-C
//! reaches every process of a terminal, and a service manager's SIGTERM every process of a service. The child does not
//! take the second request for "stop at once".

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use brrr_worker::topic_worker::{Shutdown, StopReason};

use super::RunCommand;
use crate::cli::ExitError;
use crate::cli::output::say;
use crate::cli::signals::on_signals;
use crate::cli::source;
use crate::config::Config;
use crate::exit::Exit;

/// The variable with the child's index, from 0. A process without it is no child.
const CHILD: &str = "BRRR_PROCESS";

/// The delay before a dead worker is started again. It doubles each time, until a worker has lived for `SETTLED`.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
const SETTLED: Duration = Duration::from_secs(30);

/// What a child knows about its parent.
pub struct Membership {
    index: u32,
    parent: UnixStream,
}

impl Membership {
    /// `None`: this process was started by a user, not by a parent.
    pub fn find() -> io::Result<Option<Self>> {
        let Some(index) = std::env::var(CHILD).ok().and_then(|text| text.parse().ok()) else { return Ok(None) };
        let parent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Some(Self { index, parent }))
    }

    /// The index of this child, from 0.
    pub fn index(&self) -> u16 {
        u16::try_from(self.index).unwrap_or(u16::MAX)
    }

    /// Only one process can listen on an address, so only the first child has the gateway.
    pub fn has_gateway(&self) -> bool {
        self.index == 0
    }

    /// Stops when the parent asks for it or has ended, or at a signal. Further signals change nothing: the parent
    /// decides when to stop waiting, and then kills the child.
    pub fn shutdown(&self) -> io::Result<Shutdown> {
        let shutdown = Shutdown::on_any_signal()?;
        let (to_stop, mut parent) = (shutdown.clone(), self.parent.try_clone()?);
        thread::Builder::new().name("brrr-parent".into()).spawn(move || {
            if parent.read(&mut [0]).unwrap_or(0) == 0 && to_stop.begun().is_none() {
                tracing::warn!("the process that started this worker is gone: letting running calls end");
            }
            to_stop.begin(StopReason::Terminate);
        })?;
        Ok(shutdown)
    }

    /// Tells the parent that this worker is serving.
    pub fn ready(&self) {
        // If the parent has ended, the thread that reads from it notices.
        let _ = (&self.parent).write_all(b"+");
    }
}

/// What the children and the signals report to the parent.
enum News {
    Ready(u32),
    /// The stream has ended: the process has ended, or is about to.
    Ended(u32),
    Stop,
}

/// A worker process and its state.
struct WorkerProcess {
    index: u32,
    process: Child,
    orders: UnixStream,
    ready: Option<Instant>,
}

/// The workers, shared with the thread that handles signals.
#[derive(Default)]
struct Fleet {
    workers: Vec<WorkerProcess>,
    stopping: bool,
}

impl Fleet {
    fn kill(&mut self) {
        for worker in &mut self.workers {
            // This fails only for a worker that has ended already.
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

/// Is this process to start others? A single worker needs no parent.
pub fn is_parent(args: &RunCommand) -> bool {
    args.processes.count() > 1 && std::env::var_os(CHILD).is_none()
}

/// Keeps N workers running until it is asked to stop.
///
/// # Errors
/// When the workers could not share the backend, `--watch` is given, a component is not in its registry, or the first worker can't
/// be started.
pub fn supervise(args: &RunCommand, config: &Config) -> anyhow::Result<Exit> {
    if args.watch {
        let text = "--watch is for one process: with --processes each would build by itself; leave one of them out";
        return Err(ExitError::new(Exit::Usage, text).into());
    }
    if args.backend.config(args.lease).is_of_one_process() {
        let text = "`memory:` is of one process alone: several would share nothing; use sqlite:PATH, or --processes 1";
        return Err(ExitError::new(Exit::BadBackend, text).into());
    }
    // Tags are looked up once for all workers, also for those that are started again later.
    let components = config.components.iter().map(|component| &component.path);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let pinned = match args.guests.is_empty() {
        true => runtime.block_on(source::pin(components))?,
        false => runtime.block_on(source::pin(args.guests.iter()))?,
    };
    drop(runtime);
    let fleet = Arc::new(Mutex::new(Fleet::default()));
    let (sender, news) = mpsc::channel();
    let (first, second, news_sender) = (fleet.clone(), fleet.clone(), sender.clone());
    on_signals(
        move |name| {
            say(format_args!("{name}: letting running calls end; once more stops at once"));
            lock(&first).stop();
            // This fails only when nobody receives any more, at the end of the program.
            let _ = news_sender.send(News::Stop);
        },
        move |name| {
            let mut fleet = lock(&second);
            fleet.kill();
            say(format_args!("{name}: stopped at once; what was running comes back when its lease runs out"));
            // The lock stays held until the process ends, which follows at once. Otherwise the main thread could see
            // the end of the workers first, and report it instead.
            std::mem::forget(fleet);
        },
    )?;
    let program = std::env::current_exe()?;
    let parent = Parent {
        fleet: fleet.clone(),
        program,
        pinned,
        sender,
        wanted: args.processes.count(),
        due: Vec::new(),
        started: 0,
    };
    let ended = parent.run(&news);
    // The supervision has ended. Each worker has either ended or is no longer needed, so all are killed.
    lock(&fleet).kill();
    ended
}

/// The end of a worker process.
struct EndedProcess {
    id: u32,
    status: ExitStatus,
    exit: Option<Exit>,
    /// How long the worker served.
    lived: Duration,
    /// The worker was asked to stop.
    wanted: bool,
}

impl EndedProcess {
    /// The exit code with which all workers must end, if the next worker would end in the same way.
    fn reason_to_end(&self, at_start: bool) -> Option<Exit> {
        match self.exit? {
            // The reader of the common output is gone.
            Exit::BrokenPipe => self.exit,
            // A signal stopped this worker alone.
            Exit::Done | Exit::Interrupted | Exit::Terminated => None,
            // A worker that fails at its start has said why: a bad argument, component or backend.
            exit => at_start.then_some(exit),
        }
    }
}

impl fmt::Display for EndedProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ended unexpectedly ({})", self.id, self.status)
    }
}

struct Parent {
    fleet: Arc<Mutex<Fleet>>,
    program: PathBuf,
    /// What the tags of the components stand for.
    pinned: Option<String>,
    sender: Sender<News>,
    wanted: u32,
    /// The workers to start again: when, which, and after what delay.
    due: Vec<(Instant, u32, Duration)>,
    /// The number of workers that have served once. The next worker starts when this worker serves. So the first worker
    /// compiles the components for all, and an error in the arguments is printed once.
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
                    let Some(ended) = self.reap(index)? else { continue };
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

    /// The next report. `None`: it is time to start a worker.
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
                // A machine without room for a process may have room later.
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
        if let Some(pinned) = &self.pinned {
            command.env(source::PINNED, pinned);
        }
        let process = command.spawn()?;
        // The command holds the child's end of the socket. It must be closed here, so that the end of the child closes
        // the stream.
        drop(command);
        let (mut hears, sender) = (orders.try_clone()?, self.sender.clone());
        thread::Builder::new().name(format!("brrr-process-{index}")).spawn(move || {
            while hears.read(&mut [0]).unwrap_or(0) > 0 {
                let _ = sender.send(News::Ready(index));
            }
            let _ = sender.send(News::Ended(index));
        })?;
        fleet.workers.push(WorkerProcess { index, process, orders, ready: None });
        Ok(())
    }

    /// Removes an ended worker from the fleet, and returns how it ended.
    fn reap(&self, index: u32) -> io::Result<Option<EndedProcess>> {
        let mut fleet = lock(&self.fleet);
        let Some(position) = fleet.workers.iter().position(|worker| worker.index == index) else { return Ok(None) };
        let mut worker = fleet.workers.swap_remove(position);
        let wanted = fleet.stopping;
        drop(fleet);
        let status = worker.process.wait()?;
        Ok(Some(EndedProcess {
            id: worker.process.id(),
            status,
            exit: status.code().and_then(|code| Exit::from_code(u8::try_from(code).ok()?)),
            lived: worker.ready.map_or(Duration::ZERO, |ready| ready.elapsed()),
            wanted,
        }))
    }

    /// Ends all other workers, and waits for them.
    fn end(self, news: &Receiver<News>, exit: Exit) -> anyhow::Result<Exit> {
        lock(&self.fleet).stop();
        while !lock(&self.fleet).workers.is_empty() {
            if let Ok(News::Ended(index)) = news.recv() {
                self.reap(index)?;
            }
        }
        Ok(exit)
    }
}
