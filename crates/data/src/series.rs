//! Sequences: windows of a time series and contiguous streams of a text.

use crate::{DataError, Dataset, Draw};
use gradus_tensor::Tensor;

/// Windows of a time series: `window` steps are the input, the `horizon` steps after them the target.
///
/// ```
/// use gradus_data::{Dataset, Draw, SeriesWindows};
/// use gradus_tensor::Tensor;
/// let data = SeriesWindows::new(&Tensor::arange(10), 4).horizon(2);
/// assert_eq!(data.len(), 5);
/// let (x, y) = data.get(&[0, 4], Draw::default()).unwrap();
/// assert_eq!((&*x.shape(), &*y.shape()), (&[2, 4, 1][..], &[2, 2, 1][..]));
/// assert_eq!(x.to_vec::<f32>(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
/// assert_eq!(y.to_vec::<f32>(), [4.0, 5.0, 8.0, 9.0]);
/// ```
#[derive(Clone)]
pub struct SeriesWindows {
    series: Tensor,
    window: usize,
    horizon: usize,
    stride: usize,
}

impl SeriesWindows {
    /// Windows of this many steps, one beginning at each step, with one step as target.
    ///
    /// # Shapes
    /// `series`: `[T]` or `[T, features]`. An input is `[window, features]`, a target `[horizon, features]`.
    ///
    /// # Panics
    /// If the series has another number of dimensions, or `window` is 0.
    #[track_caller]
    pub fn new(series: &Tensor, window: usize) -> SeriesWindows {
        let shape = series.shape();
        assert!(matches!(shape.len(), 1 | 2), "SeriesWindows: needs [T] or [T, features], got the shape {shape}");
        assert!(window > 0, "SeriesWindows: a window holds at least one step");
        let series = if shape.len() == 1 { series.unsqueeze(1) } else { series.clone() };
        SeriesWindows { series: series.contiguous(), window, horizon: 1, stride: 1 }
    }

    /// How many steps are to be foretold.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn horizon(mut self, steps: usize) -> SeriesWindows {
        assert!(steps > 0, "SeriesWindows: the target holds at least one step");
        self.horizon = steps;
        self
    }

    /// How many steps the windows are apart.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn stride(mut self, steps: usize) -> SeriesWindows {
        assert!(steps > 0, "SeriesWindows: windows are at least one step apart");
        self.stride = steps;
        self
    }
}

impl Dataset for SeriesWindows {
    fn len(&self) -> usize {
        match (self.series.size(0) + 1).checked_sub(self.window + self.horizon) {
            Some(starts) => starts.div_ceil(self.stride),
            None => 0,
        }
    }

    fn get(&self, indices: &[usize], _: Draw) -> Result<(Tensor, Tensor), DataError> {
        let part = |offset: usize, steps: usize| {
            let rows = indices.iter().flat_map(|&i| (0..steps).map(move |s| (i * self.stride + offset + s) as i64));
            let index = Tensor::from_vec(rows.collect(), [indices.len() * steps]);
            // [N * steps, features] -> [N, steps, features]
            self.series.index_select(0, &index).reshape([indices.len(), steps, self.series.size(1)])
        };
        Ok((part(0, self.window), part(self.window, self.horizon)))
    }
}

/// A sequence cut into `n_streams` contiguous streams that are read side by side, `seq_len` steps at a time.
///
/// Batch b holds in row s the steps b * seq_len .. (b + 1) * seq_len of stream s, so row s of a batch goes on
/// where row s of the batch before stopped, and a recurrent state can be carried over. Because of that the
/// batches must come in this order; shuffling them is right only for a model that starts each batch afresh.
/// Targets are the inputs one step later. The streams are as long as whole batches need; what is left of
/// the sequence is not used.
///
/// ```
/// use gradus_data::StreamBatches;
/// let data: Vec<i64> = (1..=12).collect();
/// let streams = StreamBatches::new(data, 2, 3);
/// assert_eq!(streams.inputs(0).to_vec::<i64>(), [1, 2, 3, 7, 8, 9]);
/// ```
#[derive(Clone, Debug)]
pub struct StreamBatches {
    data: Vec<i64>,
    n_streams: usize,
    seq_len: usize,
}

