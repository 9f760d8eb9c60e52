//! What the example on the spectrum of a recurrent network claims.

#[path = "../../examples/rnn_spectrum.rs"]
#[allow(dead_code)]
mod example;

#[test]
fn gradients_through_time_follow_the_eigenvalues() {
    let _alone = crate::alone();
    let out = tempfile::tempdir().unwrap();
    let report = example::run(out.path()).unwrap();
    let svg = std::fs::read_to_string(out.path().join("rnn_spectrum.svg")).unwrap();
    assert!(svg.contains("<polyline") && svg.contains("forget bias"));
    // h_t = Q^T L^t Q h_0 vanishes below 1 and explodes above.
    let [below, one, above] = &report.powers[..] else { panic!("three matrices") };
    for (p, radius) in [(below, 0.8), (one, 1.0), (above, 1.2)] {
        assert!((p.radius - radius).abs() < 1e-12 && p.difference < 1e-9, "{radius}: {}", p.difference);
    }
    assert!(below.norms[60] < 1e-5 && above.norms[60] > 1e3, "{} {}", below.norms[60], above.norms[60]);
    assert!((0.01..=1.0).contains(&one.norms[60]), "{}", one.norms[60]);
    // The gradient's factor a step is the largest |eigenvalue|.
    let [vanishing, steady, exploding, drawn, open] = &report.gradients[..] else { panic!("five networks") };
    for g in [vanishing, steady, exploding] {
        let radius = g.radius.unwrap();
        assert!((g.rate / radius - 1.0).abs() < 0.02, "{}: {} a step", g.name, g.rate);
    }
    // An LSTM whose forget gate is open keeps what the plain network loses; one as drawn does not by itself.
    let kept = |g: &example::Gradients| g.norms[59] / g.norms[1];
    assert!(kept(open) > 0.05 && kept(vanishing) < 1e-4, "{} {}", kept(open), kept(vanishing));
    assert!(kept(open) > 1e3 * kept(drawn), "{} {}", kept(open), kept(drawn));
    // Clipping bounds the exploded norm and leaves the share of the oldest step as it is.
    let [vanished, _, exploded] = &report.clipping[..] else { panic!("three matrices") };
    assert!(exploded.before > 1e3 && (exploded.after - 5.0).abs() < 1e-9, "{}", exploded.before);
    for c in [vanished, exploded] {
        assert!((c.share[1] / c.share[0] - 1.0).abs() < 1e-12);
    }
    assert!(vanished.share[1] < 1e-5, "{}", vanished.share[1]);
}
