//! How fast a directory of pictures is decoded, augmented and batched: `loader_speed DIR [WORKERS] [EPOCHS]`.
//!
//! `scripts/bench/loader.py` does the same with torchvision.

use gradus_data::transforms::{Compose, Normalize, RandomCrop, RandomHorizontalFlip, ToTensor};
use gradus_data::{DataLoader, Dataset, ImageFolder};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| arguments.get(i).map_or(Ok(default), |a| a.parse());
    let dir = arguments.first().ok_or("usage: loader_speed DIR [WORKERS] [EPOCHS]")?;
    let steps = Compose::new([
        RandomCrop::new(32).padding(4).into(),
        RandomHorizontalFlip::new().into(),
        ToTensor::new().into(),
        Normalize::new(&[0.4914, 0.4822, 0.4465], &[0.2470, 0.2435, 0.2616]).into(),
    ]);
    let folder = ImageFolder::open(dir)?.transform(steps);
    let loader = DataLoader::new(folder).batch_size(64).shuffle(true).workers(number(1, 2)?);
    for epoch in 0..number(2, 5)? {
        let start = Instant::now();
        let mut sum = 0.0;
        for batch in loader.epoch(epoch) {
            sum += batch?.0.at(&[0, 0, 0, 0]);
        }
        let seconds = start.elapsed().as_secs_f64();
        let rate = loader.dataset().len() as f64 / seconds;
        println!("epoch {epoch}: {seconds:.3} s, {rate:.0} pictures/s (first pixels sum to {sum:.3})");
    }
    Ok(())
}
