//! Sequences of different lengths in one batch, without padding between their elements.

use gradus_tensor::{Tensor, fail};

/// Sequences of different lengths: the elements of all first steps, then those of all second steps, ...,
/// the longest sequence first within each step.
///
/// Made by [`pack_padded_sequence`] or [`pack_sequence`], read by
/// [`Recurrent::forward_packed`](super::Recurrent::forward_packed).
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.PackedSequence.html>.
///
/// ```
/// use gradus_nn::{GRU, pack_sequence, pad_packed_sequence};
/// use gradus_tensor::Tensor;
/// let words = [Tensor::randn([2, 3]), Tensor::randn([4, 3])];
/// let packed = pack_sequence(&words, false);
/// assert_eq!(packed.batch_sizes, [2, 2, 1, 1]);
/// let (y, h) = GRU::new(3, 5).forward_packed(&packed, None);
/// let (padded, lengths) = pad_packed_sequence(&y, true, 0.0, None);
/// assert_eq!(padded.shape(), [2, 4, 5]);
/// assert_eq!(lengths, [2, 4]);
/// assert_eq!(h.at(&[0, 0, 1]), padded.at(&[0, 1, 1])); // each sequence's own last step
/// ```
#[derive(Clone, Debug)]
pub struct PackedSequence {
    /// `[sum of lengths, ...]`
    pub data: Tensor,
    /// Number of sequences that have each step.
    pub batch_sizes: Vec<usize>,
    /// The sequences from longest to shortest, as they are packed; `None` if they came in that order.
    pub sorted_indices: Option<Vec<usize>>,
    /// Where each sequence stands among the packed ones; `None` if they came in that order.
    pub unsorted_indices: Option<Vec<usize>>,
}

impl PackedSequence {
    /// The lengths of the sequences, in the order in which they came.
    pub fn lengths(&self) -> Vec<usize> {
        let batch = self.batch_sizes.first().copied().unwrap_or(0);
        let sorted: Vec<usize> = (0..batch).map(|i| self.batch_sizes.iter().filter(|&&n| n > i).count()).collect();
        self.unsorted_indices.as_ref().map_or(sorted.clone(), |at| at.iter().map(|&i| sorted[i]).collect())
    }
}

/// The positions `order` of dimension `dim`.
pub(super) fn picked(t: &Tensor, dim: isize, order: &[usize]) -> Tensor {
    let order: Vec<i64> = order.iter().map(|&i| i as i64).collect();
    t.index_select(dim, &Tensor::from_slice(&order, [order.len()]))
}

/// Packs a padded batch: `[T, N, ...]`, or `[N, T, ...]` with `batch_first`, of which sequence n has `lengths[n]`
/// steps.
///
/// With `enforce_sorted`, the lengths must not increase; without, the sequences are packed from the longest to the
/// shortest and their order is remembered.
///
/// # Panics
/// If there is not one length a sequence, a length is 0 or larger than T, or they increase against
/// `enforce_sorted`.
///
/// Source: PyTorch,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html>.
///
/// ```
/// use gradus_nn::pack_padded_sequence;
/// use gradus_tensor::Tensor;
/// let x = Tensor::arange(6).reshape([2, 3]); // two sequences of at most three numbers
/// let packed = pack_padded_sequence(&x, &[1, 3], true, false);
/// assert_eq!(packed.data.to_vec::<f32>(), [3.0, 0.0, 4.0, 5.0]);
/// assert_eq!(packed.batch_sizes, [2, 1, 1]);
/// ```
#[track_caller]
pub fn pack_padded_sequence(
    input: &Tensor,
    lengths: &[usize],
    batch_first: bool,
    enforce_sorted: bool,
) -> PackedSequence {
    const OP: &str = "pack_padded_sequence";
    if input.rank() < 2 {
        fail(OP, format_args!("needs a batch of sequences, got {}", input.shape()));
    }
    let input = if batch_first { input.transpose(0, 1) } else { input.clone() };
    let (steps, batch) = (input.size(0), input.size(1));
    if lengths.len() != batch || batch == 0 {
        fail(OP, format_args!("needs one length for each of {batch} sequences, got {}", lengths.len()));
    }
    if let Some(n) = lengths.iter().position(|&l| l == 0 || l > steps) {
        fail(OP, format_args!("length {} of sequence {n} is not in 1..={steps}", lengths[n]));
    }
    let sorted = lengths.is_sorted_by(|a, b| a >= b);
    if enforce_sorted && !sorted {
        fail(OP, format_args!("the lengths {lengths:?} increase: sort the sequences, or pass enforce_sorted = false"));
    }
    let mut order: Vec<usize> = (0..batch).collect();
    order.sort_by_key(|&n| std::cmp::Reverse(lengths[n]));
    let longest = lengths[order[0]];
    let size_at = |t: usize| order.iter().take_while(|&&n| lengths[n] > t).count();
    let batch_sizes: Vec<usize> = (0..longest).map(size_at).collect();
    let at = |(t, &size): (usize, &usize)| order[..size].iter().map(move |&n| t * batch + n).collect::<Vec<_>>();
    let rows: Vec<usize> = batch_sizes.iter().enumerate().flat_map(at).collect();
    // (T, N, ...) -> (T * N, ...)
    let mut shape = vec![steps * batch];
    shape.extend_from_slice(&input.shape()[2..]);
    let data = picked(&input.reshape(shape), 0, &rows);
    if enforce_sorted {
        return PackedSequence { data, batch_sizes, sorted_indices: None, unsorted_indices: None };
    }
    let mut places = vec![0; batch];
    order.iter().enumerate().for_each(|(i, &n)| places[n] = i);
    PackedSequence { data, batch_sizes, sorted_indices: Some(order), unsorted_indices: Some(places) }
}

