//! Recipes over files: pictures, tables, series and texts, and what is wrong with them.

use super::{Place, Ran};
use gradus::nn::serialize::load_safetensors;
use serde_json::Value;
use std::fs;

/// A recipe of a small net on pictures of 12x12 pixels.
const PICTURES: &str = "name = 'toy'\nepochs = 4\nbatch_size = 8\n[model]\nname = 'mlp'\nhidden = [16]\n\
    [data]\nname = 'image-folder'\nvalidation = 0.25\n[transforms]\n\
    train = [{ name = 'RandomHorizontalFlip' }, { name = 'RandomCrop', size = 12, padding = 1 }]\n\
    eval = [{ name = 'Resize', size = [12, 12] }]\n[optimizer]\nname = 'adamw'\nlr = 0.01\n";
/// A recipe of a line through a table.
const TABLE: &str = "name = 'line'\nepochs = 80\nbatch_size = 16\nloss = 'mse'\n[model]\nname = 'mlp'\nhidden = []\n\
    [data]\nname = 'table'\n[data.table]\ntrain = 'houses.csv'\ntarget = 'price'\nmissing = 'median'\n\
    [optimizer]\nname = 'adamw'\nlr = 0.03\n";

/// A recipe of a line through the last steps of a wave.
const WAVES: &str = "name = 'waves'\nepochs = 30\nbatch_size = 16\nloss = 'l1'\n[model]\nname = 'mlp'\nhidden = []\n\
    [data]\nname = 'series'\n[data.series]\nfile = 'waves.csv'\ntarget = 'height'\nwindow = 8\nhorizon = 2\n\
    [optimizer]\nname = 'adamw'\nlr = 0.02\n";
/// A recipe of a small net on bags of words.
const WORDS: &str = "name = 'words'\nepochs = 12\nbatch_size = 8\n[model]\nname = 'mlp'\nhidden = [8]\n\
    [data]\nname = 'text'\n[data.text]\ntrain = 'train.tsv'\ntest = 'test.tsv'\ntext = ['sentence', 'content']\n\
    vocabulary = 40\n[optimizer]\nname = 'adamw'\nlr = 0.02\n";

impl Place {
    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// `train` and `test` with pictures of two classes: a bright upper or a bright left half, with some noise.
    pub(super) fn write_pictures(&self) {
        for (part, count) in [("train", 24), ("test", 8)] {
            for (class, upper) in [("left", false), ("upper", true)] {
                fs::create_dir_all(self.path(&format!("p/{part}/{class}"))).unwrap();
                for i in 0..count {
                    let value = |x: u32, y: u32| {
                        let noise = (x * 31 + y * 17 + i * 7) % 40;
                        (if (if upper { y } else { x }) < 6 { 200 } else { 20 }) + noise as u8
                    };
                    let picture = image::RgbImage::from_fn(12, 12, |x, y| image::Rgb([value(x, y), 60, value(x, y)]));
                    picture.save(self.path(&format!("p/{part}/{class}/{i}.png"))).unwrap();
                }
            }
        }
        self.write("toy.toml", PICTURES);
    }

    /// 120 rows with price = 1000 + 300 rooms + 400 at the sea, a few rooms missing.
    pub(super) fn write_houses(&self) {
        let row = |i: u32| {
            let (rooms, sea) = (1 + i * 7 % 9, i.is_multiple_of(2));
            let price = 1000 + 300 * rooms + if sea { 400 } else { 0 };
            let rooms = if i % 40 == 39 { String::new() } else { rooms.to_string() };
            format!("{rooms},{},{price}\n", if sea { "sea" } else { "hill" })
        };
        self.write("t/houses.csv", &("rooms,place,price\n".to_string() + &(0..120).map(row).collect::<String>()));
        self.write("line.toml", TABLE);
    }

    /// 300 steps of a wave.
    pub(super) fn write_waves(&self) {
        let step = |t: i32| format!("{t},{:.4}\n", 15.0 + 8.0 * (f64::from(t) * 0.5).sin());
        self.write("s/waves.csv", &("day,height\n".to_string() + &(0..300).map(step).collect::<String>()));
        self.write("waves.toml", WAVES);
    }

