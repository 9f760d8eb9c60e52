//! A list of steps as data.

use super::{
    CenterCrop, ColorJitter, FiveCrop, GaussianBlur, GaussianNoise, Grayscale, OnImage, Planes, RandomAffine,
    RandomCrop, RandomErasing, RandomHorizontalFlip, RandomResizedCrop, RandomRotation, RandomVerticalFlip, Resize,
    Step, SubtractMean, SubtractMeanImage, ToTensor,
};
use crate::{DataError, Image, InterpolationMode, Mask, Normalize, Random};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

macro_rules! transforms {
    ($($name:ident: $kind:ident $($check:ident)?),* $(,)?) => {
        /// One step of a [`Compose`]; each is made from the struct of its name by `into`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        pub enum Transform {
            $(#[doc = concat!("See [`", stringify!($name), "`](struct@crate::transforms::", stringify!($name), ").")]
            $name($name)),*
        }

        $(impl From<$name> for Transform {
            fn from(step: $name) -> Transform {
                Transform::$name(step)
            }
        })*

        impl Transform {
            /// The name of every transform, as recipes spell it.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The step's name.
            pub fn name(&self) -> &'static str {
                match self { $(Transform::$name(_) => stringify!($name)),* }
            }

            /// Whether the step works on a picture, turns it into floats, or works on floats.
            fn kind(&self) -> Kind {
                match self { $(Transform::$name(_) => Kind::$kind),* }
            }

            fn check(&self) -> Step<()> {
                match self { $(Transform::$name(_step) => transforms!(@check _step $($check)?)),* }
            }
        }
    };
    (@check $step:ident check) => { $step.check() };
    (@check $step:ident) => { Ok(()) };
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Picture,
    Turn,
    Floats,
}

transforms! {
    Resize: Picture check,
    CenterCrop: Picture check,
    RandomCrop: Picture check,
    RandomResizedCrop: Picture check,
    FiveCrop: Picture check,
    RandomHorizontalFlip: Picture check,
    RandomVerticalFlip: Picture check,
    RandomRotation: Picture check,
    RandomAffine: Picture check,
    ColorJitter: Picture check,
    Grayscale: Picture check,
    GaussianBlur: Picture check,
    ToTensor: Turn,
    Normalize: Floats check,
    SubtractMean: Floats,
    SubtractMeanImage: Floats check,
    GaussianNoise: Floats check,
    RandomErasing: Floats check,
}

/// A list of steps from a picture to a tensor.
///
/// As TOML a step is a table with its `name` and the arguments of torchvision; a name or an argument that does
/// not exist is an error that lists what does. Random steps are drawn anew whenever an example is read, so the
/// examples differ from epoch to epoch though their number stays ([`FiveCrop`] alone multiplies it).
///
/// ```
/// use gradus_data::transforms::{Compose, Normalize, RandomCrop, RandomHorizontalFlip, ToTensor};
/// use gradus_data::{Draw, Image};
/// let steps = Compose::new([
///     RandomCrop::new(32).padding(4).into(),
///     RandomHorizontalFlip::new().into(),
///     ToTensor::new().into(),
///     Normalize::new(&[0.5; 3], &[0.25; 3]).into(),
/// ]);
/// let image = Image::filled(32, 32, &[255, 0, 0]);
/// let out = steps.apply(&image, &mut Draw::new(0, 3).rng(17)).unwrap();
/// assert_eq!(out.shape(), [3, 32, 32]);
/// let same = r#"
///     [[steps]]
///     name = "RandomCrop"
///     size = 32
///     padding = 4
///     [[steps]]
///     name = "RandomHorizontalFlip"
///     [[steps]]
///     name = "ToTensor"
///     [[steps]]
///     name = "Normalize"
///     mean = [0.5, 0.5, 0.5]
///     std = [0.25, 0.25, 0.25]
/// "#;
/// #[derive(serde::Deserialize)]
/// struct Recipe { steps: Compose }
/// assert_eq!(toml::from_str::<Recipe>(same).unwrap().steps, steps);
/// ```
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Compose.html>
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Transform>", into = "Vec<Transform>")]
pub struct Compose {
    steps: Vec<Transform>,
}

impl TryFrom<Vec<Transform>> for Compose {
    type Error = String;

