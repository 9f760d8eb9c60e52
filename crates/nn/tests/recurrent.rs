//! Recurrent cells and layers, packed sequences: against PyTorch (`scripts/goldens/recurrent.py`), against plain loops
//! where PyTorch has no such thing, and their gradients.

mod support;

use gradus_nn::optim::{Adam, Optimizer};
use gradus_nn::*;
use gradus_tensor::{DType, Tensor, manual_seed, no_grad};
use support::{Args, Case, cases, check_gradients, difference, panic_of};

/// The tensors of a run: output, then the state's.
fn flat<S: RecurrentState>((y, state): (Tensor, S)) -> Vec<Tensor> {
    let mut all = vec![y];
    all.extend(state.tensors().into_iter().cloned());
    all
}

fn state_of<S: RecurrentState>(x: &[Tensor]) -> Option<S> {
    (x.len() > 1).then(|| S::from_tensors(x[1..].to_vec()))
}

fn on(a: &Args, name: &str) -> bool {
    a.has(name) && a.flag(name)
}

/// Compares one layer with PyTorch's; `make` takes input and hidden size.
fn check_layer<C: RecurrentCell>(case: &Case, make: impl Fn(usize, usize, &Args) -> Recurrent<C>) {
    let a = case.args();
    let number = |name: &str, default: usize| if a.has(name) { a.size(name) } else { default };
    let batch_first = on(&a, "batch_first");
    let make = || {
        make(a.size("input_size"), a.size("hidden_size"), &a)
            .num_layers(number("num_layers", 1))
            .bidirectional(on(&a, "bidirectional"))
            .batch_first(batch_first)
            .dropout(if a.has("dropout") { a.float("dropout") } else { 0.0 })
    };
    case.check(make, |m, x| {
        let state = state_of(x);
        if !a.has("lengths") {
            return flat(m.forward(&x[0], state.as_ref()));
        }
        let lengths: Vec<usize> = a.ints("lengths").into_iter().map(|l| l as usize).collect();
        let packed = pack_padded_sequence(&x[0], &lengths, batch_first, a.flag("enforce_sorted"));
        let (y, last) = m.forward_packed(&packed, state.as_ref());
        let (y, found) = pad_packed_sequence(&y, batch_first, -1.0, None);
        assert_eq!(found, lengths, "{}", case.name());
        flat((y, last))
    });
}

#[test]
fn layers_agree_with_pytorch() {
    let (mut checked, mut packed) = (0, 0);
    for case in &cases("recurrent") {
        let bias = |a: &Args| !a.has("bias") || a.flag("bias");
        match case.kind() {
            "RNN" => check_layer(case, |i, h, a| {
                let layer = RNN::new(i, h).bias(bias(a));
                if a.has("nonlinearity") && a.text("nonlinearity") == "relu" { layer.nonlinearity(ReLU) } else { layer }
            }),
            "LSTM" => check_layer(case, |i, h, a| {
                LSTM::new(i, h).bias(bias(a)).proj_size(if a.has("proj_size") { a.size("proj_size") } else { 0 })
            }),
            "GRU" => check_layer(case, |i, h, a| GRU::new(i, h).bias(bias(a))),
            _ => continue,
        }
        checked += 1;
        packed += usize::from(case.args().has("lengths"));
    }
    assert!(checked >= 43 && packed >= 13, "only {checked} layers, {packed} of them packed");
}

fn check_cell<C: RecurrentCell>(case: &Case, make: impl Fn(usize, usize, bool) -> C) {
    let a = case.args();
    let make = || make(a.size("input_size"), a.size("hidden_size"), !a.has("bias") || a.flag("bias"));
    case.check(make, |m, x| m.forward(&x[0], state_of(x).as_ref()).tensors().into_iter().cloned().collect::<Vec<_>>());
}

#[test]
fn cells_agree_with_pytorch() {
    let mut checked = 0;
    for case in &cases("recurrent") {
        match case.kind() {
            "RNNCell" => check_cell(case, |i, h, bias| {
                let cell = RNNCell::new(i, h).bias(bias);
                if case.args().has("nonlinearity") { cell.nonlinearity(ReLU) } else { cell }
            }),
            "LSTMCell" => check_cell(case, |i, h, bias| LSTMCell::new(i, h).bias(bias)),
            "GRUCell" => check_cell(case, |i, h, bias| GRUCell::new(i, h).bias(bias)),
            _ => continue,
        }
        checked += 1;
    }
    assert_eq!(checked, 10);
}

fn indices(list: &[usize]) -> Tensor {
    Tensor::from_vec(list.iter().map(|&i| i as i64).collect(), [list.len()])
}

#[test]
fn packing_agrees_with_pytorch() {
    let mut checked = 0;
    for case in &cases("recurrent") {
        let a = case.args();
        let pack = |x: &Tensor| {
            let lengths: Vec<usize> = a.ints("lengths").into_iter().map(|l| l as usize).collect();
            pack_padded_sequence(x, &lengths, a.flag("batch_first"), a.flag("enforce_sorted"))
        };
        match case.kind() {
            "pack_padded_sequence" => case.check_function(|x| {
                let p = pack(&x[0]);
                let order = [&p.sorted_indices, &p.unsorted_indices];
                let order = order.into_iter().flatten().map(|list| indices(list));
                [p.data.clone(), indices(&p.batch_sizes)].into_iter().chain(order).collect()
            }),
            "pad_packed_sequence" => case.check_function(|x| {
                let total = Some(a.size("total_length"));
                let (y, lengths) = pad_packed_sequence(&pack(&x[0]), a.flag("batch_first"), 0.5, total);
                vec![y, indices(&lengths)]
            }),
            "pad_sequence" => {
                case.check_function(|x| vec![pad_sequence(x, a.flag("batch_first"), a.float("padding_value"))])
            }
            _ => continue,
        }
        checked += 1;
    }
    assert_eq!(checked, 8);
}