    /// 80 short texts to learn from and 20 for the test, each of a class that its words give away.
    pub(super) fn write_texts(&self) {
        let (good, bad) = (["fine", "lovely", "bright"], ["dull", "grim", "awful"]);
        let line = |i: usize| {
            let (words, label) = if i.is_multiple_of(2) { (good, "good") } else { (bad, "bad") };
            format!("{label}\tthe film is {} and {} number {i}\n", words[i % 3], words[i / 2 % 3])
        };
        self.write("x/train.tsv", &("label\tsentence\n".to_string() + &(0..80).map(line).collect::<String>()));
        self.write("x/test.tsv", &("label\tcontent\n".to_string() + &(80..100).map(line).collect::<String>()));
        self.write("words.toml", WORDS);
    }

    fn train(&self, recipe: &str, data: &str, more: &[&str]) -> Ran {
        self.run(&[&["train", recipe, "--data", data, "--no-hints"], more].concat())
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn pictures_in_directories_are_learnt_measured_and_predicted_by_the_transforms_of_the_checkpoint() {
    let place = Place::new();
    place.write_pictures();
    let result = place.train("toy.toml", "p", &["--json"]).json();
    assert_eq!(number(&result["test_accuracy"]), 1.0, "{result}");
    assert_eq!(result["examples"], serde_json::json!([36, 12, 16]));
    let config = fs::read_to_string(place.path("runs/toy-001/config.toml")).unwrap();
    assert!(config.contains("inputs = 432") && config.contains("num_classes = 2"), "{config}");

    let found = place.run(&["eval", "toy-001", "--json"]).json();
    assert_eq!((number(&found["test_accuracy"]), &found["test_loss"]), (1.0, &result["test_loss"]));
    let crops = place.run(&["eval", "toy-001", "--five-crop", "--json"]).json();
    assert!(number(&crops["test_accuracy"]) > 0.9 && crops["test_loss"] != found["test_loss"], "{crops}");

    // A picture of another size goes through the same transform.
    let large = image::RgbImage::from_fn(48, 48, |_, y| image::Rgb(if y < 24 { [210, 60, 210] } else { [30, 60, 30] }));
    large.save(place.path("large.png")).unwrap();
    let said = place.run(&["predict", "toy-001", "large.png", "p/test/left/3.png", "--json"]).json();
    assert_eq!((&said["predictions"][0]["class"], &said["predictions"][1]["class"]), (&"upper".into(), &"left".into()));
}

/// A recipe of a tiny U-Net on pictures of 16x16 pixels, in which what is red is class 1.
const MASKS: &str = "name = 'red'\nepochs = 8\nbatch_size = 8\nloss = 'cross-entropy-dice'\n[model]\nname = 'unet'\n\
    channels = [8, 16]\n[data]\nname = 'masks'\nvalidation = 0.2\n[data.masks]\nclasses = ['other', 'red']\n[transforms]\n\
    train = [{ name = 'RandomHorizontalFlip' }, { name = 'RandomCrop', size = 16, padding = 2 }]\n\
    [optimizer]\nname = 'adamw'\nlr = 0.01\n";

impl Place {
    /// `train` and `test` with pictures in which a rectangle is red, and masks of it with one ignored row.
    pub(super) fn write_masks(&self) {
        for (part, count) in [("train", 30), ("test", 6)] {
            for kind in ["images", "masks"] {
                fs::create_dir_all(self.path(&format!("m/{part}/{kind}"))).unwrap();
            }
            for i in 0..count {
                let inside = |x: u32, y: u32| (x + i * 3) % 16 < 7 && (y + i * 5) % 16 < 9;
                let noise = |x: u32, y: u32| ((x * 31 + y * 17 + i * 7) % 40) as u8;
                let picture = image::RgbImage::from_fn(16, 16, |x, y| match inside(x, y) {
                    true => image::Rgb([200, noise(x, y), 30]),
                    false => image::Rgb([noise(x, y), 90, 120]),
                });
                picture.save(self.path(&format!("m/{part}/images/{i}.png"))).unwrap();
                let class = |x, y| image::Luma([if y == 15 { 255 } else { u8::from(inside(x, y)) }]);
                image::GrayImage::from_fn(16, 16, class).save(self.path(&format!("m/{part}/masks/{i}.png"))).unwrap();
            }
        }
        self.write("red.toml", MASKS);
    }
}

#[test]
fn pictures_with_masks_are_learnt_measured_and_predicted_pixel_by_pixel() {
    let place = Place::new();
    place.write_masks();
    let result = place.train("red.toml", "m", &["--json"]).json();
    assert!(number(&result["test_miou"]) > 0.9 && number(&result["test_accuracy"]) > 0.9, "{result}");
    assert_eq!(result["examples"], serde_json::json!([24, 6, 6]));
    let read = |file: &str| fs::read_to_string(place.path(&format!("runs/red-001/{file}"))).unwrap();
    assert!(read("report.html").contains("test mean IoU") && read("overlays.svg").contains("data:image/png"));
    assert!(read("metrics.csv").contains("val_miou"));

    let found = place.run(&["eval", "red-001", "--json", "--pictures", "drawn"]).json();
    assert_eq!((&found["test_miou"], &found["test_loss"]), (&result["test_miou"], &result["test_loss"]));
    // A row of 16 pixels of each picture counts nothing.
    assert_eq!(number(&found["pixels"]), (6 * 15 * 16) as f64);
    assert!(place.path("drawn/overlays.svg").exists());
    let text = place.run(&["eval", "red-001"]);
    assert!(text.stdout.contains("test mIoU") && text.stdout.contains("red"), "{}", text.stdout);

    let said = place.run(&["predict", "red-001", "m/test/images/3.png", "--pictures", "said", "--json"]).json();
    assert_eq!(said["predictions"][0]["mask"], "said/3-mask.png");
    let mask = fs::read(place.path("said/3-mask.png")).unwrap();
    assert!(mask.windows(4).any(|w| w == b"PLTE"), "a mask has a palette");
    // The mask that was predicted is one to learn from.
    fs::copy(place.path("said/3-mask.png"), place.path("m/test/masks/3.png")).unwrap();
    let again = place.run(&["eval", "red-001", "--json"]).json();
    assert!(number(&again["test_miou"]) >= number(&found["test_miou"]), "{again}");
    assert!(place.path("said/3-overlay.png").exists());

    // What does not go with masks, and masks that are wrong, are named.
    place.run(&["eval", "red-001", "--five-crop"]).fails(1, &["five crops"]);
    image::GrayImage::from_pixel(16, 16, image::Luma([7])).save(place.path("m/train/masks/4.png")).unwrap();
    place.train("red.toml", "m", &[]).fails(1, &["train/masks/4.png", "the value 7", "a class below 2, or 255"]);
    image::GrayImage::new(8, 16).save(place.path("m/train/masks/4.png")).unwrap();
    place.train("red.toml", "m", &[]).fails(1, &["train/masks/4.png", "the mask is 16x8, its picture 16x16"]);
    fs::remove_file(place.path("m/train/masks/4.png")).unwrap();
    place.train("red.toml", "m", &[]).fails(1, &["train/images/4.png", "has no partner in", "masks"]);
    place.train("red.toml", "m", &["--set", "data.masks.classes=[\"one\"]"]).fails(2, &["data.masks.classes"]);
}

#[test]
fn shapes_are_made_here() {
    let place = Place::new();
    let made = place.run(&["data", "get", "shapes"]);
    assert!(made.code == Some(0) && made.stdout.contains("gradus train masks --data data/shapes"), "{}", made.stderr);
    for part in ["train", "test"] {
        for kind in ["images", "masks"] {
            let count = fs::read_dir(place.path(&format!("data/shapes/{part}/{kind}"))).unwrap().count();
            assert_eq!(count, if part == "train" { 1500 } else { 100 });
        }
    }
}

#[test]
fn the_number_of_workers_changes_no_loss() {
    let place = Place::new();
    place.write_pictures();
    for (workers, out) in [("0", "a"), ("2", "b")] {
        let ran = place.train("toy.toml", "p", &["--out", out, "--set", &format!("data.workers={workers}")]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    let losses = |run: &str| {
        let text = fs::read_to_string(place.path(&format!("{run}/toy-001/metrics.jsonl"))).unwrap();
        text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["train_loss"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(losses("a"), losses("b"));
    assert_eq!(losses("a").len(), 4);
}

#[test]
fn mixed_pictures_are_learnt() {
    let place = Place::new();
    place.write_pictures();
    for mix in ["mixup", "cutmix"] {
        let mix = format!("training.mix={mix}");
        let result = place.train("toy.toml", "p", &["--json", "--epochs", "12", "--set", &mix]).json();
        assert!(number(&result["test_accuracy"]) > 0.9, "{mix}: {result}");
    }
}

#[test]
fn a_broken_picture_is_named_and_skipped_only_when_asked() {
    let place = Place::new();
    place.write_pictures();
    let picture = image::RgbImage::from_pixel(12, 12, image::Rgb([9, 9, 9]));
    picture.save(place.path("whole.jpg")).unwrap();
    let bytes = fs::read(place.path("whole.jpg")).unwrap();
    fs::write(place.path("p/train/left/broken.jpg"), &bytes[..bytes.len() / 2]).unwrap();
    place.train("toy.toml", "p", &[]).fails(1, &["train/left/broken.jpg"]);
    let skipped = place.train("toy.toml", "p", &["--skip-broken", "--epochs", "1", "--json"]);
    assert!(skipped.stderr.contains("skipped: ") && skipped.stderr.contains("broken.jpg"), "{}", skipped.stderr);
    assert_eq!(skipped.json()["examples"], serde_json::json!([36, 12, 16]));
    // In the test part it is found before anything is learnt.
    fs::rename(place.path("p/train/left/broken.jpg"), place.path("p/test/left/broken.jpg")).unwrap();
    place.train("toy.toml", "p", &["--epochs", "1"]).fails(1, &["test/left/broken.jpg"]);
    assert!(!place.path("runs/toy-002").exists());
    // The run was told to skip such files, and its recipe says so.
    let skipped = place.run(&["eval", "toy-001", "--json"]);
    assert!(skipped.stderr.contains("skipped: p/test/left/broken.jpg"), "{}", skipped.stderr);
    assert_eq!(skipped.json()["examples"], 16);
}

#[test]
fn a_class_without_training_pictures_and_an_empty_part_are_said() {
    let place = Place::new();
    place.write_pictures();
    fs::create_dir_all(place.path("p/val/other")).unwrap();
    place.train("toy.toml", "p", &["--set", "data.folder.validation=val"]).fails(1, &["val", "`other`", "left, upper"]);
    fs::remove_dir(place.path("p/val/other")).unwrap();
    place.train("toy.toml", "p", &["--set", "data.folder.validation=val"]).fails(1, &["val", "no directories"]);
    place.train("toy.toml", "p", &["--set", "data.validation=0.001"]).fails(1, &["there are no validation examples"]);
    fs::create_dir_all(place.path("p/train/rare")).unwrap();
    fs::copy(place.path("p/train/left/1.png"), place.path("p/train/rare/1.png")).unwrap();
    place.train("toy.toml", "p", &["--set", "data.validation=0.9"]).fails(1, &["class `rare` has validation examples"]);
    place.train("toy.toml", "absent", &[]).fails(1, &["no directory `absent`"]);
    place.run(&["train", "toy.toml"]).fails(1, &["--data DIR"]);
}

#[test]
fn an_empty_part_of_any_file_is_said() {
    let place = Place::new();
    place.write_houses();
    place.write_texts();
    place.write_waves();
    let few = ["--set", "data.validation=0.001"];
    place.train("line.toml", "t", &few).fails(1, &["`table`", "there are no validation examples"]);
    let classes = ["--set", "loss=cross-entropy", "--set", "data.table.target=place"];
    place.train("line.toml", "t", &[&few[..], &classes].concat()).fails(1, &["there are no validation examples"]);
    place.train("words.toml", "x", &few).fails(1, &["`text`", "there are no validation examples"]);
    place.train("waves.toml", "s", &few).fails(1, &["`series`", "validation", "0 steps", "window of 8"]);
    place.write("t/none.csv", "rooms,place,price\n");
    place.train("line.toml", "t", &["--set", "data.table.test=none.csv"]).fails(1, &["none.csv: rows: found none"]);
    place.write("t/holes.csv", "rooms,place,price\n,sea,1\n,hill,2\n");
    let holes = ["--set", "data.table.test=holes.csv", "--set", "data.table.missing=drop"];
    place.train("line.toml", "t", &holes).fails(1, &["`table`", "there are no test examples"]);
    let all = ["--set", "data.validation=0.999"];
    place.train("line.toml", "t", &all).fails(1, &["`table`", "there are no training examples"]);
    assert!(!place.path("runs").exists());
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_how_to_make_one_with_it() {
    let place = Place::new();
    place.write_houses();
    place.write("t/houses.parquet", "PAR1");
    let file = ["--set", "data.table.train=houses.parquet"];
    place.train("line.toml", "t", &file).fails(1, &["houses.parquet", "--features parquet"]);
}

#[cfg(not(feature = "bpe"))]
#[test]
fn a_build_without_byte_pair_encoding_says_how_to_make_one_with_it() {
    let place = Place::new();
    place.write_texts();
    let bpe = ["--set", "data.text.tokenizer=bpe"];
    place.train("words.toml", "x", &bpe).fails(2, &["`data.text.tokenizer`", "--features bpe"]);
}

#[test]
fn gaps_of_a_series_are_filled_from_what_is_learnt_from_alone() {
    let place = Place::new();
    place.write_waves();
    // Gaps early and late; what follows the training part is far higher than all before.
    let cell = |t: i32| match t {
        50 | 120 | 280 => String::new(),
        0..216 => f64::from(t % 3).to_string(),
        _ => "1000".to_string(),
    };
    let rows: String = (0..300).map(|t| format!("{t},{}\n", cell(t))).collect();
    place.write("s/gaps.csv", &format!("day,height\n{rows}"));
    let gaps = ["--set", "data.series.file=gaps.csv"];
    place.train("waves.toml", "s", &gaps).fails(1, &["gaps.csv: line 52, column `height`: found an empty cell"]);
    place
        .train("waves.toml", "s", &[&gaps[..], &["--set", "data.series.missing=drop"]].concat())
        .fails(2, &["missing"]);
    for (rule, fill) in [
        ("mean", (0..216).filter(|t| ![50, 120].contains(t)).map(|t| t % 3).sum::<i32>() as f64 / 214.0),
        ("median", 1.0),
    ] {
        let missing = format!("data.series.missing={rule}");
        let ran =
            place.train("waves.toml", "s", &[&gaps[..], &["--epochs", "1", "--set", &missing, "--json"]].concat());
        let run = ran.json()["run_dir"].as_str().unwrap().to_string();
        let (_, card) = load_safetensors(place.path(&run).join("best.safetensors")).unwrap();
        let encoding: Value = serde_json::from_str(&card["gradus.encoding"]).unwrap();
        assert!((number(&encoding["fill"][0]) - fill).abs() < 1e-9, "{rule}: {encoding}");
        // Mean and deviation are those of the training part with its gaps filled.
        assert!(number(&encoding["mean"][0]) < 2.0, "{encoding}");
        // A gap in another file is filled alike.
        let last = |gap: &str| {
            let rows: String = (0..8).map(|t| format!("{t},{}\n", if t == 6 { gap } else { "1" })).collect();
            place.write("new.csv", &format!("day,height\n{rows}"));
            let said = place.run(&["predict", &run, "new.csv", "--json"]).json();
            number(&said["predictions"][0]["values"][0])
        };
        assert_eq!(last(""), last(&fill.to_string()), "{rule}");
    }
}

#[test]
fn a_number_is_foretold_from_a_table_with_missing_cells_and_text() {
    let place = Place::new();
    place.write_houses();
    let result = place.train("line.toml", "t", &["--json"]).json();
    assert!(number(&result["test_errors"]["r2"]) > 0.95, "{result}");
    assert!(result["test_accuracy"].is_null() && number(&result["test_errors"]["mae"]) < 150.0, "{result}");
    let csv = fs::read_to_string(place.path("runs/line-001/metrics.csv")).unwrap();
    assert!(csv.starts_with("epoch,lr,train_loss,train_batch_loss,val_loss,val_mse,val_mae,val_r2,seconds\n"), "{csv}");
    let page = fs::read_to_string(place.path("runs/line-001/report.html")).unwrap();
    assert!(page.contains("test errors") && page.contains("validation R2") && page.contains("coefficient of determ"));
    let found = place.run(&["eval", "line-001", "--json"]).json();
    assert_eq!((&found["r2"], &found["target"]), (&result["test_errors"]["r2"], &"price".into()));
    let shown = place.run(&["eval", "line-001", "--pictures", "out"]);
    assert!(shown.stdout.contains("MAE") && place.path("out/numbers.svg").exists(), "{}", shown.stdout);
    place.run(&["eval", "line-001", "--adversarial", "0.1"]).fails(1, &["`price` is a number"]);

    // The columns are encoded as they were learnt, in whatever order they come.
    place.write("new.csv", "place,rooms\nsea,2\nhill,8\n");
    let said = place.run(&["predict", "line-001", "new.csv", "--json"]).json();
    let values: Vec<f64> = (0..2).map(|i| number(&said["predictions"][i]["values"][0])).collect();
    assert!((values[0] - 2000.0).abs() < 150.0 && (values[1] - 3400.0).abs() < 150.0, "{values:?}");
    place.write("new.csv", "place,rooms\nmoon,2\n");
    place.run(&["predict", "line-001", "new.csv"]).fails(1, &["new.csv: line 2, column `place`: found `moon`"]);
    let listed = place.run(&["runs", "--curves", "r2.svg", "--metric", "val_r2"]);
    assert!(listed.code == Some(0) && place.path("r2.svg").exists(), "{}", listed.stderr);
}

#[test]
fn classes_of_a_table_are_learnt_and_its_mistakes_are_named() {
    let place = Place::new();
    place.write_houses();
    let classes = ["--set", "loss=cross-entropy", "--set", "data.table.target=place", "--json"];
    let result = place.train("line.toml", "t", &[&classes[..], &["--set", "model.hidden=[8]"]].concat()).json();
    assert!(number(&result["test_accuracy"]) > 0.8, "{result}");
    let said = place.run(&["predict", "line-001", "t/houses.csv", "--json"]).json();
    assert_eq!(said["predictions"].as_array().unwrap().len(), 120);

    let fails = |settings: &[&str], words: &[&str]| place.train("line.toml", "t", settings).fails(1, words);
    fails(
        &["--set", "data.table.inputs=[\"floors\"]"],
        &["houses.csv: header: found no column `floors`", "rooms, place"],
    );
    fails(&["--set", "data.table.missing=refuse"], &["houses.csv: line 41, column `rooms`: found an empty cell"]);
    place.write("t/bad.csv", "rooms,place,price\n1,sea,100\n2,sea,two\n3,sea,4\n4,sea,5\n5,sea,6\n");
    fails(&["--set", "data.table.train=bad.csv"], &["bad.csv: line 3, column `price`: found `two`, expected a number"]);
    place.write("t/more.csv", "rooms,place,price\n1,moon,100\n");
    fails(
        &["--set", "loss=cross-entropy", "--set", "data.table.target=place", "--set", "data.table.validation=more.csv"],
        &["more.csv: line 2, column `place`: found `moon`, expected one of the classes that are trained: hill, sea"],
    );
    place.train("line.toml", "t", &["--set", "data.table.target="]).fails(2, &["`data.table.target`: a recipe must"]);
    place.train("line.toml", "t", &["--skip-broken"]).fails(2, &["data.folder.skip_broken"]);
    let eval = ["--set", "transforms.eval=[{name='ToTensor'}]"];
    place.train("line.toml", "t", &eval).fails(2, &["`table` has no pictures"]);
    place.train("line.toml", "t", &["--set", "training.mix=mixup"]).fails(2, &["`training.mix`: it is for classes"]);
    place.train("line.toml", "t", &["--set", "model.inputs=7"]).fails(2, &["`model.inputs`: the data has 3, got 7"]);
}

#[test]
fn a_time_series_is_foretold_from_its_past() {
    let place = Place::new();
    place.write_waves();
    let result = place.train("waves.toml", "s", &["--json"]).json();
    assert!(number(&result["test_errors"]["r2"]) > 0.95, "{result}");
    // 240 steps before the test, 24 of them for validation; a window of 8 and 2 steps after it.
    assert_eq!(result["examples"], serde_json::json!([207, 15, 51]));
    assert_eq!(place.run(&["eval", "waves-001", "--json"]).json()["mae"], result["test_errors"]["mae"]);
    let said = place.run(&["predict", "waves-001", "s/waves.csv", "--json"]).json();
    let next = |t: f64| 15.0 + 8.0 * (t * 0.5).sin();
    for (value, truth) in said["predictions"][0]["values"].as_array().unwrap().iter().zip([next(300.0), next(301.0)]) {
        assert!((number(value) - truth).abs() < 2.0, "{said}");
    }
    // One step ahead is drawn over time, as it is.
    let drawn = |run: &str| fs::read_to_string(place.path(&format!("runs/{run}/numbers.svg"))).unwrap();
    assert!(drawn("waves-001").contains("in the order of the truth"));
    place.train("waves.toml", "s", &["--json", "--set", "data.series.horizon=1", "--epochs", "1"]).json();
    assert!(drawn("waves-002").contains("in the order of time") && !drawn("waves-002").contains("NaN"));
    place.train("waves.toml", "s", &["--set", "data.series.window=40"]).fails(1, &["24 steps", "window of 40"]);
    place.train("waves.toml", "s", &["--set", "loss=cross-entropy"]).fails(2, &["use mse, l1 or huber"]);
}

#[test]
fn texts_are_learnt_as_bags_of_words_with_the_vocabulary_of_the_checkpoint() {
    let place = Place::new();
    place.write_texts();
    let result = place.train("words.toml", "x", &["--json"]).json();
    assert_eq!(number(&result["test_accuracy"]), 1.0, "{result}");
    assert_eq!(number(&place.run(&["eval", "words-001", "--json"]).json()["test_accuracy"]), 1.0);
    place.write("new.txt", "a lovely film\nwhat an awful , grim thing\n");
    let said = place.run(&["predict", "words-001", "new.txt", "--json"]).json();
    assert_eq!((&said["predictions"][0]["class"], &said["predictions"][1]["class"]), (&"good".into(), &"bad".into()));
    place.write("x/odd.tsv", "label\tcontent\nugly\tthe film\n");
    let odd = ["--set", "data.text.validation=odd.tsv"];
    place.train("words.toml", "x", &odd).fails(1, &["odd.tsv: line 2, column `label`: found `ugly`"]);
    place.train("words.toml", "x", &["--set", "data.text.text=[\"words\"]"]).fails(1, &["no column `words`"]);
    place.run(&["predict", "words-001", "new.txt", "--resize"]).fails(1, &["for pictures"]);
}

#[test]
fn word_vectors_learnt_apart_know_words_that_no_class_was_given_for() {
    let place = Place::new();
    place.write_texts();
    let groups = [["fine", "lovely", "bright", "superb", "charming"], ["dull", "grim", "awful", "dire", "bleak"]];
    let text =
        |i: usize| (0..5).map(|j| groups[i % 2][(i / 2 * 3 + j * j * (i % 7) + j) % 5]).collect::<Vec<_>>().join(" ");
    place.write("x/more.tsv", &("sentence\n".to_string() + &(0..300).map(|i| text(i) + "\n").collect::<String>()));
    place.write("new.txt", "superb charming\ndire bleak\n");
    let said = |run: &str| -> Vec<f64> {
        let found = place.run(&["predict", run, "new.txt", "--json"]).json();
        (0..2).map(|i| number(&found["predictions"][i]["probabilities"]["good"])).collect()
    };
    place.train("words.toml", "x", &["--json"]).json();
    let plain = said("words-001");
    assert!((plain[0] - plain[1]).abs() < 1e-6, "both are unknown words alone: {plain:?}");
    let settings = ["--json", "--set", "data.text.vectors=more.tsv", "--set", "data.text.vectors_epochs=60"];
    let ran = place.train("words.toml", "x", &settings);
    assert_eq!(number(&ran.json()["test_accuracy"]), 1.0);
    assert!(ran.stderr.contains("learning 8 numbers for each of"), "{}", ran.stderr);
    let found = said("words-002");
    assert!(found[0] > 0.6 && found[1] < 0.4, "{found:?}");
    let shallow = ["--set", "data.text.vectors=more.tsv", "--set", "model.hidden=[]"];
    place.train("words.toml", "x", &shallow).fails(2, &["`data.text.vectors`", "a hidden layer"]);
    place.train("words.toml", "x", &["--set", "data.text.vectors=absent.tsv"]).fails(1, &["absent.tsv"]);
}

#[test]
fn tables_and_texts_are_looked_at() {
    let place = Place::new();
    place.write_houses();
    place.write_texts();
    let found = place.run(&["data", "stats", "t/houses.csv", "--json"]).json();
    assert_eq!((&found["rows"], &found["columns"][0]["empty"]), (&120.into(), &3.into()));
    assert_eq!(found["columns"][1]["common"], serde_json::json!([["hill", 60], ["sea", 60]]));
    let text = place.run(&["data", "stats", "x/train.tsv"]).stdout;
    assert!(text.contains("bad (40), good (40)") && text.contains("sentence: 80 texts: 0 equal"), "{text}");
    place.write("long.txt", "to be or not\nto be\n\nto be\n");
    let text = place.run(&["data", "stats", "long.txt"]).stdout;
    assert!(text.contains("4 lines: 1 equal to an earlier one, 1 empty; 8 tokens, 4 different"), "{text}");
    place.run(&["data", "stats", "long.txt", "--sheet", "s.png"]).fails(1, &["no pictures for --sheet"]);
    place.write("t/odd.csv", "a,b\n1\n");
    place.run(&["data", "stats", "t/odd.csv"]).fails(1, &["odd.csv: line 2: found 1 cells"]);
}

#[test]
fn means_alone_or_of_imagenet_are_subtracted_as_the_recipe_says() {
    let place = Place::new();
    place.write_pictures();
    for (how, step) in [("mean", "SubtractMean\""), ("mean-image", "SubtractMeanImage"), ("imagenet", "0.485")] {
        let setting = format!("data.normalize={how}");
        let result = place.train("toy.toml", "p", &["--json", "--set", &setting, "--out", how]).json();
        assert!(number(&result["test_accuracy"]) > 0.9, "{how}: {result}");
        let run = format!("{how}/toy-001");
        assert_eq!(place.run(&["eval", &run, "--json"]).json()["test_loss"], result["test_loss"]);
        let bytes = fs::read(place.path(&run).join("best.safetensors")).unwrap();
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(65_536)]).replace('\\', "");
        assert!(head.contains(step), "{how} is not in the checkpoint");
    }
    let grey = ["--set", "data.normalize=imagenet", "--set", "data.folder.channels=1"];
    place.train("toy.toml", "p", &grey).fails(2, &["`data.normalize`", "3 channels, got 1"]);
}

#[test]
fn every_optimizer_of_the_library_trains() {
    let place = Place::new();
    let optimizers = gradus::train::OptimizerConfig::NAMES;
    assert_eq!(optimizers.len(), 14);
    for name in optimizers {
        let optimizer = format!("optimizer.name={name}");
        let ran = place.quick(&["--set", &optimizer, "--set", "training.max_steps=3", "--json"]);
        assert!(number(&ran.json()["test_loss"]).is_finite(), "{name}");
    }
}

#[test]
fn a_second_order_method_finds_the_line_in_a_few_steps_over_all_rows() {
    let place = Place::new();
    place.write_houses();
    let all = ["--set", "batch_size=1000", "--set", "optimizer.name=lbfgs", "--set", "optimizer.lr=1"];
    let search = ["--set", "optimizer.line_search_fn=strong_wolfe", "--epochs", "3", "--json"];
    let args = [&all[..], &search].concat();
    let found = place.train("line.toml", "t", &args).json();
    let r2 = |ran: &Value| number(&ran["test_errors"]["r2"]);
    let adamw = place.train("line.toml", "t", &["--epochs", "3", "--json"]).json();
    assert!(r2(&found) > 0.995 && r2(&adamw) < 0.9, "{found} {adamw}");
    // Batches in two parts are one step, with dropout the same in each evaluation.
    let parts = ["--set", "batch_size=40", "--set", "training.accumulate=3", "--set", "model.hidden=[8]"];
    let ran = place.train("line.toml", "t", &[&args[..], &parts, &["--set", "model.dropout=0.1"]].concat()).json();
    assert!(r2(&ran) > 0.5, "{ran}");
    let clip = ["--set", "training.clip_norm=1"];
    place.train("line.toml", "t", &[&args[..], &clip].concat()).fails(2, &["`training.clip_norm`", "lbfgs"]);
    let line = ["--set", "optimizer.line_search_fn=wolfe"];
    place.train("line.toml", "t", &[&args[..], &line].concat()).fails(2, &["optimizer", "strong_wolfe"]);
}
