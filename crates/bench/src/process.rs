//! What the operating system knows about this process. On other systems than Linux nothing is known.

use std::fs;

/// The highest resident size so far, in megabytes (2^20 bytes).
pub fn peak_rss_mb() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    let kb: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((kb / 102.4).round() / 10.0)
}

/// Begins to measure [`peak_rss_mb`] anew; whether the system allows it.
pub fn reset_peak_rss() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Page faults of all threads that needed no disk.
pub fn page_faults() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold blanks; after it come state, five numbers, flags and the count.
    stat.rsplit_once(')')?.1.split_whitespace().nth(7)?.parse().ok()
}

/// What the processor calls itself.
pub fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_string(), |(_, name)| name.trim().to_string())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn touching_memory_is_seen() {
        let (faults, peak) = (page_faults().unwrap(), peak_rss_mb().unwrap());
        let bytes = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(page_faults().unwrap() > faults, "{} bytes", bytes.len());
        assert!(peak_rss_mb().unwrap() > peak.min(60.0));
        assert!(!cpu().is_empty());
    }
}
