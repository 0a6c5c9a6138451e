//! `run --watch`: when a source or a component changes, the new component replaces the old component.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::model::Topic;
use brrr_protocol::ports::Backend;
use brrr_worker::ServedTopic;
use brrr_worker::served::ComponentList;
use brrr_worker::topic_worker::{Shutdown, SwappableHandler, announce};
use brrr_worker::wasm::WasmHandler;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::load::{Loaded, Loader};
use super::served::Served;
use crate::build::{OwnBuild, Project, is_source};
use crate::cli::build::{is_component, own_in};
use crate::cli::{ExitError, one_line};
use crate::exit::Exit;

/// A change counts only after this time without further changes, because editors and compilers write a file in several
/// steps.
const QUIET: Duration = Duration::from_millis(100);

/// What a topic is served with.
pub struct Serving {
    pub topic: Topic,
    pub handler: SwappableHandler,
    components: Arc<ComponentList>,
    /// The version of the components, with their tasks.
    version: Version,
}

#[derive(PartialEq, Eq)]
struct Version {
    digests: Vec<String>,
    tasks: Vec<String>,
}

impl Version {
    fn of(handler: &WasmHandler) -> Self {
        Self {
            digests: handler.guests().map(|guest| guest.digest.clone()).collect(),
            tasks: handler.tasks().map(|task| task.name.clone()).collect(),
        }
    }
}

impl Serving {
    /// The topic for the worker to serve, and the part of it that is kept here.
    pub fn new(Loaded { topic, handler, components }: Loaded) -> (ServedTopic, Self) {
        let version = Version::of(&handler);
        let served = ServedTopic::of_components(topic, handler).naming(components);
        let (topic, handler) = (served.topic.clone(), served.handler.clone());
        let serving = Self { topic, handler, components: served.components.clone(), version };
        (served, serving)
    }
}

/// A folder in which changes are looked for.
struct Root {
    /// The path without links, because the system reports changes under this path.
    folder: PathBuf,
    content: Content,
}

enum Content {
    /// The component with this name.
    Component(OsString),
    Sources,
    /// The sources of a component that a command of the user builds.
    OwnSources(OwnBuild),
}

impl Root {
    fn of(served: &Served) -> Option<Self> {
        let path = &served.path;
        let own = served.build.clone().or_else(|| own_in(path).ok()?.map(|(_, own)| own));
        if let Some(own) = own {
            let folder = if own.folder.as_os_str().is_empty() { Path::new(".") } else { &own.folder };
            return Some(Self { folder: folder.canonicalize().ok()?, content: Content::OwnSources(own) });
        }
        if !is_component(path) {
            return Some(Self { folder: Project::find(path).ok()?.folder, content: Content::Sources });
        }
        // The folder of the component is watched, and not the file, because a new file replaces the old file.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let content = Content::Component(path.file_name()?.to_owned());
        Some(Self { folder: parent.canonicalize().ok()?, content })
    }

    /// The changed path relative to the folder, if the change is of interest.
    fn counts(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.folder).ok()?;
        let counts = match &self.content {
            Content::Component(name) => below.as_os_str() == name,
            Content::Sources => !below.as_os_str().is_empty() && is_source(below),
            Content::OwnSources(own) => !below.as_os_str().is_empty() && own.is_source(below),
        };
        counts.then(|| below.to_owned())
    }

    /// The folders that may contain files of interest.
    fn folders(&self) -> Vec<PathBuf> {
        let mut found = vec![self.folder.clone()];
        let mut next = 0;
        // The watcher itself would descend into every folder of installed packages and build output, so this loop does
        // it instead.
        while !matches!(self.content, Content::Component(_)) && next < found.len() {
            let entries = found[next].read_dir().into_iter().flatten().flatten();
            let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let more: Vec<_> = folders.map(|entry| entry.path()).filter(|path| self.counts(path).is_some()).collect();
            found.extend(more);
            next += 1;
        }
        found
    }
}

/// Watches files for changes.
pub struct Watch {
    roots: Arc<[Root]>,
    watcher: RecommendedWatcher,
    watched: HashSet<PathBuf>,
    /// The changed files of interest. Other files in a folder, such as a log or a store, may change all the time.
    changes: mpsc::UnboundedReceiver<PathBuf>,
}

