//! Measures time, and prints figures.

use std::time::{Duration, Instant};

pub fn section(title: &str) {
    println!("\n# {title}");
}

pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// CPU time that all threads of this process have used until now.
pub fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The cost of one piece of work.
#[derive(Clone, Copy)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
}

pub async fn cost(work: impl Future<Output = ()>) -> Cost {
    let (wall, before) = (Instant::now(), cpu());
    work.await;
    Cost { wall: wall.elapsed(), cpu: cpu() - before }
}

/// The median by wall-clock time.
pub fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by_key(|c| c.wall);
    costs[costs.len() / 2]
}

/// Prints one line: the cost of the whole work, and of one call.
pub fn report(name: &str, calls: u64, cost: Cost) {
    let (wall, cpu) = (cost.wall.as_secs_f64(), cost.cpu.as_secs_f64());
    println!(
        "{name:<44} {:>8.1} ms   {:>8.0} calls/s   {:>7.1} µs CPU a call",
        wall * 1e3,
        calls as f64 / wall,
        cpu * 1e6 / calls as f64,
    );
}