/// Packs sequences `[length, ...]` of different lengths; see [`pack_padded_sequence`].
///
/// # Panics
/// If there is none, one is empty, they differ in more than their lengths, or their lengths increase against
/// `enforce_sorted`.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_sequence.html>.
///
/// ```
/// use gradus_nn::pack_sequence;
/// use gradus_tensor::Tensor;
/// let packed = pack_sequence(&[Tensor::ones([3]), Tensor::zeros([1])], true);
/// assert_eq!(packed.data.to_vec::<f32>(), [1.0, 0.0, 1.0, 1.0]);
/// ```
#[track_caller]
pub fn pack_sequence(sequences: &[Tensor], enforce_sorted: bool) -> PackedSequence {
    let lengths: Vec<usize> = sequences.iter().map(|s| s.shape().first().copied().unwrap_or(0)).collect();
    pack_padded_sequence(&pad_sequence(sequences, false, 0.0), &lengths, false, enforce_sorted)
}

/// The padded batch of packed sequences, in the order in which they came, and their lengths. Steps after the end
/// of a sequence are filled with `padding_value`, up to `total_length` steps or those of the longest.
///
/// # Shapes
/// -> `[T, N, ...]`, or `[N, T, ...]` with `batch_first`
///
/// # Panics
/// If `total_length` is less than the longest sequence's.
///
/// Source: PyTorch,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_packed_sequence.html>.
///
/// ```
/// use gradus_nn::{pack_sequence, pad_packed_sequence};
/// use gradus_tensor::Tensor;
/// let packed = pack_sequence(&[Tensor::ones([1]), Tensor::ones([2])], false);
/// let (padded, lengths) = pad_packed_sequence(&packed, true, -1.0, Some(3));
/// assert_eq!(padded.to_vec::<f32>(), [1.0, -1.0, -1.0, 1.0, 1.0, -1.0]);
/// assert_eq!(lengths, [1, 2]);
/// ```
#[track_caller]
pub fn pad_packed_sequence(
    sequence: &PackedSequence,
    batch_first: bool,
    padding_value: f64,
    total_length: Option<usize>,
) -> (Tensor, Vec<usize>) {
    let (sizes, longest) = (&sequence.batch_sizes, sequence.batch_sizes.len());
    let steps = total_length.unwrap_or(longest);
    if steps < longest {
        let message = format_args!("total_length {steps} is less than the longest sequence's length {longest}");
        fail("pad_packed_sequence", message);
    }
    let batch = sizes.first().copied().unwrap_or(0);
    let data = &sequence.data;
    // One more row, which every missing element is a copy of.
    let missing = data.size(0);
    let mut shape = data.shape().to_vec();
    shape[0] = 1;
    let rows = Tensor::cat(&[data, &Tensor::full_of(&shape[..], padding_value, data.dtype())], 0);
    let place = |n: usize| sequence.unsorted_indices.as_ref().map_or(n, |at| at[n]);
    let mut from = Vec::with_capacity(steps * batch);
    let mut start = 0;
    for t in 0..steps {
        let size = sizes.get(t).copied().unwrap_or(0);
        from.extend((0..batch).map(|n| if place(n) < size { start + place(n) } else { missing }));
        start += size;
    }
    // (T * N, ...) -> (T, N, ...)
    shape[0] = steps;
    shape.insert(1, batch);
    let padded = picked(&rows, 0, &from).reshape(shape);
    (if batch_first { padded.transpose(0, 1) } else { padded }, sequence.lengths())
}

