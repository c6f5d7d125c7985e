//! What Prometheus' own clients tell of a process, under their names: processor time, memory, descriptors, threads, its
//! beginning. Read from /proc at each scrape; what cannot be read is left out.

use std::fs;
use std::time::SystemTime;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge, Registry, Result};
use rustix::process::{Resource, getrlimit};

use crate::time::unix_seconds;

/// Ticks a second in /proc: USER_HZ, which is 100 on every processor that this is built for (proc_pid_stat(5)).
const TICKS: f64 = 100.0;

struct Process(Mutex<Told>);

struct Told {
    cpu: Counter,
    resident: IntGauge,
    virtual_memory: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    threads: IntGauge,
    start: IntGauge,
}

/// Registers them. Errors: a name is there already.
pub(super) fn register(registry: &Registry) -> Result<()> {
    let told = Told {
        cpu: Counter::new(
            "process_cpu_seconds_total",
            "Processor time in seconds, user and system.",
        )?,
        resident: IntGauge::new("process_resident_memory_bytes", "Memory that is in RAM.")?,
        virtual_memory: IntGauge::new("process_virtual_memory_bytes", "Address space.")?,
        open_fds: IntGauge::new("process_open_fds", "Open file descriptors: files, sockets.")?,
        max_fds: IntGauge::new("process_max_fds", "File descriptors that may be open.")?,
        threads: IntGauge::new("process_threads", "Threads.")?,
        start: IntGauge::new("process_start_time_seconds", "Unix time at which the process began.")?,
    };
    told.start
        .set(i64::try_from(unix_seconds(SystemTime::now())).unwrap_or_default());
    registry.register(Box::new(Process(Mutex::new(told))))
}

impl Told {
    fn all(&self) -> [&dyn Collector; 7] {
        [
            &self.cpu,
            &self.resident,
            &self.virtual_memory,
            &self.open_fds,
            &self.max_fds,
            &self.threads,
            &self.start,
        ]
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        // What stands behind a lock cannot be lent; a registry needs names only to find the same one twice.
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let told = self.0.lock();
        let read = |name| fs::read_to_string(name).ok();
        let ticks = read("/proc/self/stat").as_deref().and_then(ticks);
        if let Some(ticks) = ticks {
            told.cpu.inc_by((ticks as f64 / TICKS - told.cpu.get()).max(0.0));
        }
        let status = read("/proc/self/status").unwrap_or_default();
        let [resident, address_space, threads] = [
            ("VmRSS:", &told.resident),
            ("VmSize:", &told.virtual_memory),
            ("Threads:", &told.threads),
        ]
        .map(|(name, gauge)| {
            let value = number(&status, name);
            gauge.set(value.unwrap_or_default());
            value.is_some()
        });
        // One of them is that of the folder itself.
        let open = fs::read_dir("/proc/self/fd")
            .ok()
            .map(|fds| fds.count().saturating_sub(1));
        if let Some(open) = open {
            told.open_fds.set(open as i64);
        }
        let most = getrlimit(Resource::Nofile).current;
        told.max_fds
            .set(most.and_then(|most| i64::try_from(most).ok()).unwrap_or(i64::MAX));
        let is_known = [
            ticks.is_some(),
            resident,
            address_space,
            open.is_some(),
            true,
            threads,
            true,
        ];
        let known = told.all().into_iter().zip(is_known).filter(|(_, is_known)| *is_known);
        known.flat_map(|(metric, _)| metric.collect()).collect()
    }
}

/// Of /proc/self/stat: those spent in user mode and in the kernel.
fn ticks(text: &str) -> Option<u64> {
    // The name, in brackets, may hold anything; the field behind it is the third.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(14 - 3);
    let [user, system] = [fields.next()?, fields.next()?].map(str::parse::<u64>);
    user.ok()?.checked_add(system.ok()?)
}

/// Of /proc/self/status (proc_pid_status(5)); kilobytes in bytes.
fn number(text: &str, name: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?.trim();
    match line.strip_suffix(" kB") {
        Some(kilobytes) => kilobytes.parse::<i64>().ok()?.checked_mul(1024),
        None => line.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read_whatever_the_name() {
        let line = "71 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 140 15 16 17 18 19 20 0 22 2300 24 25";
        assert_eq!(ticks(line), Some(155));
        assert_eq!((ticks("71 (a) S 1 2"), ticks("")), (None, None));
        let status = "Name:\tThreads: 9\nVmRSS:\t    12 kB\nThreads:\t4\n";
        assert_eq!(
            (number(status, "VmRSS:"), number(status, "Threads:")),
            (Some(12_288), Some(4))
        );
        assert_eq!(number(status, "VmSize:"), None);
    }
}