#[test]
fn sequences_survive_packing() {
    let sequences = [Tensor::randn([2, 3]), Tensor::randn([5, 3]), Tensor::randn([1, 3])];
    let packed = pack_sequence(&sequences, false);
    assert_eq!((packed.lengths(), &packed.batch_sizes[..]), (vec![2, 5, 1], &[3, 2, 1, 1, 1][..]));
    for (before, after) in sequences.iter().zip(unpack_sequence(&packed)) {
        assert_eq!(difference(&after, before, 0.0), None);
    }
    let message = panic_of(|| pack_sequence(&sequences, true));
    assert!(message.contains("the lengths [2, 5, 1] increase"), "{message}");
    let message = panic_of(|| pack_padded_sequence(&Tensor::zeros([3, 2]), &[3, 0], false, true));
    assert_eq!(message, "pack_padded_sequence: length 0 of sequence 1 is not in 1..=3");
    let message = panic_of(|| pack_padded_sequence(&Tensor::zeros([3, 2]), &[3], false, true));
    assert!(message.contains("one length for each of 2 sequences, got 1"), "{message}");
    let message = panic_of(|| pad_packed_sequence(&packed, false, 0.0, Some(4)));
    assert!(message.contains("total_length 4 is less than the longest sequence's length 5"), "{message}");
    let message = panic_of(|| pad_sequence(&[Tensor::zeros([2, 3]), Tensor::zeros([2, 4])], false, 0.0));
    assert!(message.contains("[2, 3], [2, 4]"), "{message}");
}

/// Numbers in a fixed disorder.
fn numbers<const N: usize>(shape: [usize; N], seed: f64) -> Tensor {
    let n: usize = shape.iter().product();
    let at = |i: usize| ((i as f64 * 12.9898 + seed * 78.233).sin() * 43.5453).fract();
    Tensor::from_vec((0..n).map(at).collect::<Vec<f64>>(), shape)
}

fn in_f64<M: Module>(mut model: M) -> M {
    model.to_dtype(DType::F64);
    for (k, p) in model.parameters().iter().enumerate() {
        let values = numbers([p.numel()], k as f64 + 0.5).reshape(p.shape());
        no_grad(|| p.copy_(&values));
    }
    model
}

fn close(found: &Tensor, expected: &[f64]) {
    let expected = Tensor::from_slice(expected, found.shape());
    assert_eq!(difference(found, &expected, 1e-12), None);
}