    fn try_from(steps: Vec<Transform>) -> Result<Compose, String> {
        let mut floats = false;
        for step in &steps {
            step.check().map_err(|reason| format!("{}: {reason}", step.name()))?;
            match (step.kind(), floats) {
                (Kind::Picture, true) => {
                    return Err(format!("{} works on pictures and must come before ToTensor", step.name()));
                }
                (Kind::Floats, false) => {
                    return Err(format!("{} works on floats and must come after ToTensor", step.name()));
                }
                (Kind::Turn, true) => return Err("ToTensor comes twice".into()),
                (kind, _) => floats = kind != Kind::Picture,
            }
        }
        if steps.iter().filter(|s| matches!(s, Transform::FiveCrop(_))).count() > 1 {
            return Err("FiveCrop comes twice".into());
        }
        Ok(Compose { steps })
    }
}

impl From<Compose> for Vec<Transform> {
    fn from(steps: Compose) -> Vec<Transform> {
        steps.steps
    }
}

/// What a step makes of a picture: another, or its floats.
enum Item {
    Picture(Image),
    Floats(Planes),
}

impl Compose {
    /// These steps, one after the other. A picture that no [`ToTensor`] turned is turned at the end.
    ///
    /// # Panics
    /// If an argument is out of its range, or a step on pictures comes after [`ToTensor`], or one on floats before.
    #[track_caller]
    pub fn new(steps: impl IntoIterator<Item = Transform>) -> Compose {
        match Compose::try_from(steps.into_iter().collect::<Vec<_>>()) {
            Ok(steps) => steps,
            Err(e) => panic!("Compose: {e}"),
        }
    }

    /// The steps.
    pub fn steps(&self) -> &[Transform] {
        &self.steps
    }

    /// How many pictures an example becomes: five with [`FiveCrop`].
    pub fn crops(&self) -> usize {
        if self.steps.iter().any(|s| matches!(s, Transform::FiveCrop(_))) { 5 } else { 1 }
    }

    /// The tensor of a picture.
    ///
    /// # Shapes
    /// [C, H, W], or [5, C, H, W] with [`FiveCrop`].
    ///
    /// # Errors
    /// If a step does not fit the picture, such as a crop larger than it.
    pub fn apply(&self, image: &Image, rng: &mut Random) -> Result<Tensor, DataError> {
        let all = self.planes(image.clone(), rng)?;
        let [c, h, w] = all[0].shape;
        let n = all.len();
        let data = all.into_iter().flat_map(|p| p.data).collect::<Vec<f32>>();
        Ok(if self.crops() > 1 { Tensor::from_vec(data, [n, c, h, w]) } else { Tensor::from_vec(data, [c, h, w]) })
    }

    /// The floats of a picture, or of its five crops.
    pub(crate) fn planes(&self, image: Image, rng: &mut Random) -> Result<Vec<Planes>, DataError> {
        let mut items = vec![Item::Picture(image)];
        for step in &self.steps {
            let name = step.name();
            let wrong = |reason: String| DataError::Transform { transform: name, reason };
            items = match (step, items) {
                (Transform::FiveCrop(five), items) => {
                    let crops = items.iter().map(|i| match i {
                        Item::Picture(image) => five.crops(image),
                        Item::Floats(_) => unreachable!("the order of steps was checked"),
                    });
                    let crops = crops.collect::<Step<Vec<_>>>().map_err(wrong)?;
                    crops.into_iter().flatten().map(Item::Picture).collect()
                }
                (_, items) => items.into_iter().map(|i| step.one(i, rng)).collect::<Step<_>>().map_err(wrong)?,
            };
        }
        let floats = items.into_iter().map(|i| match i {
            Item::Picture(image) => Planes::of(&image),
            Item::Floats(x) => x,
        });
        Ok(floats.collect())
    }

    /// The tensor of a picture and the labels of its mask: steps that move pixels move those of the mask alike, by the
    /// same random choices and the nearest pixel, and what they add counts nothing; other steps leave it as it is.
    ///
    /// # Shapes
    /// [C, H, W] and [H, W] i64.
    ///
    /// # Errors
    /// As [`Compose::apply`]; if a step makes several pictures of one.
    pub fn apply_with_mask(&self, image: &Image, mask: &Mask, rng: &mut Random) -> Result<(Tensor, Tensor), DataError> {
        let (mut item, mut mask) = (Item::Picture(image.clone()), mask.bytes().clone());
        for step in &self.steps {
            let wrong = |reason: String| DataError::Transform { transform: step.name(), reason };
            if matches!(step, Transform::FiveCrop(_)) {
                return Err(wrong("a mask goes through steps that make one picture of one".into()));
            }
            let mut twin = rng.clone();
            item = step.one(item, rng).map_err(wrong)?;
            if let Some(step) = step.for_mask() {
                mask = step.picture(&mask, &mut twin).map_err(wrong)?;
            }
        }
        let planes = match item {
            Item::Picture(image) => Planes::of(&image),
            Item::Floats(x) => x,
        };
        Ok((Tensor::from_vec(planes.data, planes.shape), Mask::from_bytes(mask).labels()))
    }

