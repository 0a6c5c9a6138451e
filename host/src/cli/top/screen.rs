//! Draws what `top` shows: on a terminal, or as plain text.

use std::fmt::Write as _;

use brrr_protocol::model::Millis;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::{Order, Snapshot, TaskLine};
use crate::cli::output;
use crate::units::brief;

/// What the keys do.
const KEYS: &str = "q quit   sort tasks by: r runs  f failures  t time  n name   p pause";

fn ago(time: Option<Millis>) -> String {
    time.map_or_else(|| "-".to_owned(), brief)
}

/// A table: the headings, the rows, and how wide the columns are. The last column gets the rest.
struct Grid {
    title: String,
    headings: &'static [&'static str],
    widths: &'static [u16],
    rows: Vec<Vec<String>>,
}

fn topics(snapshot: &Snapshot) -> Grid {
    let row = |line: &super::TopicLine| {
        let slots = format!("{} of {}", line.running, line.slots);
        let dead = if line.dead_letters == 0 { String::new() } else { format!("{} dead letters", line.dead_letters) };
        vec![
            output::line(&line.topic),
            line.ready.to_string(),
            line.delayed.to_string(),
            ago(line.oldest_ms),
            line.workers.to_string(),
            slots,
            dead,
        ]
    };
    Grid {
        title: format!("topics ({})", snapshot.topics.len()),
        headings: &["TOPIC", "READY", "DELAYED", "OLDEST", "WORKERS", "RUNNING", ""],
        widths: &[22, 8, 8, 8, 8, 12],
        rows: snapshot.topics.iter().map(row).collect(),
    }
}

fn workers(snapshot: &Snapshot) -> Grid {
    let row = |line: &super::WorkerLine| {
        let worker = &line.worker;
        let state = if worker.stopping { " stopping" } else { "" };
        vec![
            output::line(&worker.worker),
            output::line(&line.topic),
            output::line(&worker.host),
            output::line(&worker.version),
            format!("{} of {}", worker.running, worker.slots),
            format!("{} ago{state}", brief(worker.seen_ms_ago)),
        ]
    };
    Grid {
        title: format!("workers ({})", snapshot.workers.len()),
        headings: &["WORKER", "TOPIC", "HOST", "VERSION", "RUNNING", "SEEN"],
        widths: &[16, 14, 14, 8, 11],
        rows: snapshot.workers.iter().map(row).collect(),
    }
}

fn tasks(snapshot: &Snapshot) -> Grid {
    let row = |line: &TaskLine| {
        vec![
            output::line(&line.task),
            line.running.to_string(),
            line.completed.to_string(),
            line.failed.to_string(),
            line.retried.to_string(),
            line.waits.to_string(),
            ago(line.mean_ms),
            ago(Some(line.slowest_ms)),
            line.last_failure.as_deref().map(output::line).unwrap_or_default(),
        ]
    };
    Grid {
        title: "tasks in the last minute".to_owned(),
        headings: &["TASK", "NOW", "DONE", "FAILED", "RETRIED", "WAITS", "MEAN", "MAX", "LAST FAILURE"],
        widths: &[16, 4, 6, 6, 7, 6, 7, 7],
        rows: snapshot.tasks.iter().map(row).collect(),
    }
}

/// The whole snapshot as text.
///
/// # Errors
/// Never in practice, because tables are written to memory.
pub fn text(snapshot: &Snapshot) -> anyhow::Result<String> {
    let mut text = String::new();
    for grid in [topics(snapshot), workers(snapshot), tasks(snapshot)] {
        let headings = grid.headings.iter().map(|heading| (*heading).to_owned()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(headings).chain(grid.rows).collect();
        let gap = if text.is_empty() { "" } else { "\n" };
        // Writing to a String never fails.
        let _ = write!(text, "{gap}{}\n{}", grid.title, output::table(&rows)?);
    }
    if let Some(note) = note(snapshot) {
        let _ = write!(text, "\n{note}");
    }
    Ok(text)
}

fn note(snapshot: &Snapshot) -> Option<&'static str> {
    let empty = snapshot.tasks.is_empty();
    empty.then_some("Tasks are shown by the events of workers that run with --publish-events or --http.")
}

/// Draws the snapshot on a terminal of any size. What has no room is left out at the end of each table.
pub fn draw(frame: &mut Frame<'_>, snapshot: &Snapshot, order: Order, state: &str) {
    let (topics, workers, tasks) = (topics(snapshot), workers(snapshot), tasks(snapshot));
    // A heading and a border above it, and at least one row.
    let rows = |grid: &Grid, most: u16| 2 + u16::try_from(grid.rows.len()).unwrap_or(most).clamp(1, most);
    let most = (frame.area().height / 4).saturating_sub(1).max(1);
    let [head, first, second, third, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(rows(&topics, most)),
        Constraint::Length(rows(&workers, most)),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Line::styled(format!("brrr-host top  {}  {state}", snapshot.head), bold), head);
    grid(frame, first, topics, None);
    grid(frame, second, workers, None);
    grid(frame, third, tasks, Some(order.column()));
    let note = note(snapshot).unwrap_or(KEYS);
    let note = if snapshot.tasks.is_empty() { format!("q quit   {note}") } else { note.to_owned() };
    frame.render_widget(Paragraph::new(note).style(Style::new().fg(Color::DarkGray)), foot);
}

fn grid(frame: &mut Frame<'_>, area: Rect, grid: Grid, sorted: Option<usize>) {
    let heading = |(n, text): (usize, &&'static str)| {
        let style = Style::new().add_modifier(Modifier::BOLD);
        Cell::from(*text).style(if sorted == Some(n) { style.add_modifier(Modifier::UNDERLINED) } else { style })
    };
    let headings = Row::new(grid.headings.iter().enumerate().map(heading).collect::<Vec<_>>());
    let widths = grid.widths.iter().map(|width| Constraint::Length(*width)).chain([Constraint::Min(6)]);
    let table = Table::new(grid.rows.into_iter().map(Row::new), widths)
        .header(headings)
        .block(Block::new().borders(Borders::TOP).title(grid.title));
    frame.render_widget(table, area);
}