fn sigma(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// W x + b, of the rows from `start`.
fn affine(w: &Tensor, x: &[f64], b: Option<&Tensor>, start: usize, rows: usize) -> Vec<f64> {
    let row = |r: usize| {
        let product: f64 = x.iter().enumerate().map(|(k, v)| w.at(&[r, k]) * v).sum();
        product + b.map_or(0.0, |b| b.at(&[r]))
    };
    (start..start + rows).map(row).collect()
}

#[test]
fn peephole_lstm_follows_its_formula() {
    let layer = in_f64(PeepholeLSTM::new(3, 2));
    let (x, cell) = (numbers([4, 1, 3], 3.0), &layer.cells()[0]);
    let (mut h, mut c, mut expected) = (vec![0.0; 2], vec![0.0; 2], vec![]);
    for t in 0..4 {
        let x_t: Vec<f64> = (0..3).map(|i| x.at(&[t, 0, i])).collect();
        let a = affine(&cell.weight_ih, &x_t, cell.bias_ih.as_deref(), 0, 8);
        let b = affine(&cell.weight_hh, &h, cell.bias_hh.as_deref(), 0, 8);
        for k in 0..2 {
            let sum = |gate: usize| a[2 * gate + k] + b[2 * gate + k];
            let peep = |gate: usize| cell.weight_ch.at(&[2 * gate + k]);
            let (i, f) = (sigma(sum(0) + peep(0) * c[k]), sigma(sum(1) + peep(1) * c[k]));
            c[k] = f * c[k] + i * sum(2).tanh();
            h[k] = sigma(sum(3) + peep(2) * c[k]) * c[k].tanh();
        }
        expected.extend_from_slice(&h);
    }
    let (y, state) = layer.forward(&x, None);
    close(&y, &expected);
    close(&state.c, &c);
    // Without peepholes it is the LSTM.
    let (plain, cell) = (in_f64(LSTM::new(3, 2)), in_f64(PeepholeLSTM::new(3, 2)));
    init::zeros_(&cell.cells()[0].weight_ch);
    assert_eq!(difference(&cell.forward(&x, None).0, &plain.forward(&x, None).0, 1e-14), None);
}

#[test]
fn gru_in_both_forms_and_both_signs() {
    let x = numbers([3, 1, 2], 5.0);
    for reset_after in [true, false] {
        let layer = in_f64(GRU::new(2, 3)).reset_after(reset_after).update_gate(UpdateGate::Writes);
        let cell = &layer.cells()[0];
        let (mut h, mut expected) = (vec![0.0; 3], vec![]);
        for t in 0..3 {
            let x_t = [x.at(&[t, 0, 0]), x.at(&[t, 0, 1])];
            let part = |gate: usize| affine(&cell.weight_ih, &x_t, cell.bias_ih.as_deref(), 3 * gate, 3);
            let of = |state: &[f64], gate: usize| affine(&cell.weight_hh, state, cell.bias_hh.as_deref(), 3 * gate, 3);
            let add = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f64>>();
            let r: Vec<f64> = add(part(0), of(&h, 0)).into_iter().map(sigma).collect();
            let z: Vec<f64> = add(part(1), of(&h, 1)).into_iter().map(sigma).collect();
            let gated = |v: &[f64]| v.iter().zip(&r).map(|(v, r)| v * r).collect::<Vec<f64>>();
            let from_state = if reset_after { gated(&of(&h, 2)) } else { of(&gated(&h), 2) };
            let n: Vec<f64> = add(part(2), from_state).into_iter().map(f64::tanh).collect();
            h = (0..3).map(|k| (1.0 - z[k]) * h[k] + z[k] * n[k]).collect();
            expected.extend_from_slice(&h);
        }
        close(&layer.forward(&x, None).0, &expected);
        // The same function with PyTorch's meaning of the gate.
        let swapped = layer.swap_update_gate();
        close(&swapped.forward(&x, None).0, &expected);
        let other = swapped.update_gate(UpdateGate::Writes).forward(&x, None).0;
        assert!(difference(&other, &Tensor::from_slice(&expected, other.shape()), 1e-2).is_some());
    }
    // Without biases the two forms differ from the second step on, when the state is not zero.
    let [after, before] =
        [true, false].map(|on| in_f64(GRU::new(2, 3).bias(false)).reset_after(on).forward(&x, None).0);
    assert_eq!(difference(&after.select(0, 0), &before.select(0, 0), 1e-15), None);
    assert!(difference(&after, &before, 1e-3).is_some());
}

#[test]
fn vanilla_network_has_its_matrices_and_biases() {
    let net = in_f64(VanillaRNN::new(2, 3, 2).output_activation(Sigmoid));
    let (x, cell) = (numbers([4, 1, 2], 7.0), &net.hidden.cells()[0]);
    let (mut h, mut expected) = (vec![0.0; 3], vec![]);
    for t in 0..4 {
        let x_t = [x.at(&[t, 0, 0]), x.at(&[t, 0, 1])];
        let from_x = affine(&cell.weight_ih, &x_t, cell.bias_ih.as_deref(), 0, 3);
        let from_h = affine(&cell.weight_hh, &h, None, 0, 3);
        h = from_x.iter().zip(from_h).map(|(a, b)| (a + b).tanh()).collect();
        let y = affine(&net.readout.weight, &h, net.readout.bias.as_deref(), 0, 2);
        expected.extend(y.into_iter().map(sigma));
    }
    let (y, last) = net.forward(&x, None);
    close(&y, &expected);
    close(&last, &h);
    // Three matrices and two biases; PyTorch's cell has a bias more, and no read-out.
    let count = |n: &VanillaRNN| (n.parameters().len(), n.num_parameters());
    assert_eq!(count(&net), (5, 3 * 2 + 3 * 3 + 3 + 2 * 3 + 2));
    assert_eq!(count(&VanillaRNN::new(2, 3, 2).two_biases(true)), (6, 3 * 2 + 3 * 3 + 3 + 3 + 2 * 3 + 2));
    assert_eq!(RNN::new(2, 3).num_parameters(), 3 * 2 + 3 * 3 + 3 + 3);
    // Another σ_h, and the batch first.
    let net = in_f64(VanillaRNN::new(2, 3, 2).activation(ReLU).batch_first(true));
    let (_, h) = net.forward(&x.transpose(0, 1), None);
    assert!(h.min().item_f64() >= 0.0 && h.max().item_f64() > 0.0);
    let message = panic_of(|| net.forward(&Tensor::zeros([1, 4, 3]), None));
    assert!(
        message.starts_with("RNN in layer `hidden`: needs an input [N, T, 2] or [T, 2], got [1, 4, 3]"),
        "{message}"
    );
    let message = panic_of(|| RNN::new(1, 1).nonlinearity(Linear::new(1, 1)));
    assert!(message.contains("an activation with parameters"), "{message}");
}

/// A convolution of one picture `[C][H][W]` with zeros around it.
fn convolve(x: &[f64], (c, h, w): (usize, usize, usize), weight: &Tensor, o: usize) -> Vec<f64> {
    let (kh, kw) = (weight.size(2), weight.size(3));
    let mut out = vec![0.0; h * w];
    for (y0, x0, ci, ky, kx) in product(h, w, c, kh, kw) {
        let (sy, sx) = ((y0 + ky) as isize - kh as isize / 2, (x0 + kx) as isize - kw as isize / 2);
        if (0..h as isize).contains(&sy) && (0..w as isize).contains(&sx) {
            out[y0 * w + x0] += weight.at(&[o, ci, ky, kx]) * x[(ci * h + sy as usize) * w + sx as usize];
        }
    }
    out
}

fn product(
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
) -> impl Iterator<Item = (usize, usize, usize, usize, usize)> {
    (0..a * b * c * d * e).map(move |i| (i / e / d / c / b, i / e / d / c % b, i / e / d % c, i / e % d, i % e))
}

#[test]
fn convolutional_lstm_follows_its_formula() {
    let (hidden, size) = (2, 12);
    let layer = in_f64(ConvLSTM::new(1, hidden, [3, 1]).peepholes(3, 4));
    let (films, cell) = (numbers([1, 3, 1, 3, 4], 2.0), &layer.cells()[0]);
    let (mut h, mut c, mut expected) = (vec![0.0; hidden * size], vec![0.0; hidden * size], vec![]);
    let (bias, peep) = (cell.bias.as_ref().unwrap(), cell.weight_ch.as_ref().unwrap().reshape([-1]));
    for t in 0..3 {
        let x = films.select(1, t).to_vec::<f64>();
        let before = h.clone();
        let sum = |gate: usize, k: usize| -> Vec<f64> {
            let o = gate * hidden + k;
            let from_x = convolve(&x, (1, 3, 4), &cell.weight_ih, o);
            let from_h = convolve(&before, (hidden, 3, 4), &cell.weight_hh, o);
            from_x.iter().zip(from_h).map(|(a, b)| a + b + bias.at(&[o])).collect()
        };
        for k in 0..hidden {
            let [i, f, g, o] = [0, 1, 2, 3].map(|gate| sum(gate, k));
            for p in 0..size {
                let (at, look) = (k * size + p, |gate: usize| peep.at(&[(gate * hidden + k) * size + p]));
                let (i, f) = (sigma(i[p] + look(0) * c[at]), sigma(f[p] + look(1) * c[at]));
                c[at] = f * c[at] + i * g[p].tanh();
                h[at] = sigma(o[p] + look(2) * c[at]) * c[at].tanh();
            }
        }
        expected.extend_from_slice(&h);
    }
    let (y, state) = layer.forward(&films, None);
    assert_eq!(y.shape(), [1, 3, 2, 3, 4]);
    assert_eq!(state.h.shape(), [1, 1, 2, 3, 4]);
    close(&y, &expected);
    close(&state.c, &c);
    let message = panic_of(|| layer.forward(&Tensor::zeros([1, 3, 1, 4, 4]), None));
    assert!(message.contains("has peepholes for pictures [3, 4], got [4, 4]"), "{message}");
    let message = panic_of(|| layer.forward(&Tensor::zeros([1, 3, 2, 3, 4]), None));
    assert_eq!(message, "ConvLSTM: needs an input [N, T, 1, H, W] or [T, 1, H, W], got [1, 3, 2, 3, 4]");
    assert!(panic_of(|| ConvLSTM::new(1, 1, 2)).contains("must be odd, got [2, 2]"));
}

#[test]
fn convolutional_rnn_follows_its_formula() {
    let layer = Recurrent::of(ConvRNNCell::new(2, 1, 3).read_out(2, Sigmoid).activation(ReLU)).batch_first(true);
    let (layer, films) = (in_f64(layer), numbers([1, 3, 2, 2, 3], 4.0));
    let cell = &layer.cells()[0];
    let (mut h, mut expected) = (vec![0.0; 6], vec![]);
    for t in 0..3 {
        let from_x = convolve(&films.select(1, t).to_vec::<f64>(), (2, 2, 3), &cell.weight_ih, 0);
        let from_h = convolve(&h, (1, 2, 3), &cell.weight_hh, 0);
        let bias = cell.bias.as_ref().unwrap().at(&[0]);
        h = from_x.iter().zip(from_h).map(|(a, b)| (a + b + bias).max(0.0)).collect();
        for o in 0..2 {
            let y = convolve(&h, (1, 2, 3), cell.weight_hy.as_ref().unwrap(), o);
            let bias = cell.bias_y.as_ref().unwrap().at(&[o]);
            expected.extend(y.into_iter().map(|v| sigma(v + bias)));
        }
    }
    let (y, state) = layer.forward(&films, None);
    close(&y, &expected);
    close(&state, &h);
    // Two layers, the second fed by the first one's read-out; both directions side by side in the channels.
    let deep = Recurrent::of(ConvRNNCell::new(2, 1, 3).read_out(2, Sigmoid)).batch_first(true);
    let deep = in_f64(deep.num_layers(2).bidirectional(true));
    let (y, state) = deep.forward(&films, None);
    assert_eq!(y.shape(), [1, 3, 4, 2, 3]);
    assert_eq!(state.shape(), [4, 1, 1, 2, 3]);
    assert_eq!(deep.cells()[2].weight_ih.shape(), [1, 4, 3, 3]);
    assert_eq!(LastStep::new(deep).forward(&films).shape(), [1, 4, 2, 3]);
}

#[test]
fn tdnn_sees_its_window_and_no_more() {
    let layer = in_f64(TDNN::new(2, 3, 3).dilation(2).activation(Tanh));
    let x = numbers([1, 9, 2], 6.0);
    let bias = layer.bias.as_ref().unwrap();
    let at = |t: usize, o: usize| {
        let past = (0..3).flat_map(|k| (0..2).map(move |i| (k, i)));
        let sum: f64 = past.map(|(k, i)| layer.weight.at(&[o, i, k]) * x.at(&[0, t - 4 + 2 * k, i])).sum();
        (sum + bias.at(&[o])).tanh()
    };
    let expected: Vec<f64> = (4..9).flat_map(|t| (0..3).map(move |o| (t, o))).map(|(t, o)| at(t, o)).collect();
    close(&layer.forward(&x), &expected);
    assert_eq!(layer.reach(), 5);
    // An output for each step, which depends on the window's past alone.
    let layer = layer.causal(true);
    let x = x.requires_grad_(true);
    let y = layer.forward(&x);
    assert_eq!(y.shape(), [1, 9, 3]);
    y.select(1, 6).sum().backward();
    let by_step = x.grad().unwrap().abs().sum_dim([0, 2], false).to_vec::<f64>();
    let seen: Vec<usize> = (0..9).filter(|&t| by_step[t] > 0.0).collect();
    assert_eq!(seen, [2, 4, 6]);
    assert_eq!(TDNN::new(2, 3, 2).stride(3).bias(false).forward(&Tensor::zeros([8, 2])).shape(), [3, 3]);
    let message = panic_of(|| sequential![TDNN::new(2, 3, 4)].forward(&Tensor::zeros([1, 3, 2])));
    assert_eq!(message, "TDNN in layer `0`: needs an input [N, T, 2] or [T, 2] with T >= 4, got [1, 3, 2]");
}

/// First and second order differences of a layer over a short sequence.
fn differentiate<C: RecurrentCell>(layer: Recurrent<C>, x: &[usize]) {
    let layer = in_f64(layer);
    let x = numbers([x.iter().product()], 1.5).reshape(x).requires_grad_(true);
    let first = x.select(layer.time_dim(), 0);
    let state = layer.cells()[0].zero_state(&first).map(|t| {
        let mut shape = vec![layer.cells().len()];
        shape.extend_from_slice(&t.shape());
        numbers([shape.iter().product()], 2.5).reshape(shape).detach().requires_grad_(true)
    });
    let inputs: Vec<Tensor> =
        [x.detach().requires_grad_(true)].into_iter().chain(state.tensors().into_iter().cloned()).collect();
    check_gradients(&layer, &inputs, |m, x| flat(m.forward(&x[0], state_of(x).as_ref())));
}

#[test]
fn gradients_to_second_order() {
    differentiate(RNN::new(2, 2).bidirectional(true), &[2, 2, 2]);
    differentiate(RNN::new(1, 2).num_layers(2).single_bias(), &[2, 1, 1]);
    differentiate(LSTM::new(1, 2), &[3, 1, 1]);
    differentiate(LSTM::new(1, 2).proj_size(1).bidirectional(true).bias(false), &[2, 1, 1]);
    differentiate(GRU::new(2, 2), &[3, 1, 2]);
    differentiate(GRU::new(1, 2).reset_after(false).update_gate(UpdateGate::Writes), &[2, 2, 1]);
    differentiate(PeepholeLSTM::new(1, 2), &[3, 1, 1]);
    differentiate(ConvRNN::new(1, 1, [1, 3]), &[1, 2, 1, 2, 2]);
    differentiate(Recurrent::of(ConvRNNCell::new(1, 1, [1, 3]).read_out(1, Sigmoid)), &[2, 1, 1, 1, 3]);
    differentiate(ConvLSTM::new(1, 1, [1, 3]).peepholes(1, 3), &[1, 2, 1, 1, 3]);
    let x = numbers([1, 4, 2], 1.0).requires_grad_(true);
    check_gradients(&in_f64(TDNN::new(2, 2, 2).causal(true).activation(Tanh)), &[x], |m, x| vec![m.forward(&x[0])]);
    let x = numbers([3, 1, 2], 1.0).requires_grad_(true);
    check_gradients(&in_f64(VanillaRNN::new(2, 2, 1)), &[x], |m, x| flat(m.forward(&x[0], None)));
}

#[test]
fn gradients_through_packed_sequences() {
    let layer = in_f64(LSTM::new(1, 2).bidirectional(true));
    let x = numbers([3, 3, 1], 1.0).requires_grad_(true);
    check_gradients(&layer, &[x], |m, x| {
        let (y, state) = m.forward_packed(&pack_padded_sequence(&x[0], &[1, 3, 2], true, false), None);
        vec![y.data, state.h, state.c]
    });
}

#[derive(Module)]
struct Tagger {
    encoder: LSTM,
    cell: GRUCell,
    film: ConvRNN,
}

#[test]
fn wrong_shapes_name_layer_and_shapes() {
    let film = ConvRNN::new(1, 2, 3);
    let m = Tagger { encoder: LSTM::new(3, 4).num_layers(2), cell: GRUCell::new(3, 4), film };
    m.parameters();
    let of = |x: Tensor| panic_of(|| m.encoder.forward(&x, None));
    assert_eq!(
        of(Tensor::zeros([5, 2, 4])),
        "LSTM in layer `encoder`: needs an input [T, N, 3] or [T, 3], got [5, 2, 4]"
    );
    assert!(of(Tensor::zeros([3])).ends_with("got [3]"));
    assert_eq!(
        of(Tensor::zeros([0, 2, 3])),
        "LSTM in layer `encoder`: needs a sequence of one step or more, got [0, 2, 3] (T, N, ...)"
    );
    let state = |c: [usize; 3]| LSTMState { h: Tensor::zeros([2, 2, 4]), c: Tensor::zeros(c) };
    let message = panic_of(|| m.encoder.forward(&Tensor::zeros([5, 2, 3]), Some(&state([1, 2, 4]))));
    assert_eq!(message, "LSTM in layer `encoder`: needs an initial state c [2, 2, 4], got [1, 2, 4]");
    let message = panic_of(|| m.encoder.forward(&Tensor::zeros([5, 3]), Some(&state([2, 2, 4]))));
    assert_eq!(message, "LSTM in layer `encoder`: needs an initial state h [2, 4], got [2, 2, 4]");
    let packed = pack_sequence(&[Tensor::zeros([2, 2])], true);
    let message = panic_of(|| m.encoder.forward_packed(&packed, None));
    assert_eq!(message, "LSTM in layer `encoder`: needs packed elements [3], got rows [2, 2]");
    let packed = pack_sequence(&[Tensor::zeros([2, 3])], true);
    let message = panic_of(|| m.encoder.forward_packed(&packed, Some(&state([2, 2, 4]))));
    assert_eq!(message, "LSTM in layer `encoder`: needs an initial state h [2, 1, 4], got [2, 2, 4]");
    let message = panic_of(|| m.cell.forward(&Tensor::zeros([2, 4]), None));
    assert_eq!(message, "GRUCell in layer `cell`: needs an input [N, 3] or [3], got [2, 4]");
    let message = panic_of(|| m.cell.forward(&Tensor::zeros([2, 3]), Some(&Tensor::zeros([1, 4]))));
    assert_eq!(message, "GRUCell in layer `cell`: needs an initial state h [2, 4], got [1, 4]");
    let message = panic_of(|| m.film.forward(&Tensor::zeros([2, 1, 6, 5]).to_dtype(DType::F64), None));
    assert!(message.contains("in layer `film`") && message.contains("f64"), "{message}");
    assert!(panic_of(|| LSTM::new(3, 4).proj_size(4)).contains("proj_size 4 must be smaller than hidden_size 4"));
    assert!(panic_of(|| RNN::new(3, 4).num_layers(0)).contains("num_layers must be 1 or more"));
    assert!(panic_of(|| RNN::new(3, 4).dropout(1.5)).contains("dropout 1.5"));
}

#[test]
fn names_sizes_and_first_values_are_pytorchs() {
    manual_seed(1);
    let m = LSTM::new(3, 50).num_layers(2).bidirectional(true).proj_size(4);
    let names: Vec<String> = m.named_parameters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names[..6],
        ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0", "weight_ih_l0_reverse"]
    );
    assert_eq!((names.len(), names[19].as_str()), (20, "weight_hr_l1_reverse"));
    assert_eq!(m.cells()[2].weight_ih.shape(), [200, 8]);
    assert_eq!((m.input_size(), m.hidden_size(), m.output_size(), m.layers()), (3, 50, 8, 2));
    let bound = 1.0 / 50f64.sqrt();
    for (name, p) in m.named_parameters() {
        let max = p.detach().abs().max().item_f64();
        assert!(max <= bound && max > 0.9 * bound, "{name}: {max} of {bound}");
    }
    let kinds: Vec<_> = sequential![LastStep::new(GRU::new(1, 1))].named_modules();
    assert_eq!(kinds[2], ("0.layer".to_string(), "GRU"));
    // The width of the state is not the number of steps: one cell serves sequences of any length.
    let parameters = m.num_parameters();
    for steps in [1, 9] {
        assert_eq!(m.forward(&Tensor::zeros([steps, 2, 3]), None).1.c.shape(), [4, 2, 50]);
    }
    assert_eq!(m.num_parameters(), parameters);
    let deep = sequential![Outputs::new(m)];
    assert_eq!(deep.state_dict().names().next(), Some("0.layer.weight_ih_l0"));
    let mut deep = deep;
    deep.to_dtype(DType::F64);
    assert_eq!(deep.forward(&Tensor::zeros([2, 1, 3]).to_dtype(DType::F64)).dtype(), DType::F64);
}

