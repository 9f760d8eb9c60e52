//! The header of a `.npy` file.

use crate::DType;
use std::io::{self, Read};

pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longer headers are hostile: a real one is a line of a hundred bytes.
const MAX_HEADER: usize = 1 << 20;

/// What a file says of its array.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub kind: Kind,
    pub big_endian: bool,
    pub fortran_order: bool,
    pub shape: Vec<usize>,
}

/// The element types that can be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// A type that is ours too.
    Ours(DType),
    I8,
    I16,
    U16,
    U32,
    U64,
}

impl Kind {
    pub fn size(self) -> usize {
        match self {
            Kind::Ours(d) => d.size(),
            Kind::I8 => 1,
            Kind::I16 | Kind::U16 => 2,
            Kind::U32 => 4,
            Kind::U64 => 8,
        }
    }
}

/// Why a header was not read: the file is wrong, or it holds something that cannot be a tensor.
#[derive(Debug)]
pub(super) enum Fault {
    File(io::Error),
    Malformed(String),
    Unsupported(String),
}

/// Reads the header and leaves `r` at the first element; returns it with its length in bytes.
pub(super) fn read(r: &mut dyn Read) -> Result<(Header, usize), Fault> {
    let prefix = up_to(r, 8)?;
    if !prefix.starts_with(MAGIC) {
        let written: Vec<String> = prefix.iter().take(6).map(|b| format!("{b:02x}")).collect();
        return Err(Fault::Malformed(format!(
            "starts with the bytes [{}], a .npy file with 93 4e 55 4d 50 59 (\\x93NUMPY)",
            written.join(" ")
        )));
    }
    let width = match prefix.get(6) {
        Some(1) => 2,
        Some(2 | 3) => 4,
        Some(v) => return Err(Fault::Unsupported(format!("is of .npy version {v}, known are 1, 2 and 3"))),
        None => return Err(Fault::Malformed("ends within the header".into())),
    };
    let len = up_to(r, width)?;
    if len.len() < width {
        return Err(Fault::Malformed("ends within the header".into()));
    }
    let n = len.iter().rev().fold(0usize, |n, &b| n << 8 | b as usize);
    if n > MAX_HEADER {
        return Err(Fault::Malformed(format!("has a header of {n} bytes, at most {MAX_HEADER} are plausible")));
    }
    let text = up_to(r, n)?;
    if text.len() < n {
        return Err(Fault::Malformed(format!("ends within the header: {n} bytes announced, {} left", text.len())));
    }
    Ok((parse(&String::from_utf8_lossy(&text))?, 8 + width + n))
}

fn up_to(r: &mut dyn Read, n: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    r.take(n as u64).read_to_end(&mut out).map_err(Fault::File)?;
    Ok(out)
}

/// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
pub(super) fn parse(text: &str) -> Result<Header, Fault> {
    let mut p = Parser { text, at: 0 };
    let (mut descr, mut order, mut shape) = (None, None, None);
    p.expect('{')?;
    while !p.eat('}') {
        let key = p.string()?;
        p.expect(':')?;
        match key {
            "descr" if p.peek() == Some('[') => {
                return Err(Fault::Unsupported(
                    "holds records (a structured dtype), a tensor has one element type".into(),
                ));
            }
            "descr" => descr = Some(p.string()?),
            "fortran_order" => order = Some(p.boolean()?),
            "shape" => shape = Some(p.tuple()?),
            other => return p.bad(&format!("one of the keys descr, fortran_order and shape, not {other:?}")),
        }
        if !p.eat(',') && p.peek() != Some('}') {
            return p.bad("`,` or `}`");
        }
    }
    let missing = |key: &str| Fault::Malformed(format!("has a header without {key}: {:?}", text.trim_end()));
    let (kind, big_endian) = element(descr.ok_or_else(|| missing("descr"))?)?;
    let shape = shape.ok_or_else(|| missing("shape"))?;
    if shape.len() > crate::MAX_RANK {
        let rank = shape.len();
        return Err(Fault::Unsupported(format!("has {rank} dimensions, a tensor at most {}", crate::MAX_RANK)));
    }
    Ok(Header { kind, big_endian, fortran_order: order.ok_or_else(|| missing("fortran_order"))?, shape })
}

/// The element type and byte order that a `descr` such as `<f4` names.
fn element(descr: &str) -> Result<(Kind, bool), Fault> {
    let (order, code) = match descr.as_bytes().first() {
        Some(b'<' | b'>' | b'|' | b'=') => descr.split_at(1),
        _ => ("=", descr),
    };
    let kind = match code {
        "b1" | "?" => Kind::Ours(DType::Bool),
        "u1" => Kind::Ours(DType::U8),
        "i4" => Kind::Ours(DType::I32),
        "i8" => Kind::Ours(DType::I64),
        "f2" => Kind::Ours(DType::F16),
        "f4" => Kind::Ours(DType::F32),
        "f8" => Kind::Ours(DType::F64),
        "i1" => Kind::I8,
        "i2" => Kind::I16,
        "u2" => Kind::U16,
        "u4" => Kind::U32,
        "u8" => Kind::U64,
        "O" => {
            let why = "holds pickled Python objects (dtype object), which are refused: reading them would run code";
            return Err(Fault::Unsupported(why.into()));
        }
        _ => {
            let why =
                format!("has elements of type {descr:?}; read are bool, integers, and floats of 2, 4 and 8 bytes");
            return Err(Fault::Unsupported(why));
        }
    };
    let big = match order {
        ">" => true,
        "<" | "|" => false,
        _ => cfg!(target_endian = "big"),
    };
    Ok((kind, big))
}

/// A reader of the Python literals that NumPy writes.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn bad<T>(&self, expected: &str) -> Result<T, Fault> {
        Err(Fault::Malformed(format!(
            "has the header {:?}: expected {expected} at character {}",
            self.text.trim_end(),
            self.at
        )))
    }

    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn peek(&mut self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, c: char) -> bool {
        let there = self.rest().starts_with(c);
        if there {
            self.at += c.len_utf8();
        }
        there
    }

    fn expect(&mut self, c: char) -> Result<(), Fault> {
        if self.eat(c) { Ok(()) } else { self.bad(&format!("`{c}`")) }
    }

    fn string(&mut self) -> Result<&'a str, Fault> {
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            return self.bad("a quoted string");
        };
        let Some(end) = rest[1..].find(quote) else {
            return self.bad("a string with its closing quote");
        };
        self.at += end + 2;
        Ok(&rest[1..=end])
    }

    fn boolean(&mut self) -> Result<bool, Fault> {
        for (word, value) in [("True", true), ("False", false)] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.bad("True or False")
    }

    fn tuple(&mut self) -> Result<Vec<usize>, Fault> {
        self.expect('(')?;
        let mut out = Vec::new();
        while !self.eat(')') {
            let rest = self.rest();
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            match rest[..digits].parse() {
                Ok(n) => out.push(n),
                Err(_) => return self.bad("an extent that fits in memory"),
            }
            self.at += digits;
            // Python 2 wrote long integers as `3L`.
            self.eat('L');
            if !self.eat(',') && self.peek() != Some(')') {
                return self.bad("`,` or `)`");
            }
        }
        Ok(out)
    }
}
