//! What the profiler records, and that it records nothing when it is not asked.

use gradus_tensor::profiler::{self, Event, Kind, Pass, Profile, Profiler, profile, record_function};
use gradus_tensor::{ConvConfig, Shape, Tensor, no_grad, scope};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// There is one profile at a time, and it sees every thread.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn names(p: &Profile) -> Vec<&str> {
    p.events().iter().map(Event::name).collect()
}

#[track_caller]
fn only<'a>(p: &'a Profile, name: &str, kind: Kind) -> &'a Event {
    let found: Vec<_> = p.events().iter().filter(|e| e.name() == name && e.kind == kind).collect();
    assert_eq!(found.len(), 1, "{name} among {:?}", names(p));
    found[0]
}

/// Spans of a thread lie side by side or within one another; self times are what is left.
#[track_caller]
fn well_nested(p: &Profile) {
    let threads = p.events().iter().map(|e| e.thread).max().map_or(0, |t| t + 1);
    for thread in 0..threads {
        let mut open: Vec<(&Event, Duration)> = Vec::new();
        let check = |(e, inside): (&Event, Duration)| assert_eq!(e.self_duration + inside, e.duration, "{e:?}");
        for e in p.events().iter().filter(|e| e.thread == thread) {
            while open.len() > e.depth {
                check(open.pop().unwrap());
            }
            assert_eq!(open.len(), e.depth, "{e:?}");
            if let Some((parent, inside)) = open.last_mut() {
                assert!(parent.start <= e.start && e.end() <= parent.end(), "{e:?} sticks out of {parent:?}");
                *inside += e.duration;
            }
            open.push((e, Duration::ZERO));
        }
        open.into_iter().for_each(check);
    }
}

#[test]
fn nothing_is_recorded_before_and_after() {
    let _alone = alone();
    let x = Tensor::ones([4]).exp();
    let early = record_function("early");
    let (y, p) = profile(|| x.log());
    drop(early);
    let late = profiler::span("late");
    y.exp();
    drop(late);
    assert!(!profiler::is_running());
    assert_eq!(names(&p), ["log"]);
    assert_eq!(names(&profile(|| ()).1), [""; 0]);
}

#[test]
fn operations_have_name_shape_and_bytes() {
    let _alone = alone();
    let (a, b) = (Tensor::ones([8, 64]), Tensor::ones([64, 32]));
    let (_, p) = profile(|| {
        let y = a.matmul(&b);
        y.isnan();
        y.t().exp();
        y.sum_dim(0, false)
    });
    assert_eq!(names(&p), ["matmul", "isnan", "transpose", "copy", "exp", "sum"]);
    let matmul = only(&p, "matmul", Kind::Operation);
    assert_eq!((matmul.shape, matmul.self_bytes), (Some(Shape::new(&[8, 32])), 8 * 32 * 4));
    assert_eq!((matmul.pass, matmul.layer(), matmul.depth), (Pass::Forward, None, 0));
    assert!(matmul.duration > Duration::ZERO && matmul.allocated >= 4 * (8 * 64 + 64 * 32 + 8 * 32));
    assert_eq!(only(&p, "transpose", Kind::Operation).bytes, 0);
    assert_eq!(only(&p, "copy", Kind::Operation).bytes, 8 * 32 * 4);
    assert_eq!(only(&p, "exp", Kind::Operation).shape, Some(Shape::new(&[32, 8])));
    assert_eq!(only(&p, "sum", Kind::Operation).bytes, 32 * 4);
    well_nested(&p);
}

#[test]
fn what_is_computed_when_it_is_read_has_its_own_name_and_time() {
    let _alone = alone();
    let (x, w) = (Tensor::ones([2, 3, 16, 16]), Tensor::ones([4, 3, 3, 3]));
    let (a, b, c) = (Tensor::ones([32, 64]), Tensor::ones([64, 64]), Tensor::ones([64]));
    let (_, p) = profile(|| (x.conv2d(&w, None, ConvConfig::default()).relu(), a.linear(&b, Some(&c)).exp()));
    assert!(!names(&p).contains(&"deferred"), "{:?}", names(&p));
    let conv = only(&p, "conv", Kind::Operation);
    assert_eq!((conv.shape, conv.bytes), (Some(Shape::new(&[2, 4, 14, 14])), 2 * 4 * 14 * 14 * 4));
    assert_eq!(only(&p, "linear", Kind::Operation).shape, Some(Shape::new(&[32, 64])));
    assert_eq!(only(&p, "relu", Kind::Operation).bytes, conv.bytes);
    assert!(p.events().iter().filter(|e| e.name() != "transpose").all(|e| e.duration > Duration::ZERO));
    well_nested(&p);
}