#[test]
fn forget_bias_is_where_pytorch_keeps_it() {
    for layer in [LSTM::new(2, 3).forget_bias(1.0).num_layers(2), LSTM::new(2, 3).num_layers(2).forget_bias(1.0)] {
        for cell in layer.cells() {
            let sum = cell.bias_ih.as_ref().unwrap().detach() + cell.bias_hh.as_ref().unwrap().detach();
            assert_eq!(sum.narrow(0, 3, 3).to_vec::<f32>(), [1.0; 3]);
            assert!(sum.narrow(0, 0, 3).to_vec::<f32>().iter().all(|&b| b != 1.0));
        }
    }
    // A forget gate of 1 keeps, one of 0 drops.
    let cell = LSTMCell::new(1, 1);
    cell.parameters().iter().for_each(init::zeros_);
    let state = LSTMState { h: Tensor::zeros([1, 1]), c: Tensor::full([1, 1], 5.0) };
    for (bias, kept) in [(50.0, 5.0), (-50.0, 0.0)] {
        init::constant_(&cell.bias_ih.as_ref().unwrap().detach().narrow(0, 1, 1), bias);
        assert!((cell.forward(&Tensor::zeros([1, 1]), Some(&state)).c.item() - kept).abs() < 1e-6);
    }
}

