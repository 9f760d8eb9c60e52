//! Word vectors, learnt from texts without classes before the model that uses them is trained.

use crate::error::{Result, TrainError};
use gradus_data::text::Vocabulary;
use gradus_nn::Forward;
use gradus_tensor::{Tensor, no_grad};
use rand::{RngExt, SeedableRng};
use rand_distr::Distribution;
use rand_distr::weighted::WeightedAliasIndex;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Skip-gram with negative sampling: the vector of a word foretells which words stand near it.
///
/// For each pair of a word w and a neighbour c, `-log s(v_w . u_c) - sum_k log s(-v_w . u_k)` is lowered, s the logistic
/// function and k drawn from the words by their frequency to the power 3/4. The rate falls evenly to 0. Words that
/// stand among the same neighbours get vectors that are alike.
///
/// Source: Mikolov et al., 2013, <https://arxiv.org/abs/1310.4546>.
///
/// ```
/// use gradus_train::WordVectors;
/// let texts = vec![vec![2, 3, 4], vec![3, 2, 4], vec![5, 6], vec![6, 5]];
/// let vectors = WordVectors::new(8).epochs(50).seed(1).fit(&texts, 7);
/// assert_eq!(vectors.shape(), [7, 8]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WordVectors {
    dim: usize,
    window: usize,
    negatives: usize,
    epochs: usize,
    lr: f32,
    seed: u64,
}

impl WordVectors {
    /// Vectors of `dim` numbers; word2vec's window of 5, 5 negatives, 5 epochs and rate of 0.025.
    ///
    /// # Panics
    /// If `dim` is 0.
    #[track_caller]
    pub fn new(dim: usize) -> WordVectors {
        assert!(dim > 0, "WordVectors: a vector has at least one number");
        WordVectors { dim, window: 5, negatives: 5, epochs: 5, lr: 0.025, seed: 0 }
    }

    /// How far a neighbour may be; each word draws its own window from 1 to this.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn window(self, window: usize) -> WordVectors {
        assert!(window > 0, "WordVectors: a window has at least one neighbour on each side");
        WordVectors { window, ..self }
    }

    /// Words that are drawn against each neighbour.
    pub fn negatives(self, negatives: usize) -> WordVectors {
        WordVectors { negatives, ..self }
    }

    /// Passes over the texts.
    pub fn epochs(self, epochs: usize) -> WordVectors {
        WordVectors { epochs, ..self }
    }

    /// The rate at the beginning.
    pub fn lr(self, lr: f64) -> WordVectors {
        WordVectors { lr: lr as f32, ..self }
    }

    /// The seed of first values, windows and negatives.
    pub fn seed(self, seed: u64) -> WordVectors {
        WordVectors { seed, ..self }
    }

    /// Learns the vectors of `words` words from texts as ids. Padding and unknown words are passed over; words that no
    /// text has keep their small first values.
    ///
    /// # Shapes
    /// Result: [words, dim].
    ///
    /// # Panics
    /// If an id is not below `words`.
    #[track_caller]
    pub fn fit(&self, texts: &[Vec<i64>], words: usize) -> Tensor {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let mut counts = vec![0f64; words];
        let known = |id: &&i64| **id != Vocabulary::UNKNOWN && **id != Vocabulary::PAD;
        let texts: Vec<Vec<usize>> =
            texts.iter().map(|t| t.iter().filter(known).map(|&id| id as usize).collect()).collect();
        texts.iter().flatten().for_each(|&id| {
            assert!(id < words, "WordVectors: the word {id} is beyond the {words} that there are");
            counts[id] += 1.0;
        });
        let half = 0.5 / self.dim as f32;
        let mut vectors: Vec<f32> = (0..words * self.dim).map(|_| rng.random_range(-half..half)).collect();
        let mut contexts = vec![0f32; words * self.dim];
        let total = (self.epochs * texts.iter().map(Vec::len).sum::<usize>()).max(1) as f32;
        let Ok(noise) = WeightedAliasIndex::new(counts.iter().map(|n| n.powf(0.75)).collect()) else {
            return Tensor::from_vec(vectors, [words, self.dim]); // no text has a word
        };
        let (mut done, mut pull) = (0usize, vec![0f32; self.dim]);
        for text in (0..self.epochs).flat_map(|_| &texts) {
            for (at, &word) in text.iter().enumerate() {
                let lr = self.lr * (1.0 - done as f32 / total);
                done += 1;
                let reach = rng.random_range(1..=self.window);
                for &near in &text[at.saturating_sub(reach)..(at + reach + 1).min(text.len())] {
                    if near == word {
                        continue;
                    }
                    let v = &mut vectors[word * self.dim..][..self.dim];
                    pull.fill(0.0);
                    for k in 0..=self.negatives {
                        let (other, label) = if k == 0 { (near, 1.0) } else { (noise.sample(&mut rng), 0.0) };
                        if k > 0 && other == near {
                            continue;
                        }
                        let u = &mut contexts[other * self.dim..][..self.dim];
                        let score: f32 = v.iter().zip(u.iter()).map(|(a, b)| a * b).sum();
                        let g = lr * (label - 1.0 / (1.0 + (-score).exp()));
                        for ((p, u), v) in pull.iter_mut().zip(u.iter_mut()).zip(v.iter()) {
                            *p += g * *u;
                            *u += g * v;
                        }
                    }
                    v.iter_mut().zip(&pull).for_each(|(v, p)| *v += p);
                }
            }
        }
        Tensor::from_vec(vectors, [words, self.dim])
    }
}

