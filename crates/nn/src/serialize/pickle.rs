//! A reader of Python pickles that builds plain values and runs nothing.
//!
//! Pickle is a little stack machine whose programs may call any Python function. This one knows the
//! opcodes and the few names that PyTorch writes for a state dict; any other name is refused before
//! anything is done with it. Values live in one arena and refer to each other by index, so hostile
//! nesting and cycles cost neither recursion nor more memory than a fixed multiple of the input.

use std::collections::HashMap;

/// The most dimensions a tensor in a file may have.
const MAX_RANK: usize = gradus_tensor::MAX_RANK;

/// Why a pickle was not read.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// It names a Python object outside the list of known ones.
    Refused(String),
    /// It is not well formed: byte offset and what is wrong there.
    Bad(usize, String),
}

/// The element types PyTorch has storages for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Kind {
    /// Bytes an element takes in the file.
    pub fn size(self) -> usize {
        match self {
            Kind::F64 | Kind::I64 => 8,
            Kind::F32 | Kind::I32 => 4,
            Kind::F16 | Kind::BF16 | Kind::I16 => 2,
            Kind::I8 | Kind::U8 | Kind::Bool => 1,
        }
    }

    fn of_storage(name: &str) -> Option<Kind> {
        Some(match name {
            "DoubleStorage" => Kind::F64,
            "FloatStorage" => Kind::F32,
            "HalfStorage" => Kind::F16,
            "BFloat16Storage" => Kind::BF16,
            "LongStorage" => Kind::I64,
            "IntStorage" => Kind::I32,
            "ShortStorage" => Kind::I16,
            "CharStorage" => Kind::I8,
            "ByteStorage" => Kind::U8,
            "BoolStorage" => Kind::Bool,
            _ => return None,
        })
    }
}

/// The Python names that may occur.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildTensorV2,
    RebuildParameter,
    Size,
    /// Called with arguments that do not matter here: `torch.device`, `_codecs.encode`.
    Ignored,
    Storage(Kind),
    /// A dtype, layout or memory format: a value, never called.
    Constant,
}

impl Global {
    fn named(module: &str, name: &str) -> Result<Global, Fault> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensorV2,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::RebuildParameter,
            ("torch", "Size") => Global::Size,
            ("torch", "device") | ("_codecs", "encode") => Global::Ignored,
            ("torch.serialization", "_get_layout") => Global::Ignored,
            (
                "torch",
                "float64" | "float32" | "float16" | "bfloat16" | "int64" | "int32" | "int16" | "int8" | "uint8"
                | "bool" | "strided" | "contiguous_format" | "channels_last" | "preserve_format",
            ) => Global::Constant,
            ("torch", storage) => match Kind::of_storage(storage) {
                Some(kind) => Global::Storage(kind),
                None => return Err(Fault::Refused(format!("{module}.{name}"))),
            },
            _ => return Err(Fault::Refused(format!("{module}.{name}"))),
        })
    }
}

/// A value; everything that is not a small scalar is an index into the [`Pickle`]'s lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float,
    /// Bytes, sets, devices ...: values that are carried but never looked into.
    Opaque,
    Long(usize),
    Text(usize),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Global(Global),
    Storage(usize),
    Tensor(usize),
}

/// A storage named by a persistent id.
#[derive(Clone, Copy, Debug)]
pub(super) struct StorageRef {
    pub kind: Kind,
    /// Index of the key's text.
    pub key: usize,
    pub numel: usize,
}

/// A strided view of a storage.
#[derive(Clone, Copy, Debug)]
pub(super) struct TensorRef {
    pub storage: usize,
    pub offset: usize,
    pub rank: usize,
    pub shape: [usize; MAX_RANK],
    pub strides: [usize; MAX_RANK],
}

/// What one pickle holds.
#[derive(Debug, Default)]
pub(super) struct Pickle {
    texts: Vec<String>,
    longs: Vec<Vec<u8>>,
    lists: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
    storages: Vec<StorageRef>,
    tensors: Vec<TensorRef>,
    root: Option<Value>,
}

