//! Pictures in a grid with words under each.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gradus_tensor::Tensor;
use image::{DynamicImage, GrayImage, RgbImage};
use std::fmt::Write;
use std::io::Cursor;

/// The side of a picture as it is shown.
const SIDE: usize = 96;
/// The height of a line of words.
const LINE: usize = 15;

/// A picture and what is said of it.
pub struct Tile {
    /// Pixels in [0, 1], `[C, H, W]` with one or three channels.
    pub pixels: Tensor,
    /// Lines of words under it.
    pub words: Vec<String>,
}

/// Pictures as one SVG that holds them as PNG.
///
/// # Panics
/// If a picture has neither one channel nor three.
pub fn grid_svg(title: &str, subtitle: &str, tiles: &[Tile], columns: usize) -> String {
    let columns = columns.max(1);
    let lines = tiles.iter().map(|t| t.words.len()).max().unwrap_or(0);
    let cell = (SIDE + 40, SIDE + lines * LINE + 18);
    let width = (16 + columns.min(tiles.len().max(1)) * cell.0).max(32 + 7 * subtitle.chars().count());
    let height = 64 + tiles.len().div_ceil(columns) * cell.1;
    let mut svg = format!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" xmlns=\"http://www.w3.org/2000/svg\" \
         font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"28\" font-size=\"19\" fill=\"#1f2933\">{}</text>\n\
         <text x=\"16\" y=\"48\" font-size=\"13\" fill=\"#6b7785\">{}</text>\n",
        escape(title),
        escape(subtitle)
    );
    for (i, tile) in tiles.iter().enumerate() {
        let (x, y) = (16 + i % columns * cell.0, 64 + i / columns * cell.1);
        let data = png(&tile.pixels);
        let _ = writeln!(
            svg,
            "<image x=\"{x}\" y=\"{y}\" width=\"{SIDE}\" height=\"{SIDE}\" style=\"image-rendering:pixelated\" \
             href=\"data:image/png;base64,{data}\"/>"
        );
        for (l, words) in tile.words.iter().enumerate() {
            let down = y + SIDE + (l + 1) * LINE;
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{down}\" font-size=\"12\" fill=\"#1f2933\">{}</text>",
                escape(words)
            );
        }
    }
    svg + "</svg>\n"
}

/// Words as they may stand in XML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A PNG of pixels in [0, 1], in base64.
pub(super) fn png(pixels: &Tensor) -> String {
    let shape = pixels.shape();
    let (channels, height, width) = (shape[0], shape[1] as u32, shape[2] as u32);
    let values = pixels.permute(&[1, 2, 0]).contiguous().to_vec::<f32>(); // [H, W, C]
    let bytes = values.into_iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    let picture = match channels {
        1 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::ImageLuma8),
        3 => RgbImage::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8),
        other => panic!("a picture has one channel or three, got {other}"),
    };
    let mut out = Cursor::new(Vec::new());
    let picture = picture.expect("there are as many bytes as pixels");
    picture.write_to(&mut out, image::ImageFormat::Png).expect("writing to memory does not fail");
    STANDARD.encode(out.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_kept_to_the_bit_and_words_are_escaped() {
        let pixels = Tensor::from_slice(&[0.0f32, 1.0, 0.5, 2.0], [1, 2, 2]);
        let svg = grid_svg("a < b", "x", &[Tile { pixels, words: vec!["\"ok\" & so".into()] }], 4);
        assert!(svg.contains("a &lt; b") && svg.contains("&quot;ok&quot; &amp; so"));
        let data = svg.split("base64,").nth(1).unwrap().split('"').next().unwrap();
        let back = image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap().to_luma8();
        assert_eq!(back.into_raw(), [0, 255, 128, 255]);
    }
}