#[test]
fn four_gates_make_the_step() {
    let cell = in_f64(LSTMCell::new(2, 3));
    let (x, state) = (numbers([2, 2], 0.2), LSTMState { h: numbers([2, 3], 0.3), c: numbers([2, 3], 0.4) });
    let (gates, next) = (cell.gates(&x, &state), cell.forward(&x, Some(&state)));
    let c = gates.forget(&state.c) + gates.learn();
    assert_eq!(difference(&c, &next.c, 1e-15), None);
    assert_eq!(difference(&gates.remember(&state.c), &next.c, 0.0), None);
    assert_eq!(difference(&gates.use_gate(&next.c), &next.h, 0.0), None);
    assert_eq!(difference(&gates.learn(), &(&gates.i * &gates.g), 0.0), None);
}

#[test]
fn layouts_are_views_of_one_another() {
    let (x, layer) = (Tensor::randn([4, 3, 2]), GRU::new(2, 5).bidirectional(true));
    let (y, h) = layer.forward(&x, None);
    assert_eq!(y.shape(), [4, 3, 10]);
    assert_eq!(h.shape(), [2, 3, 5]);
    let (last, reversed) = (y.select(0, 3).narrow(1, 0, 5), y.select(0, 0).narrow(1, 5, 5));
    assert_eq!(difference(&h.select(0, 0), &last, 0.0), None);
    assert_eq!(difference(&h.select(0, 1), &reversed, 0.0), None);
    let single = layer.forward(&x.select(1, 2), None);
    assert_eq!(difference(&single.0, &y.select(1, 2), 1e-6), None);
    assert_eq!(single.1.shape(), [2, 5]);
    let layer = layer.batch_first(true);
    assert_eq!(difference(&layer.forward(&x.transpose(0, 1), None).0, &y.transpose(0, 1), 0.0), None);
    let read = LastStep::new(layer);
    let expected = Tensor::cat(&[&last, &reversed], 1);
    assert_eq!(difference(&read.forward(&x.transpose(0, 1)), &expected, 0.0), None);
    assert_eq!(difference(&read.forward(&x.select(1, 1)), &expected.select(0, 1), 1e-6), None);
    let packed = pack_padded_sequence(&x, &[2, 4, 1], false, false);
    let short = read.layer.forward(&x.select(1, 0).narrow(0, 0, 2), None).1;
    assert_eq!(difference(&read.forward_packed(&packed).select(0, 0), &short.reshape([10]), 1e-6), None);
    let all = Outputs::new(read.layer);
    assert_eq!(difference(&all.forward(&x.transpose(0, 1)), &y.transpose(0, 1), 0.0), None);
}

