//! Readings kept in a file, to compare later ones with.

use crate::machine::Machine;
use crate::measure::Reading;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Readings of one run and where they were made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The version of Gradus.
    pub gradus: String,
    /// Where it ran.
    pub machine: Machine,
    /// What was measured.
    pub readings: Vec<Reading>,
}

/// How a reading compares with an earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// The middle halves of the steps overlap.
    WithinNoise,
    /// Three quarters of the steps are faster than three quarters of the earlier ones.
    Faster,
    /// Three quarters of the steps are slower than three quarters of the earlier ones.
    Slower,
}

impl Change {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Change::WithinNoise => "within noise",
            Change::Faster => "faster",
            Change::Slower => "slower",
        }
    }
}

impl Baseline {
    /// The readings of this machine.
    pub fn here(readings: Vec<Reading>) -> Baseline {
        Baseline { gradus: env!("CARGO_PKG_VERSION").to_string(), machine: Machine::here(), readings }
    }

    /// Reads what [`Baseline::save`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read or is none; the message names it.
    pub fn load(path: &Path) -> Result<Baseline, String> {
        let text =
            std::fs::read_to_string(path).map_err(|e| format!("cannot read the baseline `{}`: {e}", path.display()))?;
        serde_json::from_str(&text)
            .map_err(|e| format!("`{}` is no baseline of `gradus bench --save`: {e}", path.display()))
    }

    /// Writes a file for [`Baseline::load`].
    ///
    /// # Errors
    /// If it cannot be written; the message names it.
    pub fn save(&self, path: &Path) -> Result<(), String> {
        let write = |file: &mut BufWriter<File>| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            writeln!(file)
        };
        gradus_tensor::io::atomic_write(path, write)
            .map_err(|e| format!("cannot write the baseline `{}`: {e}", path.display()))
    }

    /// The ratio of `reading` to the earlier one (below 1: faster now), and whether the difference means anything.
    /// `None` if the baseline lacks this workload and phase.
    pub fn compare(&self, reading: &Reading) -> Option<(f64, Change)> {
        let same = |r: &&Reading| r.workload == reading.workload && r.phase == reading.phase;
        let earlier = self.readings.iter().find(same)?;
        let change = if reading.ms_q3 < earlier.ms_q1 {
            Change::Faster
        } else if reading.ms_q1 > earlier.ms_q3 {
            Change::Slower
        } else {
            Change::WithinNoise
        };
        Some((reading.ms_median / earlier.ms_median, change))
    }

    /// What differs between the baseline's machine and this one, in words; empty if nothing does.
    pub fn elsewhere(&self) -> Vec<String> {
        let (then, now) = (&self.machine, Machine::here());
        let number = |what: &str, a: usize, b: usize| (a != b).then(|| format!("{what} {a}, now {b}"));
        let word = |what: &str, a: &str, b: &str| (a != b).then(|| format!("{what} {a}, now {b}"));
        [
            word("processor", &then.cpu, &now.cpu),
            number("cores", then.cores, now.cores),
            number("threads", then.threads, now.threads),
            word("instruction set", &then.simd, &now.simd),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Phase;

    fn reading(q1: f64, median: f64, q3: f64) -> Reading {
        Reading {
            workload: "w01".into(),
            phase: Phase::Train,
            ms_median: median,
            ms_min: q1,
            ms_q1: q1,
            ms_q3: q3,
            n: 10,
            peak_rss_mb: None,
            faults_step: Some(0.5),
            params: 3,
            gflop: 2.0,
            first: Some(1.0),
            last: None,
        }
    }

    #[test]
    fn a_difference_counts_where_the_middle_halves_are_apart() {
        let then = Baseline::here(vec![reading(9.0, 10.0, 11.0)]);
        assert_eq!(then.compare(&reading(7.0, 8.0, 8.9)), Some((0.8, Change::Faster)));
        assert_eq!(then.compare(&reading(7.0, 8.0, 9.1)), Some((0.8, Change::WithinNoise)));
        assert_eq!(then.compare(&reading(11.1, 12.0, 13.0)), Some((1.2, Change::Slower)));
        let other = Reading { phase: Phase::Infer, ..reading(1.0, 2.0, 3.0) };
        assert_eq!(then.compare(&other), None);
    }

    #[test]
    fn rates_follow_from_operations_and_time() {
        let r = reading(9.0, 10.0, 11.0);
        assert_eq!((r.gflops(), r.spread()), (Some(200.0), 0.2));
        assert_eq!(Reading { gflop: 0.0, ..r }.gflops(), None);
    }

    #[test]
    fn files_come_back_and_say_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.json");
        let mut then = Baseline::here(vec![reading(9.0, 10.0, 11.0)]);
        then.save(&path).unwrap();
        assert_eq!(Baseline::load(&path).unwrap(), then);
        assert_eq!(then.elsewhere(), Vec::<String>::new());
        then.machine.threads += 1;
        assert!(then.elsewhere()[0].starts_with("threads "), "{:?}", then.elsewhere());
        std::fs::write(&path, "{}").unwrap();
        assert!(Baseline::load(&path).unwrap_err().contains("b.json` is no baseline"));
        assert!(Baseline::load(&dir.path().join("none")).unwrap_err().contains("cannot read"));
        assert!(then.save(&dir.path().join("no/where")).unwrap_err().contains("cannot write"));
    }
}
