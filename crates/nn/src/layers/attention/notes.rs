//! Self-attention as it is often written down first.

use crate::init;
use crate::module::{Module, Param, Scope};
use gradus_tensor::{Tensor, fail};

/// Attention in its plainest form: K = x W, Q = y W, V = x; weights softmax(Q K^T / sqrt(columns of K)), output
/// weights V.
///
/// Queries come from `y`, keys and values from `x`, so with y = x it is self-attention and otherwise attention of y to
/// x. One matrix serves queries and keys, so relevance is symmetric, and values are the inputs themselves; both can be
/// switched to the standard form with separate matrices. It takes no batches: it is here to be read, and to check
/// [`scaled_dot_product_attention`](crate::layers::scaled_dot_product_attention) and
/// [`MultiheadAttention`](crate::MultiheadAttention), which take its place in use.
///
/// Parameters: `w_kq` `[in, d]`, or `w_k` and `w_q` if they are not shared; `w_v` `[in, d]` if the values are projected.
///
/// # Shapes
/// x `[S, in]`, y `[L, in]` -> output `[L, in]` (`[L, d]` with projected values), weights `[L, S]`
///
/// # Panics
/// `forward` panics if the shapes do not fit.
///
/// Source: Vaswani et al., 2017, <https://arxiv.org/abs/1706.03762>, with one head.
///
/// ```
/// use gradus_nn::NotesAttention;
/// use gradus_tensor::Tensor;
/// let attention = NotesAttention::new(8, 4);
/// let x = Tensor::randn([5, 8]);
/// let (output, weights) = attention.forward(&x, &x);
/// assert_eq!((output.shape().to_vec(), weights.shape().to_vec()), (vec![5, 8], vec![5, 5]));
/// assert!((weights.sum_dim(1, false) - 1.0).abs().max().item() < 1e-6);
/// ```
#[derive(Debug, Module)]
pub struct NotesAttention {
    /// `[in, d]`, for keys and queries, unless they have their own.
    pub w_kq: Option<Param>,
    /// `[in, d]`, unless shared.
    pub w_k: Option<Param>,
    /// `[in, d]`, unless shared.
    pub w_q: Option<Param>,
    /// `[in, d]`, unless the values are the inputs.
    pub w_v: Option<Param>,
    inputs: usize,
    d: usize,
    scope: Scope,
}

impl NotesAttention {
    /// Queries and keys of `d` numbers from inputs of `in_features`.
    pub fn new(in_features: usize, d: usize) -> NotesAttention {
        NotesAttention { w_kq: None, w_k: None, w_q: None, w_v: None, inputs: in_features, d, scope: Scope::default() }
            .shared_kq(true)
    }

    /// One matrix for keys and queries (true), or one each.
    pub fn shared_kq(mut self, on: bool) -> Self {
        self.w_kq = on.then(|| self.matrix());
        self.w_k = (!on).then(|| self.matrix());
        self.w_q = (!on).then(|| self.matrix());
        self
    }

    /// Whether the values are the inputs (true), or projected.
    pub fn v_identity(mut self, on: bool) -> Self {
        self.w_v = (!on).then(|| self.matrix());
        self
    }

    fn matrix(&self) -> Param {
        let param = Param::new(Tensor::zeros([self.inputs, self.d]));
        init::xavier_uniform_(&param, 1.0);
        param
    }

    /// The output for each row of `y`, and the weights of the rows of `x` behind it.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, y: &Tensor) -> (Tensor, Tensor) {
        let _scope = self.scope.enter();
        if x.rank() != 2 || y.rank() != 2 || x.size(1) != self.inputs || y.size(1) != self.inputs {
            let message =
                format_args!("needs x [S, {0}] and y [L, {0}], got {1} and {2}", self.inputs, x.shape(), y.shape());
            fail("NotesAttention", message);
        }
        let times = |t: &Tensor, w: &Option<Param>| w.as_ref().map(|w| t.matmul(w));
        let k = times(x, &self.w_kq).or(times(x, &self.w_k)).expect("shared or not");
        let q = times(y, &self.w_kq).or(times(y, &self.w_q)).expect("shared or not");
        let v = times(x, &self.w_v).unwrap_or(x.clone());
        let weights = (q.matmul(&k.t()) / (self.d as f64).sqrt()).softmax(1);
        (weights.matmul(&v), weights)
    }
}