/// Puts word vectors into the first layer of a model of bags of words, whose columns then are the vectors.
///
/// # Errors
/// If the model has no hidden layer over the bags.
pub(crate) fn begin_with(model: &dyn Forward, words: usize, learn: impl FnOnce(usize) -> Tensor) -> Result<()> {
    let matrices: Vec<Tensor> = model.parameters().into_iter().filter(|p| p.rank() == 2).collect();
    match &matrices[..] {
        [first, _, ..] if first.size(1) == words => {
            let vectors = learn(first.size(0)); // [words, hidden]
            no_grad(|| first.copy_(&vectors.t()));
            Ok(())
        }
        _ => Err(TrainError::Recipe(
            "setting `data.text.vectors`: the model needs a hidden layer over the bag of words for them".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_nn::distance::cosine_similarity;
    use gradus_nn::{Linear, Module, ReLU, sequential};

    /// Texts of five words from one of two groups, 2 to 6 and 7 to 11.
    fn texts() -> Vec<Vec<i64>> {
        (0..300i64).map(|i| (0..5).map(|j| 2 + 5 * (i % 2) + (i / 2 * 3 + j * j * (i % 7) + j) % 5).collect()).collect()
    }

    #[test]
    fn words_among_the_same_neighbours_are_alike_and_a_seed_gives_one_result() {
        let learn = |seed| WordVectors::new(6).lr(0.1).epochs(20).seed(seed).fit(&texts(), 12);
        let vectors = learn(3);
        let alike =
            |a: usize, b: usize| cosine_similarity(&vectors.narrow(0, a, 1), &vectors.narrow(0, b, 1), 1, 1e-8).item();
        // Means over the words of its own group and of the other; the same method in NumPy finds 0.46 and 0.08.
        for a in 2..12 {
            let mean = |own: bool| {
                let others: Vec<f32> =
                    (2..12).filter(|&b| b != a && ((a < 7) == (b < 7)) == own).map(|b| alike(a, b)).collect();
                others.iter().sum::<f32>() / others.len() as f32
            };
            assert!(mean(true) > 0.38 && mean(false) < 0.16, "{a}: {} and {}", mean(true), mean(false));
        }
        assert_eq!(vectors.to_vec::<f32>(), learn(3).to_vec::<f32>());
        assert_ne!(vectors.to_vec::<f32>(), learn(4).to_vec::<f32>());
        // Padding and unknown words have the values they began with.
        assert!(vectors.narrow(0, 0, 2).abs().max().item() <= 0.5 / 6.0);
        assert_eq!(WordVectors::new(2).fit(&[vec![0, 1], vec![]], 3).shape(), [3, 2]);
    }

    #[test]
    fn the_first_layer_adds_up_the_vectors_of_a_bag() {
        let net = sequential![Linear::new(12, 4), ReLU, Linear::new(4, 2)];
        let vectors = Tensor::rand([12, 4]);
        begin_with(&net, 12, |dim| vectors.narrow(1, 0, dim)).unwrap();
        let parameters = net.parameters();
        assert_eq!(parameters[0].contiguous().to_vec::<f32>(), vectors.t().contiguous().to_vec::<f32>());
        let wrong = |net: &dyn Forward| begin_with(net, 12, |_| unreachable!()).unwrap_err().to_string();
        assert!(wrong(&sequential![Linear::new(12, 2)]).contains("needs a hidden layer"));
        assert!(wrong(&sequential![Linear::new(5, 4), Linear::new(4, 2)]).contains("needs a hidden layer"));
    }
}
