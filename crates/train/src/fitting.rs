//! Making a model as large as its data asks for.

use gradus_models::{Architecture, find};

/// The architecture with `inputs`, `in_channels`, `num_classes` and `out_channels` as the data has them, where it has such fields.
///
/// # Errors
/// If a recipe sets such a field to something else, or the model cannot take inputs of this shape or give so many
/// outputs.
pub(crate) fn fitted(model: &Architecture, shape: &[usize], outputs: usize) -> Result<Architecture, String> {
    let row = find(&model.name).map_err(|e| e.to_string())?;
    let (mut fit, defaults) = (model.clone(), row.default_architecture().config);
    let channels = (shape.len() == 3).then(|| shape[0]);
    let wanted = [
        ("inputs", Some(shape.iter().product())),
        ("in_channels", channels),
        ("num_classes", Some(outputs)),
        ("out_channels", Some(outputs)),
    ];
    for (field, value) in wanted.into_iter().filter_map(|(field, value)| Some((field, value?))) {
        let Some(usual) = defaults.get(field) else { continue };
        let given = model.config.get(field).unwrap_or(usual);
        if *given != value && given != usual {
            return Err(format!("setting `model.{field}`: the data has {value}, got {given}"));
        }
        fit.config.insert(field.into(), value.into());
    }
    let takes = row.needs(&fit.config).map_err(|e| e.to_string())?;
    match takes {
        Some(needs) => needs.check(shape).map_err(|e| format!("model `{}` {e}", row.name))?,
        None if defaults.contains_key("inputs") || row.input == shape => (),
        None => return Err(format!("model `{}` takes {:?}, but the data has {shape:?}", row.name, row.input)),
    }
    let any = ["num_classes", "out_channels"].iter().any(|field| defaults.contains_key(*field));
    match any || row.classes == outputs {
        true => Ok(fit),
        false => Err(format!("model `{}` gives {} outputs, but the data asks for {outputs}", row.name, row.classes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_takes_its_sizes_from_the_data_and_says_what_does_not_fit() {
        let model = |name: &str| find(name).unwrap().default_architecture();
        let fit = fitted(&model("mlp"), &[7, 3], 2).unwrap();
        assert_eq!((fit.config["inputs"].as_u64(), fit.config["num_classes"].as_u64()), (Some(21), Some(2)));
        assert_eq!(fitted(&fit, &[7, 3], 2).unwrap(), fit);
        let net = fitted(&model("resnet20_cifar"), &[1, 40, 32], 4).unwrap();
        assert_eq!((net.config["in_channels"].as_u64(), net.config["num_classes"].as_u64()), (Some(1), Some(4)));
        let error = |name: &str, shape: &[usize], outputs| fitted(&model(name), shape, outputs).unwrap_err();
        assert!(fitted(&fit, &[7, 4], 2).unwrap_err().contains("`model.inputs`: the data has 28, got 21"));
        assert!(error("digits-cnn", &[1, 28, 28], 10).contains("takes [1, 8, 8], but the data has [1, 28, 28]"));
        assert!(error("digits-cnn", &[1, 8, 8], 3).contains("gives 10 outputs, but the data asks for 3"));
        assert!(error("alexnet", &[3, 32, 32], 10).contains("at least 63x63"));
        assert!(error("resnet18", &[12], 10).contains("needs pictures"));
    }
}
