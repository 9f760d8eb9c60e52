//! Directories of pictures, as a loader reads them.

use gradus_data::transforms::{Compose, FiveCrop, GaussianNoise, RandomCrop, RandomHorizontalFlip, Resize, ToTensor};
use gradus_data::{DataError, DataLoader, Dataset, Draw, Image, ImageFolder, PairedImageFolder, UnpairedImageFolder};
use std::fs;
use std::path::Path;

/// `count` pictures of different contents in each class.
fn make(root: &Path, classes: &[&str], count: usize) {
    for (c, class) in classes.iter().enumerate() {
        fs::create_dir_all(root.join(class)).unwrap();
        for i in 0..count {
            let bytes = (0..12 * 10 * 3).map(|p| (p * (i + 3) + c * 77) as u8).collect();
            Image::new(bytes, 12, 10, 3).save_png(root.join(class).join(format!("{i:02}.png"))).unwrap();
        }
    }
}

fn augment() -> Compose {
    Compose::new([RandomCrop::new(8).padding(2).into(), RandomHorizontalFlip::new().into(), ToTensor::new().into()])
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &["b", "a"], 11);
    let folder = ImageFolder::open(dir.path()).unwrap().transform(augment());
    assert_eq!(
        (folder.len(), folder.classes(), folder.labels()[10..12].to_vec()),
        (22, &["a".into(), "b".into()][..], vec![0, 1])
    );
    let run = |workers: usize, epoch: usize| {
        let loader = DataLoader::new(folder.clone()).batch_size(5).shuffle(true).seed(3).workers(workers);
        let batches = loader.epoch(epoch).map(|b| b.unwrap());
        batches.map(|(x, y)| (x.to_vec::<f32>(), y.to_vec::<i64>())).collect::<Vec<_>>()
    };
    let first = run(0, 0);
    assert_eq!((first.len(), first[4].1.len()), (5, 2));
    assert_eq!(first, run(1, 0));
    assert_eq!(first, run(3, 0));
    assert_ne!(first, run(0, 1));
    assert_eq!(folder.names()[11], "b/00.png");
    // Without shuffling the same example is another crop in the next epoch.
    let one = |epoch| folder.get(&[4], Draw::new(3, epoch)).unwrap().0.to_vec::<f32>();
    assert!((1..6).any(|e| one(e) != one(0)));
}

#[test]
fn five_crops_are_a_dimension() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &["a"], 3);
    let folder = ImageFolder::open(dir.path()).unwrap().channels(1).transform(Compose::new([FiveCrop::new(6).into()]));
    let (x, _) = folder.get(&[0, 2], Draw::default()).unwrap();
    assert_eq!(x.shape(), [2, 5, 1, 6, 6]);
}

#[test]
fn a_broken_picture_is_named_and_skipped_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &["a", "b"], 4);
    let bad = dir.path().join("b/01.png");
    let good = fs::read(&bad).unwrap();
    fs::write(&bad, &good[..good.len() / 2]).unwrap();
    let folder = ImageFolder::open(dir.path()).unwrap();
    for workers in [0, 2] {
        let loader = DataLoader::new(folder.clone()).batch_size(2).workers(workers);
        let e = loader.epoch(0).find_map(|b| b.err()).unwrap().to_string();
        assert!(e.contains("b/01.png: picture: found"), "{e}");
    }
    let (whole, broken) = folder.skip_broken(2);
    assert_eq!((whole.len(), broken.len()), (7, 1));
    assert!(broken[0].to_string().contains("b/01.png"));
    assert!(DataLoader::new(whole).batch_size(2).epoch(0).all(|b| b.is_ok()));
}

#[test]
fn directories_that_cannot_be_used_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let error = |r: Result<ImageFolder, DataError>| r.map(drop).unwrap_err().to_string();
    assert!(error(ImageFolder::open(dir.path())).contains("found no directories"));
    make(dir.path(), &["a", "b"], 1);
    fs::create_dir(dir.path().join("c")).unwrap();
    let e = error(ImageFolder::open(dir.path()));
    assert!(e.contains("c: class: found no pictures"), "{e}");
    fs::remove_dir(dir.path().join("c")).unwrap();
    let e = error(ImageFolder::open_with_classes(dir.path(), &["a".into(), "x".into()]));
    assert!(e.contains("found `b`, expected one of the classes that were trained: a, x"), "{e}");
    assert_eq!(ImageFolder::open_with_classes(dir.path(), &["b".into(), "a".into()]).unwrap().labels(), [1, 0]);
    // Pictures of different sizes in a batch.
    Image::filled(5, 6, &[1, 2, 3]).save_png(dir.path().join("b/00.png")).unwrap();
    let folder = ImageFolder::open(dir.path()).unwrap();
    let e = folder.get(&[0, 1], Draw::default()).map(drop).unwrap_err().to_string();
    assert!(e.contains("b/00.png: is 5x6 after its transforms, where the batch began with 12x10"), "{e}");
    let folder = folder.transform(Compose::new([Resize::new([7, 9]).into()]));
    assert_eq!(folder.get(&[0, 1], Draw::default()).unwrap().0.shape(), [2, 3, 7, 9]);
    let folder = folder.transform(Compose::new([RandomCrop::new(6).into()]));
    let e = folder.get(&[1], Draw::default()).map(drop).unwrap_err().to_string();
    assert!(e.contains("b/00.png: RandomCrop: a crop of 6x6 does not fit"), "{e}");
}

#[test]
fn pairs_share_their_random_choices_and_strangers_do_not() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &["left", "right"], 6);
    for i in 0..6 {
        fs::copy(dir.path().join(format!("left/{i:02}.png")), dir.path().join(format!("right/{i:02}.png"))).unwrap();
    }
    let (left, right) = (dir.path().join("left"), dir.path().join("right"));
    let pairs = PairedImageFolder::open(&left, &right).unwrap().transform(augment());
    let (x, y) = pairs.get(&[0, 3, 5], Draw::new(1, 2)).unwrap();
    assert_eq!(x.to_vec::<f32>(), y.to_vec::<f32>());
    let noisy = Compose::new([RandomCrop::new(8).into(), ToTensor::new().into(), GaussianNoise::new().into()]);
    let clean = Compose::new([RandomCrop::new(8).into()]);
    let (x, y) = PairedImageFolder::of(&left).unwrap().transforms(noisy, clean).get(&[1, 4], Draw::new(1, 0)).unwrap();
    let noise = (x - y).to_vec::<f32>();
    assert!(noise.iter().all(|v| v.abs() < 0.6) && noise.iter().any(|v| v.abs() > 0.01), "the same crop, with noise");
    let strangers = UnpairedImageFolder::open(&left, &right).unwrap();
    let partners = |epoch| strangers.get(&[0, 1, 2, 3, 4, 5], Draw::new(1, epoch)).unwrap().1.to_vec::<f32>();
    assert_eq!(partners(0), partners(0));
    assert_ne!(partners(0), partners(1));
    fs::remove_file(right.join("02.png")).unwrap();
    let e = PairedImageFolder::open(&left, &right).map(drop).unwrap_err().to_string();
    assert!(e.contains("left/02.png: has no partner in") && e.contains("right"), "{e}");
}
