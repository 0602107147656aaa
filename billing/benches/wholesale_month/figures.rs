//! Figures of the process, and ratios without floating point.

use crate::Outcome;

/// `above / below` with two decimals, rounded down.
pub fn decimal(above: u128, below: u128) -> String {
    let hundredths = above * 100 / below.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The most memory that the process has held since [`reset_peak_memory`], in MB.
pub fn peak_memory_mb() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes.div_ceil(1_024))
}

/// Where the kernel does not allow it, the peak is that of the whole process: an upper bound.
pub fn reset_peak_memory() {
    std::fs::write("/proc/self/clear_refs", "5").ok();
}

/// Processor time of the process so far, in ticks of 10 ms.
pub fn processor_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may contain blanks: state, then eleven numbers, then user and system time.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}