impl StreamBatches {
    /// Streams of these ids.
    ///
    /// # Panics
    /// If `n_streams` or `seq_len` is 0.
    #[track_caller]
    pub fn new(data: Vec<i64>, n_streams: usize, seq_len: usize) -> StreamBatches {
        assert!(n_streams > 0 && seq_len > 0, "StreamBatches: {n_streams} streams of {seq_len} steps hold nothing");
        StreamBatches { data, n_streams, seq_len }
    }

    /// Steps of each stream.
    fn stream(&self) -> usize {
        self.data.len() / self.n_streams / self.seq_len * self.seq_len
    }

    /// Number of batches.
    pub fn len(&self) -> usize {
        self.stream() / self.seq_len
    }

    /// Whether the sequence is too short for one batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The inputs of a batch, [n_streams, seq_len].
    ///
    /// # Panics
    /// If there is no such batch.
    #[track_caller]
    pub fn inputs(&self, batch: usize) -> Tensor {
        self.window(batch, 0)
    }

    /// The targets of a batch: its inputs one step later, [n_streams, seq_len].
    ///
    /// The last step of the last stream has the first id of the sequence as its target if nothing follows it.
    ///
    /// # Panics
    /// If there is no such batch.
    #[track_caller]
    pub fn targets(&self, batch: usize) -> Tensor {
        self.window(batch, 1)
    }

    #[track_caller]
    fn window(&self, batch: usize, shift: usize) -> Tensor {
        assert!(batch < self.len(), "StreamBatches: batch {batch} of {}", self.len());
        let from = |s: usize| s * self.stream() + batch * self.seq_len + shift;
        let steps = (0..self.n_streams).flat_map(|s| from(s)..from(s) + self.seq_len);
        let ids = steps.map(|i| self.data[i % self.data.len()]).collect();
        Tensor::from_vec(ids, [self.n_streams, self.seq_len])
    }

    /// Inputs and targets of all batches in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Tensor, Tensor)> + '_ {
        (0..self.len()).map(|b| (self.inputs(b), self.targets(b)))
    }
}

/// Inputs and targets of a sequence model: all but the last, and all but the first.
///
/// ```
/// let (x, y) = gradus_data::shifted(&[5, 6, 7]);
/// assert_eq!((x, y), (&[5, 6][..], &[6, 7][..]));
/// ```
pub fn shifted<T>(data: &[T]) -> (&[T], &[T]) {
    (&data[..data.len().saturating_sub(1)], data.get(1..).unwrap_or(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_items_in_two_streams_of_three_steps() {
        let streams = StreamBatches::new((1..=12).collect(), 2, 3);
        let seen: Vec<(Vec<i64>, Vec<i64>)> = streams.iter().map(|(x, y)| (x.to_vec(), y.to_vec())).collect();
        assert_eq!(streams.inputs(0).shape(), [2, 3]);
        assert_eq!(
            seen,
            [(vec![1, 2, 3, 7, 8, 9], vec![2, 3, 4, 8, 9, 10]), (vec![4, 5, 6, 10, 11, 12], vec![5, 6, 7, 11, 12, 1]),]
        );
        // The tail that fills no batch is not used: 2 streams of 3 steps again.
        let streams = StreamBatches::new((1..=11).collect(), 2, 3);
        assert_eq!((streams.len(), streams.inputs(0).to_vec::<i64>()), (1, vec![1, 2, 3, 4, 5, 6]));
        assert!(StreamBatches::new(vec![1, 2], 3, 1).is_empty() && StreamBatches::new(vec![], 1, 1).is_empty());
    }

    #[test]
    fn windows_cover_the_series_and_no_more() {
        let series = Tensor::arange(14).reshape([7, 2]);
        let data = SeriesWindows::new(&series, 3).stride(2);
        assert_eq!(data.len(), 2);
        let (x, y) = data.get(&[1], Draw::default()).unwrap();
        assert_eq!((x.to_vec::<f32>(), y.to_vec::<f32>()), (vec![4., 5., 6., 7., 8., 9.], vec![10., 11.]));
        assert_eq!(SeriesWindows::new(&series, 7).len(), 0);
        assert_eq!(SeriesWindows::new(&series, 6).len(), 1);
        assert_eq!(SeriesWindows::new(&series, 9).horizon(4).len(), 0);
    }
}