#[test]
fn dropout_lies_between_layers_and_in_training_only() {
    manual_seed(4);
    let x = Tensor::randn([3, 2, 4]);
    let same = |m: &RNN| difference(&m.forward(&x, None).0, &m.forward(&x, None).0, 0.0).is_none();
    let deep = RNN::new(4, 16).num_layers(2).dropout(0.5);
    assert!(!same(&deep) && same(&RNN::new(4, 16).dropout(0.5)));
    deep.eval();
    assert!(same(&deep));
    // All of the first layer's outputs dropped: the second sees zeros, the first one's own state is whole.
    let deep = RNN::new(4, 16).num_layers(2).dropout(1.0);
    let one = deep.forward(&x, None).1;
    let other = deep.forward(&(&x * 2.0), None).1;
    assert_eq!(difference(&one.select(0, 1), &other.select(0, 1), 0.0), None);
    assert!(difference(&one.select(0, 0), &other.select(0, 0), 1e-3).is_some());
}

#[test]
fn stateful_layer_follows_its_policy_and_detaches() {
    let x = Tensor::randn([6, 2, 3]);
    let pieces = x.chunk(2, 0);
    let whole = |layer: &GRU| layer.forward(&x, None).0;
    for policy in [Reset::PerBatch, Reset::PerEpoch, Reset::Carry] {
        let m = Stateful::new(GRU::new(3, 4), policy);
        let expected = whole(&m.layer);
        let both = |m: &Stateful<GRUCell>| {
            Tensor::cat(&pieces.iter().map(|p| m.forward(p)).collect::<Vec<_>>().iter().collect::<Vec<_>>(), 0)
        };
        let first = both(&m);
        let goes_on = difference(&first, &expected, 1e-6).is_none();
        assert_eq!(goes_on, policy != Reset::PerBatch, "{policy:?}");
        assert!(!m.state().unwrap().requires_grad(), "{policy:?}: the kept state has a graph");
        m.start_epoch();
        let second = both(&m);
        let repeats = difference(&second, &first, 1e-6).is_none();
        assert_eq!(repeats, policy != Reset::Carry, "{policy:?}");
        m.reset();
        assert!(m.state().is_none() && difference(&both(&m), &first, 1e-6).is_none());
    }
    let m = sequential![Stateful::new(RNN::new(3, 4), Reset::Carry)];
    m.forward(&x);
    let message = panic_of(|| m.forward(&Tensor::zeros([6, 1, 3])));
    assert!(
        message.starts_with("Stateful in layer `0`: the kept state is of 2 sequences, this batch has 1"),
        "{message}"
    );
    assert_eq!(Stateful::new(RNN::new(1, 1), Reset::default()).policy(), Reset::PerBatch);
}

