//! What the server's process spent, read from `/proc`.

use std::fs;
use std::io;

/// CPU time and bytes sent to the disk, of one process and all its threads.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) cpu_seconds: f64,
    pub(crate) bytes_written: u64,
}

/// `/proc/PID/stat` counts in hundredths of a second on every Linux that Steward runs on (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

impl Spent {
    /// Since the process started.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field is the program's name in parentheses and may hold anything; fields are counted from its end.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok()).map(f64::from);
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat has an unknown form")));
        };
        let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
        let bytes_written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
        let bytes_written =
            bytes_written.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/io has no write_bytes")))?;
        Ok(Self { cpu_seconds: (user + system) / TICKS_PER_SECOND, bytes_written })
    }

    /// What was spent since an earlier reading.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - earlier.cpu_seconds,
            bytes_written: self.bytes_written.saturating_sub(earlier.bytes_written),
        }
    }
}

/// What this process holds in memory.
pub(crate) fn resident_mb() -> io::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u32>().ok());
    let kilobytes = kilobytes.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self/status has no VmRSS"))?;
    Ok((f64::from(kilobytes) / 102.4).round() / 10.0)
}