    /// What is questionable about these steps for pictures of this size, a sentence each.
    ///
    /// ```
    /// use gradus_data::transforms::{CenterCrop, Compose};
    /// let advice = Compose::new([CenterCrop::new(100).into()]).advice(400, 600);
    /// assert!(advice[0].contains("4 % of a picture of 400x600"));
    /// ```
    pub fn advice(&self, height: usize, width: usize) -> Vec<String> {
        let (mut h, mut w) = (height, width);
        let mut out = Vec::new();
        for step in &self.steps {
            match step {
                Transform::Resize(resize) => [h, w] = resize.extent(h, w),
                Transform::CenterCrop(crop) if crop.kept(h, w) < 0.5 => out.push(format!(
                    "CenterCrop keeps {:.0} % of a picture of {h}x{w} and may cut off what matters; a Resize before \
                     it keeps more",
                    100.0 * crop.kept(h, w)
                )),
                _ => {}
            }
        }
        out
    }
}

impl Transform {
    /// This step on one picture or its floats.
    fn one(&self, item: Item, rng: &mut Random) -> Step<Item> {
        match (self, item) {
            (Transform::ToTensor(_), Item::Picture(image)) => Ok(Item::Floats(Planes::of(&image))),
            (step, Item::Picture(image)) => step.picture(&image, rng).map(Item::Picture),
            (step, Item::Floats(mut x)) => {
                match step {
                    Transform::Normalize(t) => x.normalize(t)?,
                    Transform::SubtractMean(t) => t.apply(&mut x)?,
                    Transform::SubtractMeanImage(t) => t.apply(&mut x)?,
                    Transform::GaussianNoise(t) => t.apply(&mut x, rng),
                    Transform::RandomErasing(t) => t.apply(&mut x, rng),
                    _ => unreachable!("the order of steps was checked"),
                }
                Ok(Item::Floats(x))
            }
        }
    }

    /// The step as it moves the pixels of a mask, if it moves any.
    fn for_mask(&self) -> Option<Transform> {
        let nearest = InterpolationMode::Nearest;
        Some(match self.clone() {
            Transform::Resize(t) => t.interpolation(nearest).into(),
            Transform::RandomResizedCrop(t) => t.interpolation(nearest).into(),
            Transform::RandomRotation(t) => t.interpolation(nearest).fill(0).into(),
            Transform::RandomAffine(t) => t.interpolation(nearest).fill(0).into(),
            Transform::RandomCrop(t) => t.fill(0).into(),
            t @ (Transform::CenterCrop(_) | Transform::RandomHorizontalFlip(_) | Transform::RandomVerticalFlip(_)) => t,
            _ => return None,
        })
    }