/// Sequences `[length, ...]` as one batch, the shorter ones filled with `padding_value` at the end.
///
/// # Shapes
/// -> `[T, N, ...]`, or `[N, T, ...]` with `batch_first`, for the longest length T
///
/// # Panics
/// If there is none, or they differ in more than their lengths.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_sequence.html>.
///
/// ```
/// use gradus_nn::pad_sequence;
/// use gradus_tensor::Tensor;
/// let x = pad_sequence(&[Tensor::ones([1]), Tensor::ones([2])], true, 9.0);
/// assert_eq!(x.to_vec::<f32>(), [1.0, 9.0, 1.0, 1.0]);
/// ```
#[track_caller]
pub fn pad_sequence(sequences: &[Tensor], batch_first: bool, padding_value: f64) -> Tensor {
    const OP: &str = "pad_sequence";
    let Some(first) = sequences.first() else { fail(OP, "there are no sequences") };
    if let Some(odd) = sequences.iter().find(|s| s.rank() == 0 || s.shape()[1..] != first.shape()[1..]) {
        let message =
            format_args!("sequences may differ in their first dimension only: {}, {}", first.shape(), odd.shape());
        fail(OP, message);
    }
    let longest = sequences.iter().map(|s| s.size(0)).max().unwrap_or(0);
    let padded = sequences.iter().map(|s| {
        let mut shape = s.shape().to_vec();
        shape[0] = longest - s.size(0);
        Tensor::cat(&[s, &Tensor::full_of(shape, padding_value, s.dtype())], 0)
    });
    Tensor::stack(&padded.collect::<Vec<_>>().iter().collect::<Vec<_>>(), isize::from(!batch_first))
}

/// The sequences of a padded batch, each cut to its length: undoes [`pad_sequence`].
///
/// # Panics
/// If there is not one length a sequence, or a length is larger than T.
///
/// ```
/// use gradus_nn::{pad_sequence, unpad_sequence};
/// use gradus_tensor::Tensor;
/// let padded = pad_sequence(&[Tensor::ones([1]), Tensor::ones([2])], false, 0.0);
/// assert_eq!(unpad_sequence(&padded, &[1, 2], false)[0].shape(), [1]);
/// ```
#[track_caller]
pub fn unpad_sequence(padded: &Tensor, lengths: &[usize], batch_first: bool) -> Vec<Tensor> {
    let batch = isize::from(!batch_first);
    if padded.rank() < 2 || padded.size(batch) != lengths.len() {
        let message = format_args!("needs one length a sequence of {}, got {}", padded.shape(), lengths.len());
        fail("unpad_sequence", message);
    }
    lengths.iter().enumerate().map(|(n, &length)| padded.select(batch, n).narrow(0, 0, length)).collect()
}

/// The packed sequences, in the order in which they came: undoes [`pack_sequence`].
///
/// ```
/// use gradus_nn::{pack_sequence, unpack_sequence};
/// use gradus_tensor::Tensor;
/// let packed = pack_sequence(&[Tensor::ones([1]), Tensor::ones([2])], false);
/// assert_eq!(unpack_sequence(&packed)[1].shape(), [2]);
/// ```
#[track_caller]
pub fn unpack_sequence(packed: &PackedSequence) -> Vec<Tensor> {
    let (padded, lengths) = pad_packed_sequence(packed, false, 0.0, None);
    unpad_sequence(&padded, &lengths, false)
}
