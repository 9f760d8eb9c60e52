//! Everything a run needs to go on as if it had never been cut off.
//!
//! It lies in `last.safetensors` beside the weights, in entries of their own, so that one rename replaces all of it.

use crate::callback::Progress;
use crate::error::{Result, TrainError};
use crate::metrics::{EpochMetrics, RegressionScores, Running};
use gradus_nn::serialize::StateDict;
use gradus_tensor::{RngState, Tensor, rng_state, set_rng_state};
use std::path::PathBuf;

/// What the names of these entries begin with.
pub const PREFIX: &str = "gradus.resume/";
/// Numbers of one epoch.
const COLUMNS: usize = 12;

/// The optimiser's state, the averaged weights, the generator's state, the place in the data and the metrics so far.
pub struct Snapshot {
    path: PathBuf,
    state: StateDict,
}

/// The entries of a run as it stands.
pub(crate) fn entries(at: &Progress) -> StateDict {
    let rng = rng_state();
    let counts = [at.epoch, at.batch, at.step, usize::from(at.finished)].map(|n| n as i64);
    let counts: Vec<i64> = counts.into_iter().chain([rng.seed as i64, rng.draws as i64]).collect();
    let running = [&at.running.sums()[..], &[at.lr]].concat();
    let history: Vec<f64> = at.history.iter().flat_map(row).collect();
    let mut state = StateDict::new();
    let mut insert = |name: &str, t: Tensor| drop(state.insert(format!("{PREFIX}{name}"), t));
    insert("counts", Tensor::from_vec(counts, [6]));
    insert("running", Tensor::from_vec(running, [7]));
    insert("history", Tensor::from_vec(history, [at.history.len(), COLUMNS]));
    for (name, t) in at.optimizer.borrow().state_dict().iter() {
        insert(&format!("optimizer/{name}"), t.clone());
    }
    if let Some(average) = &*at.average.borrow() {
        for (name, t) in average.state_dict().iter() {
            insert(&format!("average/{name}"), t.clone());
        }
    }
    state
}

/// The numbers of an epoch, exactly; what there is none of is NaN.
fn row(m: &EpochMetrics) -> [f64; COLUMNS] {
    let [train, val] = [m.train_accuracy, m.val_accuracy].map(|a| a.unwrap_or(f64::NAN));
    let none = RegressionScores { mse: f64::NAN, mae: f64::NAN, r2: f64::NAN };
    let e = m.val_errors.unwrap_or(none);
    let miou = m.val_miou.unwrap_or(f64::NAN);
    let (epoch, batch_loss) = (m.epoch as f64, m.train_batch_loss);
    [epoch, m.lr, m.train_loss, batch_loss, train, m.val_loss, val, m.seconds, e.mse, e.mae, e.r2, miou]
}

fn from_row(r: &[f64]) -> EpochMetrics {
    let some = |x: f64| (!x.is_nan()).then_some(x);
    EpochMetrics {
        epoch: r[0] as usize,
        lr: r[1],
        train_loss: r[2],
        train_batch_loss: r[3],
        train_accuracy: some(r[4]),
        val_loss: r[5],
        val_accuracy: some(r[6]),
        val_errors: some(r[8]).map(|mse| RegressionScores { mse, mae: r[9], r2: r[10] }),
        val_miou: some(r[11]),
        seconds: r[7],
    }
}

impl Snapshot {
    /// Takes the entries of a snapshot out of what a checkpoint holds; nothing if it has none.
    pub(crate) fn take(path: PathBuf, all: &mut StateDict) -> Option<Snapshot> {
        let names: Vec<String> = all.names().filter(|n| n.starts_with(PREFIX)).map(str::to_string).collect();
        let mut state = StateDict::new();
        for name in names {
            let tensor = all.remove(&name)?;
            state.insert(&name[PREFIX.len()..], tensor);
        }
        (!state.is_empty()).then_some(Snapshot { path, state })
    }

    /// Puts everything back; the weights are there already.
    pub(crate) fn restore(&self, at: &mut Progress) -> Result<()> {
        let counts = self.numbers::<i64>("counts", 6)?;
        let running = self.numbers::<f64>("running", 7)?;
        let history = self.entry("history")?;
        let shape = history.shape();
        if shape.len() != 2 || shape[1] != COLUMNS {
            return Err(self.wrong(format!("`history` has the shape {shape}")));
        }
        at.history = history.to_vec::<f64>().chunks_exact(COLUMNS).map(from_row).collect();
        [at.epoch, at.batch, at.step] = [0, 1, 2].map(|i| counts[i].max(0) as usize);
        // An epoch that was cut off is begun again, at its next batch.
        at.epoch -= usize::from(at.batch > 0).min(at.epoch);
        at.finished = counts[3] != 0;
        at.lr = running[6];
        at.running = Running::from_sums([0, 1, 2, 3, 4, 5].map(|i| running[i]));
        let optimizer = self.part("optimizer/");
        at.optimizer.borrow_mut().load_state_dict(&optimizer).map_err(|e| self.wrong(format!("optimizer: {e}")))?;
        if let Some(average) = &mut *at.average.borrow_mut() {
            let averaged = self.part("average/");
            average.load_state_dict(&averaged).map_err(|e| self.wrong(format!("averaged weights: {e}")))?;
        }
        set_rng_state(RngState { seed: counts[4] as u64, draws: counts[5] as u64 });
        Ok(())
    }

    fn part(&self, prefix: &str) -> StateDict {
        let named = self.state.iter().filter_map(|(n, t)| Some((n.strip_prefix(prefix)?.to_string(), t.clone())));
        named.collect()
    }

    fn entry(&self, name: &str) -> Result<&Tensor> {
        self.state.get(name).ok_or_else(|| self.wrong(format!("`{name}` is missing from its state of training")))
    }

    fn numbers<T: gradus_tensor::Element>(&self, name: &str, count: usize) -> Result<Vec<T>> {
        let t = self.entry(name)?;
        match t.dtype() == T::DTYPE && t.numel() == count {
            true => Ok(t.to_vec::<T>()),
            false => Err(self.wrong(format!(
                "`{name}` holds {} elements of {}, expected {count} of {}; it may be of another version of Gradus",
                t.numel(),
                t.dtype(),
                T::DTYPE
            ))),
        }
    }

    fn wrong(&self, reason: String) -> TrainError {
        TrainError::Checkpoint { path: self.path.clone(), reason }
    }
}