#[test]
fn spans_nest_and_their_times_add_up() {
    let _alone = alone();
    let x = Tensor::ones([64, 64]);
    let (_, p) = profile(|| {
        let _outer = record_function("outer");
        x.exp();
        {
            let _inner = record_function("inner");
            let _fused = profiler::span("exp+log");
            std::thread::sleep(Duration::from_millis(3));
            x.exp().log()
        }
    });
    assert_eq!(names(&p), ["outer", "exp", "inner", "exp+log", "exp", "log"]);
    assert_eq!(p.events().iter().map(|e| e.depth).collect::<Vec<_>>(), [0, 1, 1, 2, 3, 3]);
    well_nested(&p);
    let (outer, fused) = (&p.events()[0], &p.events()[3]);
    assert!(fused.self_duration >= Duration::from_millis(3) && outer.duration >= fused.duration);
    assert_eq!((outer.bytes, outer.self_bytes, fused.bytes), (3 << 14, 0, 2 << 14));
    assert_eq!(p.recorded(), outer.duration);
    assert!(p.wall() >= outer.duration);

    let averages = p.key_averages();
    let exp = averages.iter().find(|s| s.name == "exp").unwrap();
    assert_eq!((exp.calls, exp.bytes, exp.shape, exp.shapes), (2, 2 << 14, Some(Shape::new(&[64, 64])), 1));
    assert!(averages.is_sorted_by(|a, b| a.self_time >= b.self_time));
    assert_eq!(averages[0].name, "exp+log");
    assert!((averages.iter().map(|s| s.share).sum::<f64>() - 1.0).abs() < 1e-9);
    assert_eq!(averages.iter().map(|s| s.self_time).sum::<Duration>(), outer.duration);
    let table = averages.table(2);
    assert!(table.contains("exp+log") && table.contains("and 3 more with"), "{table}");
    assert_eq!(table.lines().count(), 5, "{table}");
    assert!(averages.to_string().contains("[64, 64]"));
}

#[test]
fn a_span_within_one_of_its_name_counts_once() {
    let _alone = alone();
    let (_, p) = profile(|| {
        let _a = record_function("again");
        let _b = record_function("again");
        std::thread::sleep(Duration::from_millis(2));
    });
    let averages = p.key_averages();
    assert_eq!((averages.len(), averages[0].calls), (1, 2));
    assert_eq!(averages[0].total_time, p.events()[0].duration);
    // A kernel within a span of the operation's own name is that operation.
    let (_, p) = profile(|| {
        let _span = profiler::span("exp");
        Tensor::ones([3]).exp()
    });
    assert_eq!(names(&p), ["exp"]);
    assert_eq!(p.events()[0].shape, Some(Shape::new(&[3])));
}

#[test]
fn backward_rules_belong_to_the_layer_of_their_operation() {
    let _alone = alone();
    let w = Tensor::ones([16, 16]).requires_grad_(true);
    let (_, p) = profile(|| {
        let y = {
            let _outer = scope::enter("block".into());
            let _inner = scope::enter("block.fc".into());
            let _again = scope::enter("block.fc".into());
            w.matmul(&w)
        };
        let _head = scope::enter("head".into());
        y.exp().sum().backward()
    });
    well_nested(&p);
    let rule = only(&p, "matmul", Kind::Backward);
    assert_eq!((rule.layer(), rule.pass), (Some("block.fc"), Pass::Backward));
    assert_eq!(only(&p, "exp", Kind::Backward).layer(), Some("head"));
    let inside = |e: &&Event| e.name() == "matmul" && e.kind == Kind::Operation && e.pass == Pass::Backward;
    let products: Vec<_> = p.events().iter().filter(inside).collect();
    assert_eq!(products.len(), 2, "{:?}", names(&p));
    assert!(products.iter().all(|e| rule.start <= e.start && e.end() <= rule.end()));
    let backward = only(&p, "backward", Kind::Function);
    assert!(backward.start <= rule.start && rule.end() <= backward.end());

    let layers = p.layers();
    let paths: Vec<_> = layers.iter().map(|l| (l.path.as_str(), l.calls)).collect();
    assert_eq!(paths, [("block", 1), ("block.fc", 1), ("head", 1)]);
    assert!(layers[0].forward >= layers[1].forward && layers[1].forward > Duration::ZERO);
    assert_eq!((layers[0].backward, layers[1].backward), (Duration::ZERO, rule.duration));
    assert_eq!((layers[1].forward_bytes, layers[1].backward_bytes), (1024, rule.bytes));
    let averages = p.key_averages();
    assert!(averages.iter().any(|s| s.label() == "matmul backward" && s.calls == 1));
    assert!(averages.iter().any(|s| s.name == "(layers)" && s.calls == 3));
}