impl Watch {
    /// Watches from now on.
    ///
    /// # Errors
    /// When the system can't watch.
    pub fn start(served: &[Served]) -> anyhow::Result<Self> {
        let roots: Arc<[Root]> = served.iter().filter_map(Root::of).collect();
        let (sender, changes) = mpsc::unbounded_channel();
        let seen_by = roots.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // Reading a file is no change. The end of writing is a change.
            if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
                return;
            }
            for path in event.paths {
                if let Some(name) = seen_by.iter().find_map(|root| root.counts(&path)) {
                    // This fails only when nobody receives any more.
                    let _ = sender.send(name);
                }
            }
        });
        let watcher = watcher.map_err(|error| cannot(&error))?;
        let mut watch = Self { roots, watcher, watched: HashSet::new(), changes };
        watch.look_everywhere()?;
        Ok(watch)
    }

    /// Watches the folders that are new as well.
    fn look_everywhere(&mut self) -> anyhow::Result<()> {
        self.watched.retain(|folder| folder.exists());
        for folder in self.roots.iter().flat_map(Root::folders) {
            if self.watched.insert(folder.clone()) {
                self.watcher.watch(&folder, RecursiveMode::NonRecursive).map_err(|error| cannot(&error))?;
            }
        }
        Ok(())
    }

    /// Waits until a file of interest has changed and the changes have stopped. Returns the names.
    async fn changed(&mut self) -> BTreeSet<PathBuf> {
        let mut all = BTreeSet::new();
        loop {
            // The channel never closes, because the sender lives as long as the watcher.
            let more = if all.is_empty() {
                self.changes.recv().await
            } else {
                tokio::time::timeout(QUIET, self.changes.recv()).await.unwrap_or_default()
            };
            match more {
                Some(name) => {
                    all.insert(name);
                }
                None => return all,
            }
        }
    }

    /// Builds and serves the changes, until the worker stops.
    pub async fn serve(
        mut self,
        loader: Loader,
        served: Vec<Served>,
        mut serving: Vec<Serving>,
        backend: Arc<dyn Backend>,
        shutdown: Shutdown,
    ) {
        loop {
            let changed = tokio::select! {
                changed = self.changed() => changed,
                _ = shutdown.wait() => return,
            };
            if let Err(error) = self.look_everywhere() {
                tracing::warn!("{}", one_line(&error));
            }
            let changed = name(&changed);
            let renewed = tokio::select! {
                renewed = renew(&loader, &served, &mut serving, &*backend, &changed) => renewed,
                _ = shutdown.wait() => return,
            };
            if let Err(error) = renewed {
                tracing::error!("{}", one_line(&error));
                tracing::warn!("{changed} changed: not served; what was there before goes on");
            }
        }
    }
}

/// Serves the current components.
async fn renew(
    loader: &Loader,
    served: &[Served],
    serving: &mut [Serving],
    backend: &dyn Backend,
    changed: &str,
) -> anyhow::Result<()> {
    for Loaded { topic, handler, components } in loader.load(served).await? {
        let Some(old) = serving.iter_mut().find(|serving| serving.topic == topic) else { continue };
        let (version, infos) = (Version::of(&handler), handler.infos());
        if version == old.version {
            continue;
        }
        backend.queue().check(&topic, handler.longest_run()).await?;
        old.handler.replace(Arc::new(handler));
        old.components.set(components);
        let tasks = difference(&old.version.tasks, &version.tasks);
        tracing::info!("{changed} changed: serving topic {topic} anew: {tasks}");
        old.version = version;
        // The announcement only helps gateways, and the next change announces again.
        if let Err(error) = announce(backend, &topic, &infos).await {
            tracing::warn!("the tasks of topic {topic} are not announced: {error}");
        }
    }
    Ok(())
}

/// A text with the current tasks, and with the tasks that were added and removed.
fn difference(before: &[String], now: &[String]) -> String {
    let gone: Vec<&str> = before.iter().filter(|task| !now.contains(task)).map(String::as_str).collect();
    let mark = |task: &String| if before.contains(task) { task.clone() } else { format!("{task} (new)") };
    let now = now.iter().map(mark).collect::<Vec<_>>().join(", ");
    if gone.is_empty() { now } else { format!("{now}; gone: {}", gone.join(", ")) }
}

fn name(changed: &BTreeSet<PathBuf>) -> String {
    match changed.first() {
        Some(one) if changed.len() == 1 => one.display().to_string(),
        Some(one) => format!("{} and {} more", one.display(), changed.len() - 1),
        None => String::new(),
    }
}

fn cannot(error: &notify::Error) -> ExitError {
    ExitError::new(Exit::Fault, format!("--watch: files can't be watched: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_and_removed_tasks_are_named() {
        let tasks = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(difference(&tasks(&["a", "b"]), &tasks(&["b", "c"])), "b, c (new); gone: a");
        assert_eq!(difference(&tasks(&["a"]), &tasks(&["a"])), "a");
    }

    #[test]
    fn a_component_is_watched_by_its_file_and_a_project_by_its_sources() {
        let component = Root { folder: "/w".into(), content: Content::Component("a.wasm".into()) };
        assert!(component.counts(Path::new("/w/a.wasm")).is_some());
        assert!(component.counts(Path::new("/w/b.wasm")).is_none());
        let project = Root { folder: "/w".into(), content: Content::Sources };
        assert_eq!(project.counts(Path::new("/w/src/lib.rs")), Some("src/lib.rs".into()));
        for path in ["/w/w.wasm", "/w/.brrr/sdk/x.rs", "/w/target/x.rs", "/w", "/elsewhere/x.rs"] {
            assert!(project.counts(Path::new(path)).is_none(), "{path}");
        }
    }
}
