//! Text as numbers: tokens, vocabulary, counts, padding.

use crate::DataError;
use crate::bpe::Bpe;
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Reads a text file.
///
/// # Errors
/// If the file cannot be read, is not UTF-8 (the place is named), or is empty.
pub fn read_text(path: impl AsRef<Path>) -> Result<String, DataError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|e| DataError::io(path, e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = 1 + e.as_bytes()[..at].iter().filter(|&&b| b == b'\n').count();
        DataError::malformed(path, format!("line {line}"), format!("bytes that are no text at {at}"), "text in UTF-8")
    })?;
    match text.is_empty() {
        true => Err(DataError::malformed(path, "content", "nothing", "text")),
        false => Ok(text),
    }
}

/// How text is cut into tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tokenizer {
    /// Runs of letters and digits (apostrophes within them count), in lower case; each other sign by itself.
    #[default]
    Words,
    /// Every character.
    Chars,
    /// Pieces of words in lower case that a [`Vocabulary`] learns by joining the most frequent neighbours (byte-pair
    /// encoding), for builds with the feature `bpe`. A piece that begins a word begins with `▁`. Before anything is
    /// learnt, characters.
    ///
    /// Source: Sennrich et al., 2015, <https://arxiv.org/abs/1508.07909>.
    Bpe,
}

impl Tokenizer {
    /// The tokens of a text.
    ///
    /// ```
    /// use gradus_data::text::Tokenizer;
    /// assert_eq!(Tokenizer::Words.tokens("Don't stop, 2 go!"), ["don't", "stop", ",", "2", "go", "!"]);
    /// assert_eq!(Tokenizer::Chars.tokens("Ab"), ["A", "b"]);
    /// ```
    pub fn tokens(self, text: &str) -> Vec<String> {
        match self {
            Tokenizer::Chars | Tokenizer::Bpe => text.chars().map(String::from).collect(),
            Tokenizer::Words => words(text),
        }
    }

    /// Whether this build can cut text so.
    ///
    /// # Errors
    /// If it cannot, with what would change that.
    pub fn check(self) -> Result<(), String> {
        if self == Tokenizer::Bpe { Bpe::check() } else { Ok(()) }
    }
}

fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut signs = text.chars().peekable();
    while let Some(c) = signs.next() {
        let inside = c == '\'' && !word.is_empty() && signs.peek().is_some_and(|n| n.is_alphanumeric());
        if c.is_alphanumeric() || inside {
            word.extend(c.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            out.push(std::mem::take(&mut word));
        }
        if !c.is_whitespace() {
            out.push(c.to_string());
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

/// The tokens that are known, and their ids.
///
/// Id 0 is padding and id 1 any token that is not known; the others go by falling count, ties by the token.
///
/// ```
/// use gradus_data::text::{Tokenizer, Vocabulary};
/// let texts = ["a rose is a rose", "a thorn"];
/// let vocabulary = Vocabulary::build(texts, Tokenizer::Words, 4);
/// assert_eq!(vocabulary.tokens(), ["<pad>", "<unk>", "a", "rose"]);
/// assert_eq!(vocabulary.encode("a rose has a thorn"), [2, 3, 1, 2, 1]);
/// assert_eq!(vocabulary.decode(&[2, 3]), "a rose");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Listed", into = "Listed")]
pub struct Vocabulary {
    tokenizer: Tokenizer,
    tokens: Vec<String>,
    ids: HashMap<String, i64>,
    bpe: Option<Bpe>,
}

/// What is stored of a vocabulary.
#[derive(Serialize, Deserialize)]
struct Listed {
    tokenizer: Tokenizer,
    tokens: Vec<String>,
    /// What was joined, in the format of the library `tokenizers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bpe: Option<String>,
}

impl TryFrom<Listed> for Vocabulary {
    type Error = String;

    fn try_from(listed: Listed) -> Result<Vocabulary, String> {
        let bpe = listed.bpe.map(|json| Bpe::from_json(&json)).transpose()?;
        Ok(Vocabulary::of(listed.tokenizer, listed.tokens, bpe))
    }
}

impl From<Vocabulary> for Listed {
    fn from(v: Vocabulary) -> Listed {
        Listed { tokenizer: v.tokenizer, tokens: v.tokens, bpe: v.bpe.map(|bpe| bpe.json().to_string()) }
    }
}

impl Vocabulary {
    /// The id of padding.
    pub const PAD: i64 = 0;
    /// The id of every token that is not known.
    pub const UNKNOWN: i64 = 1;

    /// The `size` most frequent tokens of these texts, the two special ones included.
    ///
    /// # Panics
    /// If `size` is below 3, which leaves room for no token, or [`Tokenizer::check`] refuses the tokenizer.
    #[track_caller]
    pub fn build<S: AsRef<str>>(texts: impl IntoIterator<Item = S>, tokenizer: Tokenizer, size: usize) -> Vocabulary {
        assert!(size > 2, "Vocabulary: of {size} tokens two are padding and the unknown");
        if tokenizer == Tokenizer::Bpe {
            let texts = texts.into_iter().map(|text| text.as_ref().to_string()).collect();
            let learnt = Bpe::train(texts, size).map(|bpe| Vocabulary::of(tokenizer, bpe.tokens(), Some(bpe)));
            return learnt.unwrap_or_else(|e| panic!("Vocabulary: {e}"));
        }
        let mut counts: HashMap<String, u64> = HashMap::new();
        for text in texts {
            for token in tokenizer.tokens(text.as_ref()) {
                *counts.entry(token).or_default() += 1;
            }
        }
        let mut ranked: Vec<(String, u64)> = counts.into_iter().collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let special = ["<pad>", "<unk>"].map(String::from);
        let tokens = special.into_iter().chain(ranked.into_iter().map(|(token, _)| token)).take(size).collect();
        Vocabulary::of(tokenizer, tokens, None)
    }

    fn of(tokenizer: Tokenizer, tokens: Vec<String>, bpe: Option<Bpe>) -> Vocabulary {
        let ids = tokens.iter().cloned().zip(0..).collect();
        Vocabulary { tokenizer, tokens, ids, bpe }
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are no ids, which cannot be.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens by id.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> i64 {
        self.ids.get(token).copied().unwrap_or(Vocabulary::UNKNOWN)
    }

    /// The ids of a text.
    pub fn encode(&self, text: &str) -> Vec<i64> {
        match &self.bpe {
            Some(bpe) => bpe.encode(text),
            None => self.tokenizer.tokens(text).iter().map(|t| self.id(t)).collect(),
        }
    }

    /// The text of ids, words with blanks between them; an id that does not exist is the unknown.
    pub fn decode(&self, ids: &[i64]) -> String {
        let token = |&id: &i64| usize::try_from(id).ok().and_then(|i| self.tokens.get(i)).map_or("<unk>", |t| t);
        let tokens: Vec<&str> = ids.iter().map(token).collect();
        match self.tokenizer {
            Tokenizer::Words => tokens.join(" "),
            Tokenizer::Chars => tokens.concat(),
            Tokenizer::Bpe => tokens.concat().replace('▁', " ").trim_start().to_string(),
        }
    }

    /// How often each token comes in each text, [N, len] as f32: a bag of words. Padding is never counted.
    pub fn counts<S: AsRef<str>>(&self, texts: &[S]) -> Tensor {
        let mut out = vec![0.0f32; texts.len() * self.len()];
        for (row, text) in out.chunks_exact_mut(self.len()).zip(texts) {
            self.encode(text.as_ref()).into_iter().for_each(|id| row[id as usize] += 1.0);
        }
        Tensor::from_vec(out, [texts.len(), self.len()])
    }

    /// [`Vocabulary::counts`] divided by the number of the text's tokens: term frequencies, [N, len].
    pub fn frequencies<S: AsRef<str>>(&self, texts: &[S]) -> Tensor {
        let mut rows = self.counts(texts).to_vec::<f32>();
        for row in rows.chunks_exact_mut(self.len()) {
            let sum = row.iter().sum::<f32>().max(1.0);
            row.iter_mut().for_each(|v| *v /= sum);
        }
        Tensor::from_vec(rows, [texts.len(), self.len()])
    }

    /// Whether each token comes in each text, [N, len] as 0 and 1.
    pub fn presence<S: AsRef<str>>(&self, texts: &[S]) -> Tensor {
        let rows = self.counts(texts).to_vec::<f32>();
        Tensor::from_vec(rows.into_iter().map(|v| v.min(1.0)).collect(), [texts.len(), self.len()])
    }
}

/// Ids as rows with a single 1: [..., classes] as f32.
///
/// # Panics
/// If an id is negative or not below `classes`.
#[track_caller]
pub fn one_hot(ids: &Tensor, classes: usize) -> Tensor {
    ids.one_hot(classes).to_dtype(gradus_tensor::DType::F32)
}

/// Sequences of different lengths as one tensor, filled up behind with `padding`, and where they are real.
///
/// ```
/// let (ids, mask) = gradus_data::text::pad_sequence(&[vec![5, 6, 7], vec![8]], 0, None);
/// assert_eq!(ids.to_vec::<i64>(), [5, 6, 7, 8, 0, 0]);
/// assert_eq!(mask.to_vec::<bool>(), [true, true, true, true, false, false]);
/// ```
///
/// # Shapes
/// Both results: [N, longest], or [N, length] if a length is given, to which longer sequences are cut.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_sequence.html>
pub fn pad_sequence(sequences: &[Vec<i64>], padding: i64, length: Option<usize>) -> (Tensor, Tensor) {
    let longest = sequences.iter().map(Vec::len).max().unwrap_or(0);
    let length = length.unwrap_or(longest);
    let shape = [sequences.len(), length];
    let ids = sequences.iter().flat_map(|s| (0..length).map(move |i| s.get(i).copied().unwrap_or(padding)));
    let mask = sequences.iter().flat_map(|s| (0..length).map(move |i| i < s.len()));
    (Tensor::from_vec(ids.collect(), shape), Tensor::from_vec(mask.collect(), shape))
}

/// What is worth knowing about the texts of a data set before a model learns them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextStats {
    /// Number of texts.
    pub texts: usize,
    /// Texts that come more than once, each counted as often as it comes again.
    pub duplicates: usize,
    /// Texts without a token.
    pub empty: usize,
    /// Tokens of all texts.
    pub tokens: usize,
    /// Different tokens.
    pub distinct: usize,
    /// Tokens of the shortest, the middle and the longest text.
    pub lengths: [usize; 3],
    /// The part of all tokens that a vocabulary does not know.
    pub unknown: f64,
}

impl TextStats {
    /// Counts what these texts are made of.
    pub fn of<S: AsRef<str>>(texts: &[S], vocabulary: &Vocabulary) -> TextStats {
        let (mut seen, mut distinct) = (HashSet::new(), HashSet::new());
        let (mut lengths, mut unknown, mut duplicates) = (Vec::new(), 0, 0);
        for text in texts {
            duplicates += usize::from(!seen.insert(text.as_ref()));
            let ids = vocabulary.encode(text.as_ref());
            lengths.push(ids.len());
            unknown += ids.iter().filter(|id| **id == Vocabulary::UNKNOWN).count();
            match vocabulary.bpe.is_some() {
                true => distinct.extend(ids.iter().map(|id| vocabulary.tokens[*id as usize].clone())),
                false => distinct.extend(vocabulary.tokenizer.tokens(text.as_ref())),
            }
        }
        lengths.sort_unstable();
        let tokens: usize = lengths.iter().sum();
        let at = |i: usize| lengths.get(i).copied().unwrap_or(0);
        TextStats {
            texts: texts.len(),
            duplicates,
            empty: lengths.iter().filter(|&&n| n == 0).count(),
            tokens,
            distinct: distinct.len(),
            lengths: [at(0), at(lengths.len() / 2), at(lengths.len().saturating_sub(1))],
            unknown: unknown as f64 / tokens.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] = ["The cat saw the dog.", "A dog!", ""];

    #[test]
    fn the_most_frequent_tokens_stay() {
        let v = Vocabulary::build(TEXTS, Tokenizer::Words, 100);
        assert_eq!(v.tokens(), ["<pad>", "<unk>", "dog", "the", "!", ".", "a", "cat", "saw"]);
        let cut = Vocabulary::build(TEXTS, Tokenizer::Words, 4);
        assert_eq!((cut.len(), cut.encode("The bird")), (4, vec![3, 1]));
        let json = serde_json::to_string(&cut).unwrap();
        assert_eq!(serde_json::from_str::<Vocabulary>(&json).unwrap(), cut);
        assert_eq!(cut.decode(&[2, -1, 99]), "dog <unk> <unk>");
    }

    #[cfg(feature = "bpe")]
    #[test]
    fn pieces_of_words_are_learnt_stored_and_put_together_again() {
        let texts = ["low lower lowest", "new newer newest", "wide wider widest", "low low new"];
        assert_eq!(Tokenizer::Bpe.check(), Ok(()));
        let v = Vocabulary::build(texts, Tokenizer::Bpe, 30);
        assert_eq!((&v.tokens()[..2], v.len()), (&["<pad>", "<unk>"].map(String::from)[..], 30));
        assert!(v.tokens().iter().any(|t| t == "▁low") && v.tokens().iter().any(|t| t == "est"), "{:?}", v.tokens());
        // A word that never came is put together of pieces that did.
        assert_eq!(v.decode(&v.encode("Lower widest")), "lower widest");
        assert!(v.encode("low").len() < v.encode("dwel").len());
        assert!(v.encode("q").contains(&Vocabulary::UNKNOWN));
        let json = serde_json::to_string(&v).unwrap();
        let back: Vocabulary = serde_json::from_str(&json).unwrap();
        assert_eq!((back.encode(texts[0]), back == v), (v.encode(texts[0]), true));
        assert_eq!(Vocabulary::build(texts, Tokenizer::Bpe, 30), v);
        let bags = v.counts(&["low low", ""]).to_vec::<f32>();
        assert_eq!((bags[v.id("▁low") as usize], bags[30..].iter().sum::<f32>()), (2.0, 0.0));
    }

    #[cfg(not(feature = "bpe"))]
    #[test]
    fn a_build_without_byte_pair_encoding_says_how_to_make_one_with_it() {
        assert!(Tokenizer::Bpe.check().unwrap_err().contains("--features bpe"));
        let stored = r#"{"tokenizer":"bpe","tokens":["<pad>","<unk>","a"],"bpe":"{}"}"#;
        assert!(serde_json::from_str::<Vocabulary>(stored).unwrap_err().to_string().contains("--features bpe"));
    }

    #[test]
    fn bags_count_or_weigh_or_mark() {
        let v = Vocabulary::build(TEXTS, Tokenizer::Words, 5);
        assert_eq!(v.counts(&TEXTS).shape(), [3, 5]);
        assert_eq!(v.counts(&TEXTS).to_vec::<f32>()[..5], [0.0, 3.0, 1.0, 2.0, 0.0]);
        let f = v.frequencies(&TEXTS).to_vec::<f32>();
        assert!((f[1] - 0.5).abs() < 1e-6 && (f[3] - 1.0 / 3.0).abs() < 1e-6 && f[10..].iter().all(|&x| x == 0.0));
        assert_eq!(v.presence(&TEXTS).to_vec::<f32>()[..5], [0.0, 1.0, 1.0, 1.0, 0.0]);
        let hot = one_hot(&Tensor::from_vec(vec![2i64, 0], [2]), 3);
        assert_eq!(hot.to_vec::<f32>(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn long_sequences_are_cut_and_short_ones_filled() {
        let (ids, mask) = pad_sequence(&[vec![1, 2, 3], vec![]], 9, Some(2));
        assert_eq!((ids.to_vec::<i64>(), mask.to_vec::<bool>()), (vec![1, 2, 9, 9], vec![true, true, false, false]));
    }

    #[test]
    fn a_corpus_is_described() {
        let texts = ["a b", "a b", "c", ""];
        let s = TextStats::of(&texts, &Vocabulary::build(texts, Tokenizer::Words, 4));
        assert_eq!((s.texts, s.duplicates, s.empty, s.tokens, s.distinct), (4, 1, 1, 5, 3));
        assert_eq!((s.lengths, s.unknown), ([0, 2, 2], 0.2));
    }

    #[test]
    fn text_that_is_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.txt");
        std::fs::write(&path, b"one\ntw\xff").unwrap();
        let e = read_text(&path).unwrap_err().to_string();
        assert!(e.contains("t.txt: line 2: found bytes that are no text at 6"), "{e}");
        std::fs::write(&path, "").unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("found nothing"));
    }
}