impl Pickle {
    pub fn root(&self) -> Value {
        self.root.unwrap_or(Value::None)
    }

    pub fn text(&self, index: usize) -> &str {
        &self.texts[index]
    }

    /// The little-endian bytes of an integer beyond 64 bits.
    pub fn long(&self, index: usize) -> &[u8] {
        &self.longs[index]
    }

    /// The entries of a tuple or list.
    pub fn list(&self, index: usize) -> &[Value] {
        &self.lists[index]
    }

    /// The entries of a dict in the order they were set; a later one replaces an equal earlier key.
    pub fn dict(&self, index: usize) -> &[(Value, Value)] {
        &self.dicts[index]
    }

    pub fn storage(&self, index: usize) -> StorageRef {
        self.storages[index]
    }

    pub fn storages(&self) -> impl Iterator<Item = StorageRef> {
        self.storages.iter().copied()
    }

    pub fn tensor(&self, index: usize) -> TensorRef {
        self.tensors[index]
    }
}

/// Reads one pickle from the start of `input`; returns it and how many bytes it took.
pub(super) fn read(input: &[u8]) -> Result<(Pickle, usize), Fault> {
    let mut m = Machine {
        input,
        at: 0,
        op_at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        copied: 0,
        out: Pickle::default(),
    };
    while m.out.root.is_none() {
        m.op_at = m.at;
        let op = m.byte()?;
        if !m.literal(op)? && !m.container(op)? {
            m.step(op)?;
        }
    }
    Ok((m.out, m.at))
}

struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    op_at: usize,
    stack: Vec<Value>,
    /// Stack heights at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    /// Elements copied from one container to another, bounded by the input's length.
    copied: usize,
    out: Pickle,
}

