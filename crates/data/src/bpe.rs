//! Byte-pair encoding by the library `tokenizers`: pieces of words, learnt by joining the most frequent neighbours.

/// What a build without the feature says.
#[cfg(not(feature = "bpe"))]
const ABSENT: &str = "byte-pair encoding is in builds with the feature only: cargo build --features bpe";

/// Joined pieces that were learnt; there are none in a build without the feature.
#[cfg(not(feature = "bpe"))]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bpe {}

#[cfg(not(feature = "bpe"))]
impl Bpe {
    /// Whether this build can learn it.
    pub(crate) fn check() -> Result<(), String> {
        Err(ABSENT.to_string())
    }

    pub(crate) fn train(_: Vec<String>, _: usize) -> Result<Bpe, String> {
        Err(ABSENT.to_string())
    }

    pub(crate) fn from_json(_: &str) -> Result<Bpe, String> {
        Err(ABSENT.to_string())
    }

    pub(crate) fn json(&self) -> &str {
        match *self {}
    }

    pub(crate) fn tokens(&self) -> Vec<String> {
        match *self {}
    }

    pub(crate) fn encode(&self, _: &str) -> Vec<i64> {
        match *self {}
    }
}

#[cfg(feature = "bpe")]
pub(crate) use learnt::Bpe;

#[cfg(feature = "bpe")]
mod learnt {
    use std::fmt;
    use std::sync::Arc;
    use tokenizers::models::TrainerWrapper;
    use tokenizers::models::bpe::{BPE, BpeTrainer};
    use tokenizers::normalizers::utils::Lowercase;
    use tokenizers::pre_tokenizers::metaspace::Metaspace;
    use tokenizers::{AddedToken, Tokenizer};

    /// Joined pieces that were learnt.
    #[derive(Clone)]
    pub(crate) struct Bpe {
        /// What it is stored as: the library's own format.
        json: String,
        inner: Arc<Tokenizer>,
    }

    impl fmt::Debug for Bpe {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "Bpe({} tokens)", self.inner.get_vocab_size(true))
        }
    }

    impl PartialEq for Bpe {
        fn eq(&self, other: &Bpe) -> bool {
            self.json == other.json
        }
    }

    impl Bpe {
        /// Whether this build can learn it.
        pub(crate) fn check() -> Result<(), String> {
            Ok(())
        }

        /// Learns `size` tokens, padding and the unknown included, from texts in lower case.
        pub(crate) fn train(texts: Vec<String>, size: usize) -> Result<Bpe, String> {
            let learn = || {
                let mut tokenizer = Tokenizer::new(BPE::builder().unk_token("<unk>".into()).build()?);
                tokenizer.with_normalizer(Some(Lowercase));
                tokenizer.with_pre_tokenizer(Some(Metaspace::default()));
                let special = ["<pad>", "<unk>"].map(|token| AddedToken::from(token, true));
                let trainer =
                    BpeTrainer::builder().vocab_size(size).show_progress(false).special_tokens(special.into());
                tokenizer.train(&mut TrainerWrapper::BpeTrainer(trainer.build()), texts.into_iter())?;
                let json = tokenizer.to_string(false)?;
                Ok::<Bpe, tokenizers::Error>(Bpe { json, inner: Arc::new(tokenizer) })
            };
            learn().map_err(|e| e.to_string())
        }

        /// Reads what [`Bpe::json`] gave.
        pub(crate) fn from_json(json: &str) -> Result<Bpe, String> {
            let inner = Tokenizer::from_bytes(json).map_err(|e| e.to_string())?;
            Ok(Bpe { json: json.to_string(), inner: Arc::new(inner) })
        }

        pub(crate) fn json(&self) -> &str {
            &self.json
        }

        /// The tokens by id.
        pub(crate) fn tokens(&self) -> Vec<String> {
            let size = self.inner.get_vocab_size(true) as u32;
            (0..size).map(|id| self.inner.id_to_token(id).unwrap_or_default()).collect()
        }

        /// The ids of a text.
        pub(crate) fn encode(&self, text: &str) -> Vec<i64> {
            let encoding = self.inner.encode_fast(text, false);
            // A text is any string; the steps that are used here refuse none.
            encoding.map(|e| e.get_ids().iter().map(|&id| i64::from(id)).collect()).unwrap_or_default()
        }
    }
}
