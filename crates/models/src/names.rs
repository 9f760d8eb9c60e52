//! Names that were nearly right.

/// A hint at the candidate nearest to what was given, such as " (did you mean `vgg16`?)"; empty if none is near.
///
/// ```
/// assert_eq!(gradus_models::did_you_mean("vgg61", ["alexnet", "vgg16"]), " (did you mean `vgg16`?)");
/// assert_eq!(gradus_models::did_you_mean("zebra", ["alexnet", "vgg16"]), "");
/// ```
pub fn did_you_mean<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    // The first measure favours a common beginning, the second is fair to swapped letters.
    let close = |c: &str| (strsim::jaro_winkler(given, c), strsim::normalized_damerau_levenshtein(given, c));
    candidates
        .into_iter()
        .map(|c| (close(c), c))
        .filter(|((winkler, edits), _)| *winkler > 0.75 || *edits > 0.6)
        .map(|((winkler, edits), c)| (winkler + edits, c))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, c)| format!(" (did you mean `{c}`?)"))
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn a_close_name_is_offered_and_a_far_one_is_not() {
        assert_eq!(did_you_mean("digit", ["mnist", "digits"]), " (did you mean `digits`?)");
        assert_eq!(did_you_mean("sdg", ["sgd", "adam"]), " (did you mean `sgd`?)");
        assert_eq!(did_you_mean("zebra", ["mnist", "digits"]), "");
    }
}