#[test]
fn truncated_backpropagation_cuts_between_chunks() {
    let layer = in_f64(RNN::new(2, 3));
    let x = numbers([7, 2, 2], 9.0).requires_grad_(true);
    // Within a chunk: the gradients of all its steps, from a state that is given.
    let (mut expected, mut h) = (vec![Tensor::full_of([3, 2], 0.0, DType::F64)], None::<Tensor>);
    for (start, steps) in [(0, 3), (3, 3), (6, 1)] {
        layer.zero_grad();
        let (y, last) = layer.forward(&x.detach().narrow(0, start, steps), h.as_ref());
        y.square().sum().backward();
        h = Some(last.detach());
        expected.push(expected.last().unwrap() + layer.cells()[0].weight_ih.grad().unwrap());
    }
    layer.zero_grad();
    let mut seen = vec![];
    let last = truncated_bptt(&layer, &x, 3, None, |piece| {
        piece.output.square().sum().backward();
        seen.push((piece.start, piece.steps));
        let found = layer.cells()[0].weight_ih.grad().unwrap();
        assert_eq!(difference(&found, &expected[seen.len()], 1e-12), None, "after {seen:?}");
    });
    assert_eq!(seen, [(0, 3), (3, 3), (6, 1)]);
    let values = layer.forward(&x, None).1;
    assert_eq!(difference(&last, &values, 1e-14), None, "values go on");
    // One chunk is full backpropagation.
    let gradient = |chunk: usize, from: usize| {
        x.zero_grad();
        truncated_bptt(&layer, &x, chunk, None, |piece| {
            if piece.start <= from && from < piece.start + piece.steps {
                piece.output.select(0, from - piece.start).sum().backward();
            }
        });
        let by_step = x.grad().unwrap().abs().sum_dim([1, 2], false).to_vec::<f64>();
        (0..7).filter(|&t| by_step[t] > 0.0).collect::<Vec<usize>>()
    };
    assert_eq!(gradient(7, 4), [0, 1, 2, 3, 4]);
    assert_eq!(gradient(3, 4), [3, 4], "nothing flows into the chunk before");
    // The state that is handed in is cut off as well.
    let h0 = numbers([1, 2, 3], 1.0).requires_grad_(true);
    truncated_bptt(&layer, &x, 7, Some(&h0), |piece| piece.output.sum().backward());
    assert!(h0.grad().is_none());
}

#[test]
fn folded_and_unfolded_views() {
    let layer = RNN::new(2, 3).num_layers(2).bidirectional(true);
    let folded = layer.folded_dot();
    for line in ["x -> l0;", "x -> l0_reverse;", "l0_reverse -> l1;", "l1_reverse -> y;", "l1 -> l1 [label=\"1 step\"]"]
    {
        assert!(folded.contains(line), "{line} in {folded}");
    }
    assert!(!folded.contains("l0 -> y"));
    let unfolded = layer.unfolded_dot(3);
    for line in ["x_0 -> l0_0;", "l0_0 -> l0_1;", "l0_1 -> l0_2;", "l0_reverse_2 -> l0_reverse_1;", "l1_2 -> y_2;"] {
        assert!(unfolded.contains(line), "{line} in {unfolded}");
    }
    assert_eq!(unfolded.matches("->").count(), 3 * 8 + 4 * 2);
    // The graph that ran: cells are one tanh a step, each fed by the one before; a layer is one operation.
    let (cell, xs) = (RNNCell::new(2, 3), Tensor::ones([4, 1, 2]));
    cell.named_parameters();
    let h = (0..4).fold(Tensor::zeros([1, 3]), |h, t| cell.forward(&xs.select(0, t), Some(&h)));
    let graph = h.graph_text();
    assert_eq!(graph.lines().filter(|l| l.trim_start().starts_with("tanh ")).count(), 4, "{graph}");
    assert!(graph.contains("`weight_hh`"), "{graph}");
    let graph = RNN::new(2, 3).forward(&xs, None).1.graph_text();
    assert_eq!(graph.matches("rnn_sequence").count(), 1, "{graph}");
}