    fn picture(&self, image: &Image, rng: &mut Random) -> Step<Image> {
        let step: &dyn OnImage = match self {
            Transform::Resize(t) => t,
            Transform::CenterCrop(t) => t,
            Transform::RandomCrop(t) => t,
            Transform::RandomResizedCrop(t) => t,
            Transform::RandomHorizontalFlip(t) => t,
            Transform::RandomVerticalFlip(t) => t,
            Transform::RandomRotation(t) => t,
            Transform::RandomAffine(t) => t,
            Transform::ColorJitter(t) => t,
            Transform::Grayscale(t) => t,
            Transform::GaussianBlur(t) => t,
            _ => unreachable!("the order of steps was checked"),
        };
        step.on_image(image, rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draw;

    #[derive(Debug, Deserialize)]
    struct Recipe {
        steps: Compose,
    }

    #[test]
    fn one_number_stands_for_two_where_torchvision_says_so() {
        let steps = |text: &str| toml::from_str::<Recipe>(&format!("steps = [{text}]")).map(|r| r.steps);
        for (one, two) in [
            ("{name = 'RandomRotation', degrees = 10}", "{name = 'RandomRotation', degrees = [-10, 10.0]}"),
            ("{name = 'RandomAffine', degrees = 0.5}", "{name = 'RandomAffine', degrees = [-0.5, 0.5]}"),
            (
                "{name = 'GaussianBlur', kernel_size = 3, sigma = 2}",
                "{name = 'GaussianBlur', kernel_size = 3, sigma = [2, 2]}",
            ),
        ] {
            assert_eq!(steps(one).unwrap(), steps(two).unwrap());
            assert_eq!(
                toml::from_str::<Recipe>(&format!("steps = {}", written(two))).unwrap().steps,
                steps(one).unwrap()
            );
        }
        let error = |text: &str| steps(text).unwrap_err().to_string();
        assert!(error("{name = 'RandomRotation', degrees = 'ten'}").contains("`degrees` is one number"));
        assert!(error("{name = 'RandomRotation', degrees = -5}").contains("degrees"));
        assert!(error("{name = 'GaussianBlur', kernel_size = 3, sigma = []}").contains("`sigma` is one number"));
    }

    /// The list of one step as it is written back.
    fn written(step: &str) -> String {
        let steps = toml::from_str::<Recipe>(&format!("steps = [{step}]")).unwrap().steps;
        toml::Value::try_from(&steps).unwrap().to_string()
    }

    fn error(text: &str) -> String {
        toml::from_str::<Recipe>(text).unwrap_err().to_string()
    }

    #[test]
    fn steps_survive_toml_and_json() {
        let steps = Compose::new([
            Resize::new(40).into(),
            RandomAffine::new(10.0).translate(0.1, 0.1).scale(0.9, 1.1).shear([-5.0, 5.0], [0.0, 0.0]).into(),
            ColorJitter::new().brightness(0.2).hue(0.1).into(),
            FiveCrop::new([32, 30]).into(),
            ToTensor::new().into(),
            SubtractMeanImage::new(&Tensor::zeros([3, 32, 30])).into(),
            RandomErasing::new().p(0.25).into(),
        ]);
        let json = serde_json::to_string(&steps).unwrap();
        assert_eq!(serde_json::from_str::<Compose>(&json).unwrap(), steps);
        let toml = toml::to_string(&std::collections::BTreeMap::from([("steps", &steps)])).unwrap();
        assert_eq!(toml::from_str::<Recipe>(&toml).unwrap().steps, steps);
        let out = steps.apply(&Image::filled(50, 60, &[9, 9, 9]), &mut Draw::new(1, 1).rng(1)).unwrap();
        assert_eq!((out.shape().to_vec(), steps.crops()), (vec![5, 3, 32, 30], 5));
    }

    #[test]
    fn mistakes_in_a_recipe_are_named() {
        for (text, part) in [
            ("steps = [{ name = 'Rezise', size = 3 }]", "Rezise"),
            ("steps = [{ name = 'Resize', sise = 3 }]", "sise"),
            ("steps = [{ name = 'Resize' }]", "size"),
            ("steps = [{ name = 'Resize', size = 'big' }]", "a size is a whole number"),
            ("steps = [{ name = 'Resize', size = 0 }]", "Resize: a size of 0x0 has no pixels"),
            ("steps = [{ name = 'RandomHorizontalFlip', p = 1.5 }]", "p is 1.5"),
            ("steps = [{ name = 'GaussianBlur', kernel_size = 4 }]", "must be odd"),
            ("steps = [{ name = 'Normalize', mean = [0.5], std = [0.0] }]", "must be above 0"),
            ("steps = [{ name = 'ToTensor' }, { name = 'Normalize', mean = [0.5], std = [1, 2] }]", "1 means and 2"),
            ("steps = [{ name = 'ToTensor' }, { name = 'CenterCrop', size = 2 }]", "must come before ToTensor"),
            ("steps = [{ name = 'RandomErasing' }]", "must come after ToTensor"),
        ] {
            let e = error(text);
            assert!(e.contains(part), "{text}: {e}");
        }
    }

    #[test]
    fn a_step_that_does_not_fit_the_picture_is_an_error() {
        let steps = Compose::new([FiveCrop::new(9).into()]);
        let e = steps.apply(&Image::filled(8, 8, &[1]), &mut Draw::default().rng(0)).map(drop).unwrap_err();
        assert_eq!(e.to_string(), "FiveCrop: crops of 9x9 do not fit into a picture of 8x8");
    }

    #[test]
    fn examples_change_from_epoch_to_epoch_and_follow_from_the_seed() {
        let steps = Compose::new([RandomCrop::new(4).into(), ToTensor::new().into(), GaussianNoise::new().into()]);
        let image = Image::new((0..64).collect(), 8, 8, 1);
        let run = |seed, epoch| steps.apply(&image, &mut Draw::new(seed, epoch).rng(5)).unwrap().to_vec::<f32>();
        assert_eq!(run(1, 0), run(1, 0));
        assert!(run(1, 0) != run(1, 1) && run(1, 0) != run(2, 0));
    }
}