#[test]
fn every_thread_is_recorded_apart() {
    let _alone = alone();
    let profiler = Profiler::start();
    let together = Barrier::new(4);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                together.wait();
                for _ in 0..50 {
                    let _span = record_function("work");
                    no_grad(|| Tensor::ones([100]).exp().sum());
                }
            });
        }
    });
    let p = profiler.stop();
    well_nested(&p);
    for thread in 0..4 {
        let own: Vec<_> = p.events().iter().filter(|e| e.thread == thread).collect();
        assert_eq!(own.len(), 50 * 4, "thread {thread}");
        assert_eq!(own.iter().filter(|e| e.name() == "exp" && e.depth == 1).count(), 50);
    }
    assert_eq!(p.events().len(), 4 * 50 * 4);
    let averages = p.key_averages();
    assert_eq!(averages.iter().find(|s| s.name == "work").unwrap().calls, 200);
}

#[test]
fn spans_may_end_in_any_order_and_outlive_the_profile() {
    let _alone = alone();
    let (kept, p) = profile(|| {
        let a = record_function("a");
        let b = record_function("b");
        drop(a);
        Tensor::ones([2]).exp();
        drop(b);
        record_function("open")
    });
    assert_eq!(names(&p), ["a", "b", "fill", "exp"]);
    well_nested(&p);
    let (_, p) = profile(|| {
        let _c = record_function("c");
        drop(kept);
        Tensor::ones([2])
    });
    assert_eq!(names(&p), ["c", "fill"]);
    well_nested(&p);
}

#[test]
fn a_pause_leaves_out_what_happens_in_it() {
    let _alone = alone();
    let x = Tensor::ones([2]);
    let profiler = Profiler::start();
    let y = x.exp();
    profiler.pause();
    let y = y.log();
    profiler.resume();
    y.sqrt();
    assert_eq!(names(&profiler.stop()), ["exp", "sqrt"]);
}

#[test]
fn there_is_one_profile_at_a_time_and_a_panic_ends_it() {
    let _alone = alone();
    let failed = catch_unwind(AssertUnwindSafe(|| profile(|| profile(|| ())))).unwrap_err();
    let message = failed.downcast_ref::<String>().unwrap();
    assert!(message.contains("a profile is running already"), "{message}");
    assert!(!profiler::is_running());
    assert_eq!(names(&profile(|| Tensor::ones([1])).1), ["fill"]);
}

#[test]
fn the_trace_is_json_with_every_span() {
    let _alone = alone();
    let w = Tensor::ones([4, 4]).requires_grad_(true);
    let (_, p) = profile(|| {
        let _span = record_function("a \"quoted\" name\n");
        let _layer = scope::enter("fc".into());
        w.matmul(&w).sum().backward()
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.json");
    p.export_chrome_trace(&path).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let trace: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let spans: Vec<_> = events.iter().filter(|e| e["ph"] == "X").collect();
    assert_eq!(spans.len(), p.events().len());
    assert_eq!(spans[0]["name"], "a \"quoted\" name\n");
    for (span, event) in spans.iter().zip(p.events()) {
        for (key, time) in [("ts", event.start), ("dur", event.duration)] {
            assert!((span[key].as_f64().unwrap() - time.as_secs_f64() * 1e6).abs() < 1e-4, "{span} of {event:?}");
        }
        assert_eq!((&span["pid"], &span["tid"]), (&Value::from(1), &Value::from(event.thread)));
        assert_eq!(span["args"]["bytes"], event.bytes);
    }
    let matmul = spans.iter().find(|e| e["name"] == "matmul" && e["args"]["pass"] == "forward").unwrap();
    assert_eq!((&matmul["args"]["shape"], &matmul["args"]["layer"]), (&serde_json::json!([4, 4]), &Value::from("fc")));
    assert!(spans.iter().any(|e| e["name"] == "matmul backward" && e["cat"] == "backward"));
    assert!(events.iter().any(|e| e["ph"] == "C" && e["args"]["bytes"].as_u64() > Some(0)));
    assert!(events.iter().any(|e| e["ph"] == "M" && e["name"] == "thread_name"));
    let missing = p.export_chrome_trace(dir.path().join("no/trace.json")).unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
}