/// A cell of our own: a leaky sum of its inputs.
#[derive(Module)]
struct Leaky {
    decay: Param,
    scope: Scope,
}

impl RecurrentCell for Leaky {
    type State = Tensor;
    const CELL: &'static str = "Leaky";
    const LAYER: &'static str = "LeakySum";
    fn input_size(&self) -> usize {
        self.decay.size(0)
    }
    fn output_size(&self) -> usize {
        self.decay.size(0)
    }
    fn state_shapes(&self, input: &[usize]) -> Vec<Vec<usize>> {
        vec![input.to_vec()]
    }
    fn like(&self, input_size: usize) -> Leaky {
        Leaky { decay: Param::new(Tensor::full([input_size], 0.5)), scope: Scope::default() }
    }
    fn project(&self, x: &Tensor) -> Tensor {
        x.clone()
    }
    fn step(&self, projected: &Tensor, state: &Tensor) -> Tensor {
        projected + &*self.decay * state
    }
    fn output(&self, state: &Tensor) -> Tensor {
        state.clone()
    }
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

#[test]
fn a_cell_of_ones_own_is_stacked_like_the_others() {
    let cell = Leaky { decay: Param::new(Tensor::full([1], 0.5)), scope: Scope::default() };
    let layer = Recurrent::of(cell).bidirectional(true);
    let y = layer.forward(&Tensor::ones([3, 1]), None).0;
    assert_eq!(y.to_vec::<f32>(), [1.0, 1.75, 1.5, 1.5, 1.75, 1.0]);
    assert_eq!(layer.state_dict().names().collect::<Vec<_>>(), ["decay_l0", "decay_l0_reverse"]);
    assert_eq!(layer.named_modules(), [(String::new(), "LeakySum")]);
}

#[test]
fn the_state_begins_as_zeros() {
    let (layer, x) = (LSTM::new(2, 3).num_layers(2).bidirectional(true), Tensor::randn([4, 5, 2]));
    let zeros = || Tensor::zeros([4, 5, 3]);
    let given = flat(layer.forward(&x, Some(&LSTMState { h: zeros(), c: zeros() })));
    for (a, b) in flat(layer.forward(&x, None)).iter().zip(&given) {
        assert_eq!(difference(a, b, 0.0), None);
    }
    let state = layer.cells()[0].zero_state(&x.select(0, 0));
    for t in state.tensors() {
        assert!(t.shape() == [5, 3] && t.to_vec::<f32>().iter().all(|&v| v == 0.0) && !t.requires_grad());
    }
}

/// The share of sequences of 8 signs whose first a network can name at the end, after some training.
fn recalls(network: Sequential) -> f64 {
    let signs = |n: usize| Tensor::randint(0, 2, [n, 8, 1]).to_dtype(DType::F32) * 2.0 - 1.0;
    let first = |x: &Tensor| x.select(1, 0);
    let mut optimizer = Adam::new(network.parameters(), 0.02);
    for _ in 0..120 {
        let x = signs(32);
        optimizer.zero_grad();
        losses::mse_loss(&network.forward(&x), &first(&x)).backward();
        optimizer.step();
    }
    let x = signs(200);
    let right = no_grad(|| network.forward(&x) * first(&x)).gt_scalar(0.0);
    right.to_dtype(DType::F64).mean().item_f64()
}

#[test]
fn layers_learn_to_remember() {
    manual_seed(2);
    let lstm =
        recalls(sequential![LastStep::new(LSTM::new(1, 12).batch_first(true).forget_bias(1.0)), Linear::new(12, 1)]);
    let gru = recalls(sequential![LastStep::new(GRU::new(1, 12).batch_first(true)), Linear::new(12, 1)]);
    assert!(lstm > 0.95 && gru > 0.95, "LSTM {lstm}, GRU {gru}");
}

/// Runs a layer on inputs of ±1e4: its gates are all the way open or shut.
fn stays_finite<C: RecurrentCell>(layer: Recurrent<C>) {
    let x = Tensor::from_slice(&[1e4f32, -1e4, -1e4, 1e4, 1e4, 1e4], [3, 1, 2]).requires_grad_(true);
    let total = flat(layer.forward(&x, None)).iter().map(Tensor::sum).reduce(|a, b| a + b).unwrap();
    total.backward();
    let gradients = layer.parameters().into_iter().map(|p| p.grad().unwrap()).chain(x.grad());
    for t in gradients.chain([total.detach()]) {
        assert!(t.isfinite().all(), "{}", C::LAYER);
    }
}

#[test]
fn extreme_inputs_and_empty_batches() {
    stays_finite(RNN::new(2, 3));
    stays_finite(LSTM::new(2, 3).bidirectional(true));
    stays_finite(GRU::new(2, 3));
    stays_finite(GRU::new(2, 3).reset_after(false));
    stays_finite(PeepholeLSTM::new(2, 3));
    let (y, state) = LSTM::new(2, 3).num_layers(2).bidirectional(true).forward(&Tensor::zeros([4, 0, 2]), None);
    assert_eq!((y.shape().to_vec(), state.c.shape().to_vec()), (vec![4, 0, 6], vec![4, 0, 3]));
}
