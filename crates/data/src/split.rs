//! Taking a part of the examples aside.

use crate::DataError;
use crate::text::read_text;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Splits `0..n` at random: the indices that stay, and a `fraction` of them (rounded) set aside; both ascending.
///
/// # Panics
/// If `fraction` is not between 0 and 1.
#[track_caller]
pub fn random_split(n: usize, fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    stratified_split(&vec![0; n], fraction, seed)
}

/// Splits the examples with these labels so that every class is set aside in the same proportion: the
/// indices that stay, and a `fraction` of them (rounded) set aside; both ascending.
///
/// The number set aside of each class differs by less than one from its exact share.
///
/// # Panics
/// If `fraction` is not between 0 and 1.
///
/// ```
/// let labels = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1];
/// let (train, test) = gradus_data::stratified_split(&labels, 0.4, 0);
/// assert_eq!((train.len(), test.len()), (6, 4));
/// assert_eq!(test.iter().filter(|&&i| labels[i] == 1).count(), 2);
/// ```
#[track_caller]
pub fn stratified_split(labels: &[i64], fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    assert!((0.0..=1.0).contains(&fraction), "split: the fraction {fraction} is not between 0 and 1");
    let mut classes: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (i, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(i);
    }
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut stay, mut aside) = (Vec::new(), Vec::new());
    for (mut members, count) in shares(classes.into_values().collect(), fraction) {
        members.shuffle(&mut rng);
        aside.extend_from_slice(&members[..count]);
        stay.extend_from_slice(&members[count..]);
    }
    stay.sort_unstable();
    aside.sort_unstable();
    (stay, aside)
}

/// Splits examples by a list: those whose names stand in the text file `list`, one a line, are set aside; empty
/// lines do not count. The indices that stay, and those set aside; both ascending.
///
/// # Errors
/// If the list cannot be read or names something twice or that is not there, or one of the parts is empty.
pub fn split_by_list(names: &[String], list: impl AsRef<Path>) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let list = list.as_ref();
    let text = read_text(list)?;
    let by_name: BTreeMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
    let (mut aside, mut seen) = (Vec::new(), HashSet::new());
    for (line, name) in text.lines().map(str::trim).enumerate().filter(|(_, name)| !name.is_empty()) {
        let wrong = |expected| DataError::malformed(list, format!("line {}", line + 1), format!("`{name}`"), expected);
        let index = *by_name.get(name).ok_or_else(|| wrong("the name of an example, such as `class/picture.png`"))?;
        if !seen.insert(index) {
            return Err(wrong("each name once"));
        }
        aside.push(index);
    }
    aside.sort_unstable();
    let stay: Vec<usize> = (0..names.len()).filter(|i| aside.binary_search(i).is_err()).collect();
    if aside.is_empty() || stay.is_empty() {
        let found = format!("{} of {} examples", aside.len(), names.len());
        return Err(DataError::malformed(list, "names", found, "some of them, not all"));
    }
    Ok((stay, aside))
}

/// How many of each class to set aside: whole shares first, then one more for the largest remainders
/// until the total is right.
fn shares(classes: Vec<Vec<usize>>, fraction: f64) -> Vec<(Vec<usize>, usize)> {
    let n: usize = classes.iter().map(Vec::len).sum();
    let exact = |c: &Vec<usize>| c.len() as f64 * fraction;
    let mut out: Vec<(Vec<usize>, usize)> =
        classes.into_iter().map(|c| (exact(&c).floor() as usize, c)).map(|(k, c)| (c, k)).collect();
    let mut missing = (n as f64 * fraction).round() as usize - out.iter().map(|(_, k)| k).sum::<usize>();
    let mut by_remainder: Vec<usize> = (0..out.len()).collect();
    by_remainder.sort_by(|&a, &b| exact(&out[b].0).fract().total_cmp(&exact(&out[a].0).fract()));
    for i in by_remainder {
        if missing > 0 && out[i].1 < out[i].0.len() {
            out[i].1 += 1;
            missing -= 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_gives_its_share_and_every_index_comes_once() {
        let labels: Vec<i64> = (0..1797).map(|i| (i * i + i / 7) % 10 - 3).collect();
        for fraction in [0.0, 0.1, 0.2, 1.0 / 3.0, 0.999, 1.0] {
            let (stay, aside) = stratified_split(&labels, fraction, 5);
            assert_eq!(aside.len(), (1797.0 * fraction).round() as usize, "{fraction}");
            for class in -3..7 {
                let count = |list: &[usize]| list.iter().filter(|&&i| labels[i] == class).count() as f64;
                let exact = fraction * (count(&stay) + count(&aside));
                assert!((count(&aside) - exact).abs() < 1.0, "class {class} of {fraction}");
            }
            let mut all = [stay, aside].concat();
            all.sort_unstable();
            assert_eq!(all, (0..1797).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(random_split(100, 0.3, 1), random_split(100, 0.3, 1));
        assert_ne!(random_split(100, 0.3, 1), random_split(100, 0.3, 2));
        let (stay, aside) = random_split(101, 0.3, 1);
        assert_eq!((stay.len(), aside.len()), (71, 30));
        assert_eq!(random_split(0, 0.5, 0), (vec![], vec![]));
    }

    #[test]
    fn a_list_says_what_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("validation.txt");
        let names = ["a/1.png", "a/2.png", "b/1.png"].map(String::from);
        let split = |text: &str| {
            std::fs::write(&list, text).unwrap();
            split_by_list(&names, &list).map_err(|e| e.to_string())
        };
        assert_eq!(split("b/1.png\n\na/1.png\r\n"), Ok((vec![1], vec![0, 2])));
        assert!(split("a/1.png\na/3.png\n").unwrap_err().contains("validation.txt: line 2: found `a/3.png`"));
        assert!(split("a/1.png\na/1.png\n").unwrap_err().contains("line 2: found `a/1.png`, expected each name once"));
        assert!(split("a/1.png\na/2.png\nb/1.png").unwrap_err().contains("found 3 of 3 examples"));
        assert!(split("\n").unwrap_err().contains("found 0 of 3"));
    }

    #[test]
    #[should_panic(expected = "1.5 is not between 0 and 1")]
    fn a_fraction_is_a_part() {
        random_split(10, 1.5, 0);
    }
}