impl<'a> Machine<'a> {
    fn bad<T>(&self, what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::Bad(self.op_at, what.into()))
    }

    // ---- input ----

    fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        match self.at.checked_add(n).and_then(|end| self.input.get(self.at..end)) {
            Some(bytes) => {
                self.at += n;
                Ok(bytes)
            }
            None => {
                self.bad(format!("the pickle ends early: {n} more bytes needed, {} left", self.input.len() - self.at))
            }
        }
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian unsigned number of `n` bytes.
    fn number(&mut self, n: usize) -> Result<usize, Fault> {
        let v = self.take(n)?.iter().rev().fold(0u64, |v, &b| v << 8 | u64::from(b));
        usize::try_from(v).or_else(|_| self.bad("a length is beyond this machine's memory"))
    }

    fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.input[self.at..];
        let Some(n) = rest.iter().position(|&b| b == b'\n') else {
            return self.bad("a line without its end");
        };
        self.at += n + 1;
        std::str::from_utf8(&rest[..n]).or_else(|_| self.bad("a name that is not UTF-8"))
    }

    // ---- stack ----

    fn push(&mut self, v: Value) {
        self.stack.push(v);
    }

    fn pop(&mut self) -> Result<Value, Fault> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return self.bad("takes a value from an empty stack");
        }
        Ok(self.stack.pop().unwrap_or(Value::None))
    }

    fn top(&self) -> Result<Value, Fault> {
        match self.stack.last() {
            Some(&v) if self.stack.len() > self.marks.last().copied().unwrap_or(0) => Ok(v),
            _ => self.bad("looks at an empty stack"),
        }
    }

    /// The values above the last mark, which is closed.
    fn pop_mark(&mut self) -> Result<Vec<Value>, Fault> {
        match self.marks.pop() {
            Some(height) => Ok(self.stack.split_off(height)),
            None => self.bad("closes a mark that was never set"),
        }
    }

    fn push_text(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match std::str::from_utf8(bytes) {
            Ok(s) => {
                self.out.texts.push(s.to_owned());
                self.push(Value::Text(self.out.texts.len() - 1));
                Ok(())
            }
            Err(_) => self.bad("a string that is not UTF-8"),
        }
    }

    fn push_tuple(&mut self, items: Vec<Value>) {
        self.out.lists.push(items);
        self.push(Value::Tuple(self.out.lists.len() - 1));
    }

    fn push_dict(&mut self, entries: Vec<(Value, Value)>) {
        self.out.dicts.push(entries);
        self.push(Value::Dict(self.out.dicts.len() - 1));
    }

    fn pairs(&self, items: &[Value]) -> Result<Vec<(Value, Value)>, Fault> {
        if !items.len().is_multiple_of(2) {
            return self.bad("a dict with a key that has no value");
        }
        Ok(items.chunks_exact(2).map(|kv| (kv[0], kv[1])).collect())
    }

    // ---- opcodes ----

    /// Scalars and strings. False if `op` is none of these.
    fn literal(&mut self, op: u8) -> Result<bool, Fault> {
        match op {
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'J' => {
                let v = self.number(4)? as u32 as i32;
                self.push(Value::Int(i64::from(v)));
            }
            b'K' => {
                let v = self.number(1)? as i64;
                self.push(Value::Int(v));
            }
            b'M' => {
                let v = self.number(2)? as i64;
                self.push(Value::Int(v));
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Float);
            }
            0x8a | 0x8b => {
                let n = self.number(if op == 0x8a { 1 } else { 4 })?;
                let bytes = self.take(n)?;
                self.push_long(bytes);
            }
            b'X' | 0x8c | 0x8d => {
                let n = self.number(match op {
                    b'X' => 4,
                    0x8c => 1,
                    _ => 8,
                })?;
                let bytes = self.take(n)?;
                self.push_text(bytes)?;
            }
            // Python 2 strings: text if they read as text.
            b'U' | b'T' => {
                let n = self.number(if op == b'U' { 1 } else { 4 })?;
                let bytes = self.take(n)?;
                if self.push_text(bytes).is_err() {
                    self.push(Value::Opaque);
                }
            }
            b'C' | b'B' | 0x8e | 0x96 => {
                let n = self.number(match op {
                    b'C' => 1,
                    b'B' => 4,
                    _ => 8,
                })?;
                self.take(n)?;
                self.push(Value::Opaque);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A two's-complement integer of any length.
    fn push_long(&mut self, bytes: &[u8]) {
        let mut wide = match bytes.last() {
            Some(b) if b & 0x80 != 0 => [0xff; 8],
            _ => [0; 8],
        };
        if bytes.len() <= 8 {
            wide[..bytes.len()].copy_from_slice(bytes);
            self.push(Value::Int(i64::from_le_bytes(wide)));
        } else {
            self.out.longs.push(bytes.to_vec());
            self.push(Value::Long(self.out.longs.len() - 1));
        }
    }

    /// Tuples, lists, dicts and sets. False if `op` is none of these.
    fn container(&mut self, op: u8) -> Result<bool, Fault> {
        match op {
            b')' => self.push_tuple(Vec::new()),
            b't' => {
                let items = self.pop_mark()?;
                self.push_tuple(items);
            }
            0x85..=0x87 => {
                let mut items = Vec::with_capacity(3);
                for _ in 0..op - 0x84 {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push_tuple(items);
            }
            b']' | b'l' => {
                let items = if op == b'l' { self.pop_mark()? } else { Vec::new() };
                self.out.lists.push(items);
                self.push(Value::List(self.out.lists.len() - 1));
            }
            b'a' | b'e' => {
                let items = if op == b'e' { self.pop_mark()? } else { vec![self.pop()?] };
                match self.top()? {
                    Value::List(l) => self.out.lists[l].extend(items),
                    Value::Opaque => {}
                    _ => return self.bad("appends to something that is not a list"),
                }
            }
            b'}' | b'd' => {
                let items = if op == b'd' { self.pop_mark()? } else { Vec::new() };
                let entries = self.pairs(&items)?;
                self.push_dict(entries);
            }
            b's' | b'u' => {
                let items = if op == b'u' {
                    self.pop_mark()?
                } else {
                    let value = self.pop()?;
                    vec![self.pop()?, value]
                };
                let entries = self.pairs(&items)?;
                match self.top()? {
                    Value::Dict(d) => self.out.dicts[d].extend(entries),
                    _ => return self.bad("sets an item of something that is not a dict"),
                }
            }
            // Sets hold nothing that a state dict needs.
            0x8f => self.push(Value::Opaque),
            0x90 => drop(self.pop_mark()?),
            0x91 => {
                self.pop_mark()?;
                self.push(Value::Opaque);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Stack, memo, names and calls.
    fn step(&mut self, op: u8) -> Result<(), Fault> {
        match op {
            0x80 => {
                let version = self.byte()?;
                if version > 5 {
                    return self.bad(format!("pickle protocol {version}, at most 5 is known"));
                }
            }
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let v = self.top()?;
                self.push(v);
            }
            b'q' | b'r' | 0x94 => {
                let slot = match op {
                    b'q' => self.number(1)? as u32,
                    b'r' => self.number(4)? as u32,
                    _ => self.memo.len() as u32,
                };
                let v = self.top()?;
                self.memo.insert(slot, v);
            }
            b'h' | b'j' => {
                let slot = self.number(if op == b'h' { 1 } else { 4 })? as u32;
                match self.memo.get(&slot) {
                    Some(&v) => self.push(v),
                    None => return self.bad(format!("recalls memo {slot}, which was never stored")),
                }
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                let g = Global::named(module, name)?;
                self.push(Value::Global(g));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(n), Value::Text(m)) = (name, module) else {
                    return self.bad("a Python name that is not text");
                };
                let g = Global::named(&self.out.texts[m], &self.out.texts[n])?;
                self.push(Value::Global(g));
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                return Err(Fault::Refused(format!("{module}.{name}")));
            }
            b'R' | 0x81 => {
                let (args, callee) = (self.pop()?, self.pop()?);
                let v = self.call(callee, args)?;
                self.push(v);
            }
            b'b' => {
                self.pop()?;
                match self.top()? {
                    // Attributes of a dict (`_metadata`) or a tensor are not kept.
                    Value::Dict(_) | Value::Tensor(_) => {}
                    _ => return self.bad("sets the state of an object that has none"),
                }
            }
            b'Q' => {
                let id = self.pop()?;
                let v = self.persistent(id)?;
                self.push(v);
            }
            b'.' => self.out.root = Some(self.pop()?),
            other => return self.bad(format!("opcode {other:#04x}, which PyTorch does not write")),
        }
        Ok(())
    }

    // ---- the known names ----

    fn call(&mut self, callee: Value, args: Value) -> Result<Value, Fault> {
        let (Value::Global(g), Value::Tuple(t)) = (callee, args) else {
            return self.bad("calls something that is not a known function");
        };
        let args = &self.out.lists[t];
        match (g, args.as_slice()) {
            (Global::OrderedDict, []) => {
                self.out.dicts.push(Vec::new());
                Ok(Value::Dict(self.out.dicts.len() - 1))
            }
            (Global::OrderedDict, &[Value::List(l)]) => self.dict_of_pairs(l),
            (Global::Size, &[Value::Tuple(sizes)]) => Ok(Value::Tuple(sizes)),
            (Global::Ignored, _) => Ok(Value::Opaque),
            (Global::RebuildParameter, &[tensor @ Value::Tensor(_), ..]) => Ok(tensor),
            (Global::RebuildTensor, &[storage, offset, shape, strides])
            | (Global::RebuildTensorV2, &[storage, offset, shape, strides, _, _, ..]) => {
                self.rebuild(storage, offset, shape, strides)
            }
            _ => self.bad(format!("calls {g:?} with arguments it does not take")),
        }
    }

    /// `OrderedDict([(key, value), ...])`, as Python 2 wrote it.
    fn dict_of_pairs(&mut self, list: usize) -> Result<Value, Fault> {
        self.copied += self.out.lists[list].len();
        if self.copied > self.input.len() {
            return self.bad("copies more entries than the file holds");
        }
        let mut entries = Vec::new();
        for item in &self.out.lists[list] {
            match item {
                Value::Tuple(p) | Value::List(p) if self.out.lists[*p].len() == 2 => {
                    entries.push((self.out.lists[*p][0], self.out.lists[*p][1]));
                }
                _ => return self.bad("an OrderedDict of something else than pairs"),
            }
        }
        self.out.dicts.push(entries);
        Ok(Value::Dict(self.out.dicts.len() - 1))
    }

    fn rebuild(&mut self, storage: Value, offset: Value, shape: Value, strides: Value) -> Result<Value, Fault> {
        let (Value::Storage(storage), Value::Tuple(shape), Value::Tuple(strides)) = (storage, shape, strides) else {
            return self.bad("a tensor without storage, shape or strides");
        };
        let (shape, strides) = (&self.out.lists[shape], &self.out.lists[strides]);
        if shape.len() != strides.len() || shape.len() > MAX_RANK {
            return self.bad(format!(
                "a tensor of {} extents and {} strides; at most {MAX_RANK} of each are possible",
                shape.len(),
                strides.len()
            ));
        }
        let mut t = TensorRef {
            storage,
            offset: self.index(offset)?,
            rank: shape.len(),
            shape: [0; MAX_RANK],
            strides: [0; MAX_RANK],
        };
        for i in 0..t.rank {
            t.shape[i] = self.index(shape[i])?;
            t.strides[i] = self.index(strides[i])?;
        }
        self.out.tensors.push(t);
        Ok(Value::Tensor(self.out.tensors.len() - 1))
    }

    fn index(&self, v: Value) -> Result<usize, Fault> {
        match v {
            Value::Int(i) if i >= 0 => {
                usize::try_from(i).or_else(|_| self.bad("an extent beyond this machine's memory"))
            }
            other => self.bad(format!("an extent, stride or offset that is {other:?}, not a number from 0")),
        }
    }

    /// `("storage", type, key, location, numel)`, with a sixth entry (None) in the older format.
    fn persistent(&mut self, id: Value) -> Result<Value, Fault> {
        let Value::Tuple(t) = id else {
            return self.bad("a persistent id that is not a tuple");
        };
        let (kind, key, numel) = match self.out.lists[t].as_slice() {
            &[Value::Text(tag), Value::Global(Global::Storage(kind)), Value::Text(key), _, Value::Int(n)]
            | &[
                Value::Text(tag),
                Value::Global(Global::Storage(kind)),
                Value::Text(key),
                _,
                Value::Int(n),
                Value::None,
            ] if self.out.texts[tag] == "storage" && n >= 0 => (kind, key, n as usize),
            _ => return self.bad("a persistent id that does not name a storage"),
        };
        self.out.storages.push(StorageRef { kind, key, numel });
        Ok(Value::Storage(self.out.storages.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{'w': tensor}` in protocol 2 with the given numbers in place of offset, extent and stride.
    fn state(offset: &[u8], extent: &[u8], stride: &[u8]) -> Vec<u8> {
        let mut p = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
        p.extend(b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ");
        p.extend(offset);
        p.extend(extent);
        p.extend(b"\x85");
        p.extend(stride);
        p.extend(b"\x85\x89ccollections\nOrderedDict\n)RtRs.");
        p
    }

    #[test]
    fn a_tensor_is_rebuilt() {
        let bytes = state(b"K\x01", b"K\x05", b"K\x01");
        let (p, n) = read(&bytes).unwrap();
        assert_eq!(n, bytes.len());
        let Value::Dict(d) = p.root() else { panic!("{:?}", p.root()) };
        let &[(Value::Text(k), Value::Tensor(t))] = p.dict(d) else { panic!("{:?}", p.dict(d)) };
        let t = p.tensor(t);
        assert_eq!((p.text(k), t.offset, t.rank, t.shape[0], t.strides[0]), ("w", 1, 1, 5, 1));
        let s = p.storage(t.storage);
        assert_eq!((s.kind, p.text(s.key), s.numel), (Kind::F32, "0", 6));
    }

    #[test]
    fn an_unknown_name_is_refused_before_it_is_called() {
        for (p, name) in [
            (&b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."[..], "os.system"),
            (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "builtins.eval"),
            (b"(S'x'\nios\nsystem\n.", "S"),
            (b"(ios\nsystem\n.", "os.system"),
            (b"ctorch\nload\n.", "torch.load"),
            (b"ctorch\nFakeStorage\n.", "torch.FakeStorage"),
        ] {
            match read(p) {
                Err(Fault::Refused(g)) => assert_eq!(g, name),
                Err(Fault::Bad(1, what)) if name == "S" => assert!(what.contains("0x53"), "{what}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn malformed_programs_are_errors() {
        for p in [
            &b""[..],
            b".",
            b"0",
            b"t.",
            b"h\x00.",
            b"\x80\x09.",
            b"(.",
            b"K\x01K\x02s.",
            b"}(K\x01u.",
            b"]K\x01K\x02R.",
            b"X\xff\xff\xff\xffab",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffab",
            b"X\x01\x00\x00\x00\xff.",
            b"cno end",
            b"K\x01Q.",
            b"(K\x01tQ.",
            b"K\x01K\x02\x93.",
            b"K\x01(\x85.",
            b"\xfe",
        ] {
            assert!(matches!(read(p), Err(Fault::Bad(..))), "{p:?} gave {:?}", read(p));
        }
        for (o, e, s) in [(&b"J\xff\xff\xff\xff"[..], b"K\x01", b"K\x01"), (b"K\x00", b"N\x88", b"K\x01")] {
            assert!(matches!(read(&state(o, e, s)), Err(Fault::Bad(..))));
        }
    }

    #[test]
    fn every_truncation_is_an_error_and_no_changed_byte_panics() {
        let good = state(b"K\x01", b"K\x05", b"\x8a\x02\x00\x01");
        for n in 0..good.len() {
            assert!(read(&good[..n]).is_err(), "{n} bytes");
        }
        for i in 0..good.len() {
            for b in 0..=255 {
                let mut p = good.clone();
                p[i] = b;
                let _ = read(&p);
            }
        }
    }

    #[test]
    fn random_programs_do_not_panic() {
        let mut state = 0x1234_5678_9abc_def1u64;
        let ops = b"N\x88\x89JKMGX\x8c\x8aCB)t\x85\x86\x87]lae}dsu\x8f\x90\x91(012qrh\x94cR\x81bQ.";
        for _ in 0..20_000 {
            let mut p = Vec::new();
            for _ in 0..40 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let r = (state >> 20) as usize;
                p.push(if r.is_multiple_of(4) { (r >> 8) as u8 } else { ops[(r >> 8) % ops.len()] });
            }
            let _ = read(&p);
        }
    }

    #[test]
    fn nesting_and_self_reference_are_harmless() {
        let deep: Vec<u8> = std::iter::once(b')').chain(std::iter::repeat_n(0x85, 1_000_000)).chain([b'.']).collect();
        assert!(read(&deep).is_ok());
        assert!(read(b"]q\x00h\x00a.").is_ok());
        // A list of 1,000 pairs made into a dict 1,000 times would copy a million entries.
        let mut p = b"](".to_vec();
        p.extend(b"K\x01K\x01\x86".repeat(1000));
        p.extend(b"eq\x00");
        p.extend(b"ccollections\nOrderedDict\nq\x01");
        p.extend(b"h\x01h\x00\x85R".repeat(1000));
        p.push(b'.');
        assert!(matches!(read(&p), Err(Fault::Bad(_, what)) if what.contains("copies")));
    }

    #[test]
    fn long_integers_of_any_length() {
        assert_eq!(read(b"\x8a\x01\xff.").unwrap().0.root(), Value::Int(-1));
        assert_eq!(read(b"\x8a\x00.").unwrap().0.root(), Value::Int(0));
        assert_eq!(read(b"\x8a\x06\0\0\0\0\0\x01.").unwrap().0.root(), Value::Int(1 << 40));
        let (p, _) = read(b"\x8a\x09\0\0\0\0\0\0\0\0\x01.").unwrap();
        assert_eq!(p.root(), Value::Long(0));
        assert_eq!(p.long(0), [0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
